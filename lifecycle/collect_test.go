package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// objects are the ids of the blocks whose objects are in the bucket.
func (w *world) objects() map[string]bool {
	out := map[string]bool{}
	for o, err := range w.own.List(context.Background(), "d/") {
		require.NoError(w.t, err)
		out[strings.TrimSuffix(o.Key[strings.LastIndex(o.Key, "/")+1:], ".vb")] = true
	}
	return out
}

// onlyLive demands that the objects in the bucket are those of live blocks and no others.
func (w *world) onlyLive() {
	w.t.Helper()
	want := map[string]bool{}
	for _, e := range w.partition().Blocks {
		want[e.ID] = true
	}
	require.Equal(w.t, want, w.objects())
}

func TestPlanCollect(t *testing.T) {
	p := &catalog.Partition{Retired: []catalog.Retired{{ID: "old", AtMs: 1000}, {ID: "new", AtMs: 5000}, {ID: "future", AtMs: 99_000}}}
	plan := func(nowMs int64) (ids []string) {
		for _, r := range PlanCollect(p, time.Second, nowMs) {
			ids = append(ids, r.ID)
		}
		return ids
	}
	require.Empty(t, plan(1999))
	require.Equal(t, []string{"old"}, plan(2000))
	require.Equal(t, []string{"old", "new"}, plan(6000))
	p.GravestoneMs = 1
	require.Empty(t, plan(6000), "the deletion of a tenant has rules of its own")
}

func TestCollect(t *testing.T) {
	w := newWorld(t)
	flushed := w.flushes(8)
	want := w.read()
	l, _ := w.worker(small())
	w.once(l)
	p := w.partition()
	require.NotEmpty(t, p.Retired)
	w.nowMs += 59 * 60_000
	require.Zero(t, w.once(l).Collected, "within the grace")
	for _, m := range flushed {
		require.True(t, w.objects()[m.ID])
	}
	w.nowMs += 60_000
	r := w.once(l)
	require.Equal(t, len(p.Retired), r.Collected)
	require.NotZero(t, r.CollectedBytes)
	require.Equal(t, want, w.read())
	require.Empty(t, w.partition().Retired)
	require.Len(t, w.partition().Dropped, len(p.Retired))
	w.onlyLive()
	require.Zero(t, w.once(l).Collected)
}

// TestCollectFaultsAtEveryCall: whatever happens to a call, what is live stays, and the next worker deletes the rest.
func TestCollectFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}, {Kind: faultblob.Tear, Keep: 1}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(6)
			want := w.read()
			first, _ := w.worker(small())
			w.once(first)
			w.nowMs += 61 * 60_000
			l, d := w.worker(small())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			require.Equal(t, want, w.read(), "call %d", n)
			other, _ := w.worker(small())
			w.once(other)
			require.Equal(t, want, w.read())
			w.onlyLive()
			if d.Calls() < n {
				require.Greater(t, n, 4)
				break
			}
		}
	}
}

// TestDropComesFirst: the delete follows the commit that names its ids as dropped.
func TestDropComesFirst(t *testing.T) {
	w := newWorld(t)
	w.flushes(6)
	l, d := w.worker(small())
	w.once(l)
	retired := len(w.partition().Retired)
	w.nowMs += 61 * 60_000
	deletes := 0
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpDelete {
			deletes++
			require.Len(t, w.partition().Dropped, retired)
			require.Empty(t, w.partition().Retired)
		}
		return faultblob.Action{}
	})
	w.once(l)
	require.Equal(t, 1, deletes)
}

// TestOldDropsAreLeftAlone: a day after the commit nobody deletes any more, long before the id may be used again.
func TestOldDropsAreLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.flushes(6)
	cfg := small()
	cfg.Orphans.Every = 1000 * time.Hour // the look for orphans deletes too
	l, d := w.worker(cfg)
	w.once(l)
	w.nowMs += 61 * 60_000
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpDelete {
			return faultblob.Action{Kind: faultblob.CrashBefore}
		}
		return faultblob.Action{}
	})
	_, err := l.Once(context.Background())
	require.NoError(t, err)
	before := w.objects()
	w.nowMs += sweepMs + 1
	late, d := w.worker(small())
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		require.NotEqual(t, faultblob.OpDelete, c.Op)
		return faultblob.Action{}
	})
	w.once(late)
	require.Equal(t, before, w.objects())
}
