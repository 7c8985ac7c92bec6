package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// snapshot makes one of the tenant.
func (w *world) snapshot(name string) {
	_, err := w.catalog.CreateSnapshot(context.Background(), "t", name)
	require.NoError(w.t, err)
}

// readSnapshot demands that every block that the snapshot names can be read, and returns how many there are.
func (w *world) readSnapshot(name string) int {
	w.t.Helper()
	ctx := context.Background()
	root, err := w.catalog.Root(ctx, "t", nil)
	require.NoError(w.t, err)
	ref, err := root.Snapshot(name)
	require.NoError(w.t, err)
	snap, err := w.catalog.OpenSnapshot(ctx, "t", ref)
	require.NoError(w.t, err)
	p, err := w.catalog.SnapshotDay(ctx, snap, testDay)
	require.NoError(w.t, err)
	for _, e := range p.Blocks {
		sel, err := blocks.Select(ctx, blocks.Stored{Bucket: w.own}, e.Meta, &blocks.Query{Range: testDay.Range()})
		require.NoError(w.t, err)
		sel.Close()
	}
	return len(p.Blocks)
}

// TestCollectSparesSnapshots: what a snapshot names stays, whatever else was retired goes; when the snapshot is deleted, the rest goes too.
func TestCollectSparesSnapshots(t *testing.T) {
	w := newWorld(t)
	w.flushes(6)
	w.snapshot("then")
	l, _ := w.worker(small())
	w.once(l)
	first := len(w.partition().Retired)
	require.NotZero(t, first)
	w.flushes(6)
	w.once(l)
	retired := len(w.partition().Retired)
	require.Greater(t, retired, first, "some that the snapshot does not name")
	want := w.read()
	w.nowMs += 61 * 60_000
	r := w.once(l)
	// Blocks of the snapshot that the first look left alone may have been merged by the second.
	require.Positive(t, r.Collected)
	spared := retired - r.Collected
	require.GreaterOrEqual(t, spared, first)
	require.Equal(t, 6, w.readSnapshot("then"))
	require.Equal(t, want, w.read())
	require.Zero(t, w.once(l).Collected)

	require.NoError(t, w.catalog.DeleteSnapshot(context.Background(), "t", "then"))
	w.nowMs += 60_000
	require.Equal(t, spared, w.once(l).Collected, "the change of the root wakes the worker")
	w.onlyLive()
}

// TestCollectWaitsForMaking: while a snapshot is being made nothing is collected, and after a day its making is given up.
func TestCollectWaitsForMaking(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(6)
	l, _ := w.worker(small())
	w.once(l)
	_, err := w.catalog.UpdateRoot(ctx, "t", func(r *catalog.Root) error {
		if len(r.Snapshots) == 0 {
			r.Snapshots = append(r.Snapshots, catalog.SnapshotRef{Name: "half", ID: 9, CreatedMs: w.nowMs})
		}
		return nil
	})
	require.NoError(t, err)
	rubbish := catalog.SnapshotKey("t", catalog.SnapshotRef{Name: "old", ID: 3})
	_, err = w.own.PutIfAbsent(ctx, rubbish, []byte("x"))
	require.NoError(t, err)
	w.nowMs += 3 * 60 * 60_000
	r := w.once(l)
	require.Zero(t, r.Collected)
	require.Empty(t, r.Abandoned)
	_, _, err = w.own.Get(ctx, rubbish)
	require.ErrorIs(t, err, model.ErrNotFound)
	w.nowMs += 24 * 60 * 60_000
	r = w.once(l)
	require.Equal(t, []string{"t/half"}, r.Abandoned)
	w.nowMs += 60_000
	require.NotZero(t, w.once(l).Collected)
	w.onlyLive()
}

// TestUnreadableSnapshotKeepsAll: who cannot tell what a snapshot names collects nothing.
func TestUnreadableSnapshotKeepsAll(t *testing.T) {
	w := newWorld(t)
	w.flushes(6)
	w.snapshot("then")
	l, d := w.worker(small())
	w.once(l)
	before := w.objects()
	w.nowMs += 61 * 60_000
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if strings.HasPrefix(c.Key, "t/t/s/") {
			return faultblob.Action{Kind: faultblob.Fail, Err: model.ErrNotFound}
		}
		return faultblob.Action{}
	})
	r, err := l.Once(context.Background())
	require.NoError(t, err)
	require.NotEmpty(t, r.Failures)
	require.Zero(t, r.Collected)
	require.Equal(t, before, w.objects())
}

// TestSnapshotAtEveryCallOfCollection makes a snapshot, merges what it names and lets a grace pass while a collector stands still before its n-th call: whatever the collector has
// read by then, what the snapshot names stays.
func TestSnapshotAtEveryCallOfCollection(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		w.flushes(6)
		merger, _ := w.worker(small())
		w.once(merger)
		w.nowMs += 61 * 60_000
		l, d := w.worker(small())
		hit := false
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.N == n {
				hit = true
				w.flushes(6)
				w.snapshot("then")
				w.once(merger)
				w.nowMs += 61 * 60_000
			}
			return faultblob.Action{}
		})
		r, err := l.Once(context.Background())
		require.NoError(t, err)
		require.Empty(t, r.Failures)
		if !hit {
			require.Greater(t, n, 5)
			return
		}
		w.readSnapshot("then")
		other, _ := w.worker(small())
		w.once(other)
		w.readSnapshot("then")
	}
}

// TestSpareFaultsAtEveryCall: whatever happens to a call of a worker that collects around a snapshot, the snapshot can be read, and so can what is live.
func TestSpareFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}, {Kind: faultblob.Tear, Keep: 1}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(4)
			w.snapshot("then")
			w.flushes(3)
			first, _ := w.worker(small())
			w.once(first)
			want := w.read()
			w.nowMs += int64(25 * time.Hour / time.Millisecond)
			l, d := w.worker(small())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			require.Equal(t, 4, w.readSnapshot("then"))
			other, _ := w.worker(small())
			w.once(other)
			require.Equal(t, 4, w.readSnapshot("then"))
			require.Equal(t, want, w.read())
			if d.Calls() < n {
				require.Greater(t, n, 6)
				break
			}
		}
	}
}
