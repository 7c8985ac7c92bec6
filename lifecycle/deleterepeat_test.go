package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// writers are some whose flushes a test makes by hand, each with a series of its own: {__name__="m", w="<id>"}.
type writers struct {
	*world
	gens map[string]uint64
	// down are those that cannot be reached.
	down map[string]bool
	// held are the times of samples that wait for a flush.
	held map[string][]int64
}

func newWriters(t *testing.T, ids ...string) *writers {
	w := &writers{world: newWorld(t), gens: map[string]uint64{}, down: map[string]bool{}, held: map[string][]int64{}}
	for _, id := range ids {
		w.enter(id)
	}
	return w
}

func (w *writers) enter(id string) {
	_, err := w.catalog.Register(context.Background(), catalog.Writer{ID: id, Mode: "fsync", Shipping: true})
	require.NoError(w.t, err)
}

func (w *writers) write(id string, at int64) { w.held[id] = append(w.held[id], at) }

// flushOf brings what the writer holds to the catalog, under its id or that of the writer which it was.
func (w *writers) flushOf(id, as string) {
	if len(w.held[id]) == 0 {
		return
	}
	c := &model.Columns{}
	for _, at := range w.held[id] {
		c.Append(testDay.Range().MinMs+at, float64(at))
	}
	w.held[id] = nil
	w.gens[as]++
	var b bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: testDay, Writer: as, Generation: w.gens[as], CreatedMs: w.nowMs},
		seqOf([]blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "m", "w", id), Columns: c}}), &b)
	require.NoError(w.t, err)
	_, err = w.own.PutIfAbsent(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	_, err = w.catalog.Commit(context.Background(), "t", testDay, catalog.Add{Writer: as, Generation: w.gens[as], Meta: m})
	require.NoError(w.t, err)
}

func (w *writers) adopted(id string) {
	_, err := w.catalog.SetState(context.Background(), id, catalog.Adopted)
	require.NoError(w.t, err)
}

// delete deletes everything of m, with the writers that are up flushing.
func (w *writers) delete(d *Deleter, id string) (Deleted, error) {
	d.Flush = func(_ context.Context, roster *catalog.Roster) (unreached []string) {
		for _, x := range roster.Writers {
			switch {
			case x.State != catalog.Active:
			case w.down[x.ID]:
				unreached = append(unreached, x.ID)
			default:
				w.flushOf(x.ID, x.ID)
			}
		}
		return unreached
	}
	return d.Delete(context.Background(), w.request(id, "m", -1e6, 1e9))
}

// sees are the samples that queries of what is in the bucket see: writer@time.
func (w *writers) sees() []string {
	var out []string
	for k := range w.readMasked() {
		_, rest, _ := strings.Cut(k, `w="`)
		id, rest, _ := strings.Cut(rest, `"}`)
		var ms int64
		_, err := fmt.Sscan(rest, &ms)
		require.NoError(w.t, err)
		out = append(out, fmt.Sprintf("%s@%d", id, ms-testDay.Range().MinMs))
	}
	slices.Sort(out)
	return out
}

// TestRepeatReachesTheUnreached: 202 first, and the same call again when the writer is back, or was adopted, or is back under another id, deletes
// what it had, and nothing of what others have written since.
func TestRepeatReachesTheUnreached(t *testing.T) {
	for _, fate := range []string{"back", "adopted", "moved", "ended cleanly"} {
		t.Run(fate, func(t *testing.T) {
			w := newWriters(t, "a", "b")
			w.write("a", 1)
			w.write("b", 1)
			w.down["b"] = true
			d, _ := w.deleter()
			got, err := w.delete(d, "x")
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, got.Unreached)
			w.write("a", 2) // to stay
			w.flushOf("a", "a")
			got, err = w.delete(d, "x")
			require.NoError(t, err)
			require.Equal(t, []string{"b"}, got.Unreached, "still down")
			require.Equal(t, []string{"a@2"}, w.sees())

			switch fate {
			case "back":
				w.down["b"] = false
			case "adopted":
				w.flushOf("b", "b")
				w.adopted("b")
			case "ended cleanly":
				w.flushOf("b", "b")
				_, err := w.catalog.SetState(t.Context(), "b", catalog.Clean)
				require.NoError(t, err)
			case "moved":
				w.enter("c")
				w.down["c"] = true
				require.NoError(t, w.catalog.PutMoved(t.Context(), "b", "c"))
				w.adopted("b")
				got, err = w.delete(d, "x")
				require.NoError(t, err)
				require.Equal(t, []string{"c"}, got.Unreached, "who has what b had")
				require.Equal(t, []string{"a@2"}, w.sees())
				w.held["c"], w.held["b"] = w.held["b"], nil
				w.down["c"] = false
			}
			got, err = w.delete(d, "x")
			require.NoError(t, err)
			require.Empty(t, got.Unreached)
			require.Equal(t, []string{"a@2"}, w.sees())

			for _, id := range []string{"a", "b", "c"} {
				w.write(id, 3)
				w.flushOf(id, id)
			}
			got, err = w.delete(d, "x")
			require.NoError(t, err)
			require.Empty(t, got.Unreached)
			want := []string{"a@2", "a@3", "b@3", "c@3"}
			require.Equal(t, want, w.sees(), "a call that finds everything done does no harm")

			// And it is erased, the report says so, nothing else is.
			r, err := ReportErasure(t.Context(), w.own, w.catalog, "t", "x")
			require.NoError(t, err)
			require.Empty(t, r.Unreached)
			require.False(t, r.Erased)
			require.GreaterOrEqual(t, len(r.Holders), 2)
			l, _ := w.worker(&Config{EraseAfter: -1, Sequential: true, Compact: CompactSettings{Off: true}})
			w.once(l)
			require.Equal(t, want, w.sees())
			w.nowMs += 3 * 3600 * 1000
			w.once(l)
			require.Equal(t, want, w.sees())
			require.Len(t, w.read(), len(want), "nothing is left that a mask would hide")
		})
	}
}

// TestRepeatOfZombie is seed 1795421665514086856 of the simulator: the writer was adopted before the first call, which masked the day and failed; its process
// was alive, went on under a new id, and flushed above the tombstone.
func TestRepeatOfZombie(t *testing.T) {
	w := newWriters(t, "a", "z")
	w.write("a", 1)
	w.write("z", 1)
	w.adopted("z")
	d, _ := w.deleter()
	_, err := w.delete(d, "x")
	require.NoError(t, err)
	require.NoError(t, w.catalog.PutMoved(t.Context(), "z", "y"))
	w.enter("y")
	w.enter("fresh")
	w.held["y"], w.held["z"] = w.held["z"], nil
	w.write("fresh", 5)
	for _, id := range []string{"y", "fresh"} {
		w.flushOf(id, id)
	}
	require.Equal(t, []string{"fresh@5", "y@1"}, w.sees())
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	require.Equal(t, []string{"fresh@5"}, w.sees())
	w.write("y", 6)
	_, err = w.delete(d, "x")
	require.NoError(t, err)
	require.Equal(t, []string{"fresh@5", "y@6"}, w.sees(), "once is enough")
}

// TestRepeatTooLate: merged with what was written since it cannot be told apart any more. Nothing is deleted by guess.
func TestRepeatTooLate(t *testing.T) {
	w := newWriters(t, "a", "b")
	w.down["b"] = true
	w.write("a", 1)
	w.write("b", 1)
	d, _ := w.deleter()
	_, err := w.delete(d, "x")
	require.NoError(t, err)
	w.down["b"] = false
	w.write("a", 2)
	for _, id := range []string{"a", "b"} {
		w.flushOf(id, id)
	}
	l, _ := w.worker(&Config{Merge: MergeSettings{MaxBlocks: 1}, Compact: CompactSettings{Off: true}, Sequential: true})
	require.Positive(t, w.once(l).Jobs)
	want := []string{"a@2", "b@1"}
	for range 2 {
		_, err = w.delete(d, "x")
		require.ErrorIs(t, err, model.ErrConflict)
		require.ErrorContains(t, err, "new id")
		require.Equal(t, want, w.sees())
	}
	_, err = w.delete(d, "y")
	require.NoError(t, err)
	require.Empty(t, w.sees())
}

// TestRepeatAfterMerge: merged with what the first call has deleted it goes all the same.
func TestRepeatAfterMerge(t *testing.T) {
	w := newWriters(t, "a", "b")
	w.down["b"] = true
	w.write("a", 1)
	w.write("b", 1)
	d, _ := w.deleter()
	_, err := w.delete(d, "x")
	require.NoError(t, err)
	w.down["b"] = false
	w.flushOf("b", "b")
	l, _ := w.worker(&Config{Merge: MergeSettings{MaxBlocks: 1}, Compact: CompactSettings{Off: true}, Sequential: true})
	require.Positive(t, w.once(l).Jobs)
	require.Equal(t, []string{"b@1"}, w.sees())
	got, err := w.delete(d, "x")
	require.NoError(t, err)
	require.Empty(t, got.Unreached)
	require.Empty(t, w.sees())
}

// TestRepeatFaultsAtEveryCall: a repeat that ends half way is finished by the next one.
func TestRepeatFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}} {
		for n := 1; ; n++ {
			w := newWriters(t, "a", "b", "c")
			w.down = map[string]bool{"b": true, "c": true}
			for _, id := range []string{"a", "b", "c"} {
				w.write(id, 1)
			}
			first, _ := w.deleter()
			_, err := w.delete(first, "x")
			require.NoError(t, err)
			w.down = map[string]bool{"c": true}
			w.write("a", 2)
			d, driver := w.deleter()
			driver.SetHook(faultblob.Nth(n, a))
			_, err = w.delete(d, "x")
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			driver.SetHook(nil)
			got, err := w.delete(first, "x")
			require.NoError(t, err)
			require.Equal(t, []string{"c"}, got.Unreached)
			require.Equal(t, []string{"a@2"}, w.sees())
			w.down = map[string]bool{}
			got, err = w.delete(first, "x")
			require.NoError(t, err)
			require.Empty(t, got.Unreached)
			require.Equal(t, []string{"a@2"}, w.sees())
			require.Len(t, w.partition().Tombstones, 3)
			if driver.Calls() < n {
				break
			}
		}
	}
}
