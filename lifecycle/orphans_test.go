package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// upload puts a block into the bucket that is in no catalog.
func (w *world) upload(day model.Day, writer string, gen uint64, attempt uint32) *blocks.Meta {
	c := &model.Columns{}
	c.Append(day.Range().MinMs+int64(gen), 1)
	var b bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: day, Writer: writer, Generation: gen, Attempt: attempt, CreatedMs: w.nowMs},
		seqOf([]blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "orphan"), Columns: c}}), &b)
	require.NoError(w.t, err)
	_, err = w.own.PutIfAbsent(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	return m
}

// hot are settings without compaction, which would replace the blocks of a day that is over.
func hot() *Config {
	cfg := small()
	cfg.Compact.Off = true
	return cfg
}

func hours(n int64) int64 { return n * 3_600_000 }

func TestPlanOrphans(t *testing.T) {
	p := &catalog.Partition{
		Blocks: []catalog.Entry{{Meta: &blocks.Meta{ID: "live"}}}, Retired: []catalog.Retired{{ID: "retired"}}, Dropped: []catalog.Dropped{{ID: "dropped"}},
	}
	stored := []StoredBlock{{ID: "live"}, {ID: "retired"}, {ID: "dropped"}, {ID: "old", ModifiedMs: 1000}, {ID: "new", ModifiedMs: 5000}, {ID: "future", ModifiedMs: 99_000}}
	plan := func(nowMs int64) (ids []string) {
		for _, s := range PlanOrphans(p, stored, time.Second, nowMs) {
			ids = append(ids, s.ID)
		}
		return ids
	}
	require.Empty(t, plan(1999))
	require.Equal(t, []string{"old"}, plan(2000))
	require.Equal(t, []string{"old", "new"}, plan(6000))
	p.GravestoneMs = 1
	require.Empty(t, plan(6000), "they go with the tenant")
	p.GravestoneMs, p.Missing = 0, true
	require.Empty(t, plan(6000), "a lost catalog is rebuilt from them")
	p.Missing = false
	require.Len(t, PlanOrphans(p, make([]StoredBlock, maxCollected+5), 0, 1), maxCollected)
}

func TestProven(t *testing.T) {
	p := &catalog.Partition{Blocks: []catalog.Entry{
		{Meta: &blocks.Meta{Writer: "a", Generation: 7}},
		{Meta: &blocks.Meta{Sources: []blocks.Source{{Writer: "a", From: 1, To: 4}, {Writer: "b", From: 2, To: 2}}}},
		{Meta: &blocks.Meta{Sources: []blocks.Source{{Writer: "a", From: 3, To: 6}}}},
	}}
	of := func(s ...blocks.Source) bool { return Proven(p, &blocks.Meta{Sources: s}) }
	require.True(t, Proven(p, &blocks.Meta{Writer: "a", Generation: 5}))
	require.False(t, Proven(p, &blocks.Meta{Writer: "a", Generation: 8}))
	require.True(t, of(blocks.Source{Writer: "a", From: 2, To: 7}))
	require.False(t, of(blocks.Source{Writer: "a", From: 2, To: 8}))
	require.True(t, of(blocks.Source{Writer: "a", From: 1, To: 1}, blocks.Source{Writer: "b", From: 2, To: 2}))
	require.False(t, of(blocks.Source{Writer: "b", From: 1, To: 2}))
	require.False(t, of(), "a block that does not say where it comes from")
}

func TestOrphans(t *testing.T) {
	w := newWorld(t)
	w.flushes(3)
	want := w.read()
	proven := w.upload(testDay, "w", 2, 1)
	unproven := w.upload(testDay, "w", 9, 0)
	lost := w.upload(testDay+1, "w", 2, 0)
	junk := blocks.KeyOf("t", testDay, "junk", blocks.Native)
	_, err := w.own.Put(context.Background(), junk, []byte("no block"))
	require.NoError(t, err)
	_, err = w.own.Put(context.Background(), "probe/x", []byte("probe"))
	require.NoError(t, err)
	l, _ := w.worker(hot())

	w.nowMs += hours(47)
	require.Zero(t, w.once(l).Orphans, "too young")
	require.True(t, w.objects()[proven.ID])

	w.nowMs += hours(2)
	r := w.once(l)
	require.Equal(t, 1, r.Orphans)
	require.Equal(t, proven.Size, r.OrphanBytes)
	require.Equal(t, 2, r.OrphansKept)
	require.False(t, w.objects()[proven.ID])
	require.True(t, w.partition().IsDropped(proven.ID))
	require.True(t, w.objects()[unproven.ID], "its samples may be nowhere else")
	_, _, err = w.own.Get(context.Background(), "probe/x")
	require.ErrorIs(t, err, model.ErrNotFound)

	w.nowMs += hours(24 * 30)
	require.Equal(t, 2, w.once(l).Orphans)
	require.True(t, w.objects()[lost.ID], "there is no catalog")
	_, _, err = w.own.Get(context.Background(), junk)
	require.ErrorIs(t, err, model.ErrNotFound)
	require.Equal(t, want, w.read())
}

// TestOrphansAreLookedForRarely: a look at the bucket lists blocks once an hour, and a running worker not at its start.
func TestOrphansAreLookedForRarely(t *testing.T) {
	w := newWorld(t)
	w.flush()
	l, d := w.worker(hot())
	lists := 0
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpList && c.Key == blocks.TenantPrefix("t") {
			lists++
		}
		return faultblob.Action{}
	})
	w.once(l)
	w.once(l)
	require.Equal(t, 1, lists)
	w.nowMs += hours(1) * 5 / 4
	w.once(l)
	require.Equal(t, 2, lists)
}

// TestOrphanCommittedMeanwhile: what becomes live between the reading of the catalog and the drop is not deleted, nor what was replaced since.
func TestOrphanCommittedMeanwhile(t *testing.T) {
	for _, then := range []string{"live", "retired"} {
		w := newWorld(t)
		w.flush()
		orphan := w.upload(testDay, "v", 1, 0)
		w.nowMs += hours(24 * 40)
		l, d := w.worker(hot())
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.Op == faultblob.OpGet && c.Key == "t/t/root" { // behind the reading of the catalog
				_, err := w.catalog.Commit(context.Background(), "t", testDay, catalog.Add{Writer: "v", Generation: 1, Meta: orphan})
				require.NoError(t, err)
				if then == "retired" {
					_, err = w.catalog.Commit(context.Background(), "t", testDay, catalog.Retire{IDs: []string{orphan.ID}})
					require.NoError(t, err)
				}
			}
			require.NotEqual(t, faultblob.OpDelete, c.Op)
			return faultblob.Action{}
		})
		require.Zero(t, w.once(l).Orphans)
		require.True(t, w.objects()[orphan.ID])
	}
}

// TestOrphanFaultsAtEveryCall: whatever happens to a call, live blocks stay and the next worker deletes the rest.
func TestOrphanFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}, {Kind: faultblob.Tear, Keep: 1}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(2)
			want := w.read()
			w.upload(testDay, "w", 1, 1)
			w.nowMs += hours(50)
			l, d := w.worker(hot())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			require.Equal(t, want, w.read(), "call %d", n)
			other, _ := w.worker(hot())
			w.once(other)
			require.Equal(t, want, w.read())
			w.onlyLive()
			if d.Calls() < n {
				require.Greater(t, n, 6)
				break
			}
		}
	}
}

// TestLogs: the log of released generations goes after the grace, fences stay.
func TestLogs(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.flush()
	put := func(key string, data []byte) {
		_, err := w.own.Put(ctx, key, data)
		require.NoError(t, err)
	}
	segment := bytes.Repeat([]byte("x"), wal.MaxFenceBytes+1)
	for gen := uint64(1); gen <= 4; gen++ {
		put(wal.SegmentKey("dead", gen, 0), segment)
	}
	put(wal.SegmentKey("dead", 3, 1), wal.FenceSegment("dead", 3, 1, "somebody"))
	put(wal.SegmentKey("dead", 3, 2), []byte("damaged"))
	put(wal.SegmentKey("stranger", 1, 0), segment)
	_, err := w.catalog.Register(ctx, catalog.Writer{ID: "dead", Shipping: true})
	require.NoError(t, err)
	_, err = w.catalog.SetReleased(ctx, "dead", 3)
	require.NoError(t, err)
	left := func() (keys []string) {
		for o, err := range w.own.List(ctx, "w/") {
			require.NoError(t, err)
			keys = append(keys, o.Key)
		}
		return keys
	}
	all := left()
	l, _ := w.worker(hot())
	w.nowMs += hours(2) - 1
	require.Zero(t, w.once(l).Segments)
	require.Equal(t, all, left(), "within the grace")
	w.nowMs++
	other, _ := w.worker(hot())
	require.Equal(t, 3, w.once(other).Segments, "one that has just begun goes by the age of the roster")
	want := []string{"w/roster", wal.SegmentKey("stranger", 1, 0)}
	for _, s := range []struct{ gen, seq uint64 }{{3, 1}, {3, 2}, {4, 0}} {
		want = append(want, wal.SegmentKey("dead", s.gen, s.seq))
	}
	require.ElementsMatch(t, want, left())
}

func TestParseSettings(t *testing.T) {
	s := OrphanSettings{Age: time.Minute}.withDefaults()
	require.Equal(t, "{1h0m0s 1m0s 720h0m0s 2h0m0s}", fmt.Sprint(s))
}
