package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

func TestMerge(t *testing.T) {
	for range 10 {
		w := newWorld(t)
		n := 12 + w.rng.IntN(40)
		flushed := w.flushes(n)
		want := w.read()
		cfg := small()
		if w.rng.IntN(2) == 0 {
			cfg.Merge.MaxOutputSeries = 1 + int64(w.rng.IntN(8)) // several outputs
		}
		cfg.Merge.MaxInputs = 4 + w.rng.IntN(30)
		cfg.Sequential = w.rng.IntN(2) == 0
		l, _ := w.worker(cfg)
		var last Progress
		l.c.Progress = func(p Progress) { last = p }
		r := w.once(l)
		require.NotZero(t, r.Jobs)
		require.Equal(t, last.Total, last.Done)
		require.Equal(t, want, w.read())
		p := w.partition()
		require.Equal(t, uint64(n), p.Flushed["w"])
		require.Empty(t, p.Claims)
		if cfg.Merge.MaxOutputSeries == 0 {
			require.LessOrEqual(t, len(p.Blocks), 3)
		}
		// What was merged is still there for whoever reads an older catalog; footers know where all of it came from.
		for _, m := range flushed {
			_, _, err := w.own.Get(context.Background(), blocks.Key(m))
			require.NoError(t, err)
			held := 0
			for _, e := range p.Blocks {
				for _, s := range blocks.SourcesOf(e.Meta) {
					if s.From <= m.Generation && m.Generation <= s.To {
						held++
					}
				}
			}
			require.NotZero(t, held)
		}
		require.Equal(t, float64(r.Jobs), testutil.ToFloat64(l.metrics.jobs.WithLabelValues(jobMerge, resultDone)))
		// Nothing left to do, and the next looks find that out cheaply.
		require.Zero(t, w.once(l).Jobs)
		require.Zero(t, w.once(l).Jobs)
		require.Zero(t, w.once(l).Read, "a partition that did not change since it was listed and read is not read again")
		w.flushes(4)
		require.Equal(t, 1, w.once(l).Read)
	}
}

// TestMergeFaultsAtEveryCall lets each call of a worker fail, or succeed without an answer, or be the last: nothing is lost or doubled, and
// another worker does the rest.
func TestMergeFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(6)
			want := w.read()
			l, d := w.worker(small())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			require.Equal(t, want, w.read(), "call %d", n)
			require.Empty(t, w.partition().Quarantined, "call %d: a bucket in trouble is not the fault of a block", n)
			other, _ := w.worker(small())
			w.nowMs += 11 * 60_000
			w.once(other)
			require.Equal(t, want, w.read(), "call %d, then another worker", n)
			require.LessOrEqual(t, len(w.partition().Blocks), 3)
			if d.Calls() < n {
				require.Greater(t, n, 8, "the merge makes calls")
				break
			}
		}
	}
}

// TestRacingWorkers lets a second worker run at each call of the first.
func TestRacingWorkers(t *testing.T) {
	for _, wait := range []int64{0, 11 * 60_000} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(6)
			want := w.read()
			first, d := w.worker(small())
			second, _ := w.worker(small())
			d.SetHook(func(c faultblob.Call) faultblob.Action {
				if c.N == n {
					w.nowMs += wait // the first's claim may be over
					w.once(second)
				}
				return faultblob.Action{}
			})
			w.once(first)
			require.Equal(t, want, w.read(), "call %d", n)
			p := w.partition()
			if wait > 0 || n < 2 {
				require.LessOrEqual(t, len(p.Blocks), 3)
			}
			objects := 0
			for _, err := range w.own.List(context.Background(), "d/") {
				require.NoError(t, err)
				objects++
			}
			require.Equal(t, len(p.Blocks)+len(p.Retired), objects, "racing workers make the same objects: no orphans")
			if d.Calls() < n {
				break
			}
		}
	}
}

// corrupt flips a byte in the chunks of a block.
func (w *world) corrupt(m *blocks.Meta) {
	data, _, err := w.own.Get(context.Background(), blocks.Key(m))
	require.NoError(w.t, err)
	data[m.Chunks.Offset+20] ^= 1
	_, err = w.own.Put(context.Background(), blocks.Key(m), data)
	require.NoError(w.t, err)
}

func TestBadInputsAreQuarantined(t *testing.T) {
	for name, harm := range map[string]func(w *world, m *blocks.Meta){
		"corrupt": (*world).corrupt,
		"missing": func(w *world, m *blocks.Meta) { require.NoError(t, w.own.Delete(context.Background(), blocks.Key(m))) },
		"cut short": func(w *world, m *blocks.Meta) {
			_, err := w.own.Put(context.Background(), blocks.Key(m), []byte("varve"))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			all := w.flushes(8)
			bad := all[3]
			harm(w, bad)
			l, _ := w.worker(small())
			r := w.once(l)
			require.Len(t, r.Quarantined, 1)
			require.Contains(t, r.Quarantined[0], bad.ID)
			p := w.partition()
			require.Len(t, p.Quarantined, 1)
			require.Equal(t, bad.ID, p.Quarantined[0].ID)
			require.Contains(t, p.Quarantined[0].Reason, blocks.Key(bad))
			require.NotNil(t, p.Live(bad.ID), "it is read on, and fails queries, which is the truth")
			require.LessOrEqual(t, len(w.partition().Blocks), 4, "the others are merged, on either side of it")
			require.Empty(t, w.once(l).Quarantined, "once is enough")
			require.Equal(t, 1.0, testutil.ToFloat64(l.metrics.quarantine))
		})
	}
}

// TestTakenName: an object of other bytes lies where the output should go.
func TestTakenName(t *testing.T) {
	for _, length := range []int{-1, 0, 1} {
		w := newWorld(t)
		w.flushes(4)
		want := w.read()
		key := blocks.KeyOf("t", testDay, w.plannedID(), blocks.Native)
		// What would be written, and a little different.
		dry, d := w.worker(small())
		var wrote []byte
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.Op == faultblob.OpPut && c.Key == key {
				return faultblob.Action{Kind: faultblob.CrashAfter}
			}
			return faultblob.Action{}
		})
		_, _ = dry.Once(context.Background())
		wrote, _, err := w.own.Get(context.Background(), key)
		require.NoError(t, err)
		switch length {
		case -1:
			wrote = wrote[:len(wrote)-1]
		case 0:
			wrote[len(wrote)/2] ^= 1
		case 1:
			wrote = append(wrote, 0)
		}
		_, err = w.own.Put(context.Background(), key, wrote)
		require.NoError(t, err)
		w.nowMs += 11 * 60_000
		l, _ := w.worker(small())
		require.Equal(t, 1, w.once(l).Jobs)
		require.Equal(t, want, w.read())
		live := w.partition().Blocks
		require.True(t, slices.ContainsFunc(live, func(b catalog.Entry) bool { return len(b.Replaces) > 0 && b.Attempt == 1 }))
	}
}

// plannedID is the id of the output of the merge that is due. Not all blocks need be in it: they are of random sizes.
func (w *world) plannedID() string {
	plan, why := PlanMerge(w.partition(), &small().Merge, w.nowMs)
	require.NotNil(w.t, plan, why)
	var inputs []*blocks.Meta
	for _, e := range plan.Inputs {
		inputs = append(inputs, e.Meta)
	}
	return blocks.MergeParams(inputs, blocks.Native, 0, 0).ID
}

// TestDroppedName: the id of the output was dropped, so that its object may go at any time.
func TestDroppedName(t *testing.T) {
	w := newWorld(t)
	w.flushes(4)
	want := w.read()
	id := w.plannedID()
	_, err := w.catalog.Commit(context.Background(), "t", testDay, catalog.Drop{IDs: []string{id}})
	require.NoError(t, err)
	l, _ := w.worker(small())
	require.Equal(t, 1, w.once(l).Jobs)
	require.Equal(t, want, w.read())
	require.Nil(t, w.partition().Live(id))
}

// TestSlowWorker: an output that was uploaded more than a day before its commit may be collected in between.
func TestSlowWorker(t *testing.T) {
	w := newWorld(t)
	w.flushes(4)
	want := w.read()
	l, d := w.worker(small())
	puts := 0
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpPut && strings.HasPrefix(c.Key, "d/") {
			if puts++; puts == 1 {
				w.nowMs += model.MsPerDay + 1
			}
		}
		return faultblob.Action{}
	})
	require.Equal(t, 1, w.once(l).Jobs)
	require.Equal(t, want, w.read())
	// Which of the blocks are merged depends on their sizes.
	attempts := map[uint32]int{}
	for _, e := range w.partition().Blocks {
		attempts[e.Attempt]++
	}
	require.Equal(t, 1, attempts[1], "attempts %v", attempts)
}

// TestForeignObjects: what is no catalog is passed over, and a damaged one is left to others.
func TestForeignObjects(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"t/t/root2", "t/t/c/notaday", "t/t/s/20240101", "t/x"} {
		_, err := w.own.Put(context.Background(), key, []byte("x"))
		require.NoError(t, err)
	}
	w.flushes(4)
	l, _ := w.worker(small())
	r := w.once(l)
	require.Equal(t, 1, r.Partitions)
	require.Equal(t, 1, r.Jobs)
	// A catalog that cannot be read is named and keeps nobody else from being merged.
	_, err := w.own.Put(context.Background(), "t/bad/c/20240101", []byte("rubbish"))
	require.NoError(t, err)
	w.flushes(4)
	r, err = l.Once(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, r.Jobs)
	require.Len(t, r.Failures, 1)
	require.Contains(t, r.Failures[0], "t/bad/c/20240101")
}

// TestNoListing: without the right to list there is nothing that a worker can do, and it says so.
func TestNoListing(t *testing.T) {
	w := newWorld(t)
	l, d := w.worker(small())
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpList {
			return faultblob.Action{Kind: faultblob.Fail, Err: blob.ErrDenied}
		}
		return faultblob.Action{}
	})
	_, err := l.Once(context.Background())
	require.ErrorIs(t, err, blob.ErrDenied)
}

// TestFullCatalog: a catalog at its hard limit takes no claim, and gets room by a merge.
func TestFullCatalog(t *testing.T) {
	w := newWorld(t)
	w.flushes(6)
	want := w.read()
	fill := func(n int) {
		kind := make([]byte, n)
		for i := range kind {
			kind[i] = byte('0' + w.rng.IntN(256-'0'))
		}
		_, err := w.catalog.Commit(context.Background(), "t", testDay, catalog.TakeClaim{
			Job: string(kind) + "/9000000-9000000", Holder: "h", UntilMs: w.nowMs + catalog.MaxClaimMs,
		})
		require.NoError(t, err)
	}
	for left := catalog.HardLimitBytes - w.partition().Bytes; left > 150; left = catalog.HardLimitBytes - w.partition().Bytes {
		fill(max(1, left-left/50-100))
	}
	_, err := w.catalog.Commit(context.Background(), "t", testDay, catalog.TakeClaim{Job: strings.Repeat("merge of something, ", 50) + fmt.Sprint(w.rng.Perm(99)), Holder: "h", UntilMs: w.nowMs + catalog.MaxClaimMs})
	require.ErrorIs(t, err, model.ErrLimit)
	l, _ := w.worker(&Config{Merge: MergeSettings{MaxBlocks: 3}, ClaimFor: 1 << 50, Sequential: true})
	l.holder += strings.Repeat(fmt.Sprint(w.rng.Perm(200)), 2) // a claim that does not fit for certain
	require.NotZero(t, w.once(l).Jobs)
	require.Equal(t, want, w.read())
}
