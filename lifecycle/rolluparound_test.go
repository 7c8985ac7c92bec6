package lifecycle

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestRollupsAndSnapshots: a snapshot keeps rollups, another bucket gets them, and a restore brings them back with what they hold.
func TestRollupsAndSnapshots(t *testing.T) {
	ctx := context.Background()
	w := newRollWorld(t)
	w.retain(yearly("9d"))
	w.scrape(0, 24, true)
	w.daysLater(1)
	l, _ := w.worker(rolls())
	w.settle(l, 3)
	then := w.rolled(blocks.Rollup5m)
	_, err := w.catalog.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	w.scrape(3, 4, true)
	w.settle(l, 30)
	w.daysLater(9)
	w.settle(l, 3)
	now := w.rolled(blocks.Rollup5m)
	require.Zero(t, w.rawSamples(""))

	place, there := w.place(w.store, w.store)
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{DryRun: true})
	require.NoError(t, err)
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{})
	require.NoError(t, err)
	require.NotZero(t, w.rawSamples(""))
	require.Equal(t, now, w.rolled(blocks.Rollup5m), "they hold the late samples too")
	require.Empty(t, w.partition().Unrolled())
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{Exact: true})
	require.NoError(t, err)
	_ = there
	require.False(t, w.partition().Thinned && len(w.partition().Rollups) == 0)

	other := faultblob.Wrap(newWorld(t).store)
	to, copied := w.place(newWorld(t).store, other)
	_ = copied
	_, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
	require.NoError(t, err)
	p, err := to.Catalog.Partition(ctx, "t", testDay, nil)
	require.NoError(t, err)
	require.Len(t, p.Rollups, 6)
	require.Empty(t, p.Unrolled())
	got := map[string]rolledWindow{}
	for i := range p.Rollups {
		if p.Rollups[i].Format == blocks.Rollup5m {
			r := blocks.NewRollupReader(ctx, blocks.Stored{Bucket: to.Bucket}, p.Rollups[i].Meta, nil, nil)
			for r.Next() {
				takeWindows(got, r.Labels().String(), r.Rollup())
			}
			require.NoError(t, r.Err())
			r.Close()
		}
	}
	require.Equal(t, then, got)
}

// TestRollupOrphans: rollups that were uploaded and never committed go, those that are live stay.
func TestRollupOrphans(t *testing.T) {
	w := newRollWorld(t)
	w.retain(yearly("30d"))
	w.scrape(0, 4, true)
	w.daysLater(1)
	broken, d := w.worker(rolls())
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpPut && strings.HasPrefix(c.Key, "t/") && w.bytes("r/") > 0 {
			return faultblob.Action{Kind: faultblob.CrashBefore}
		}
		return faultblob.Action{}
	})
	_, _ = broken.Once(context.Background())
	require.NotZero(t, w.bytes("r/"))
	orphans := w.bytes("r/")
	w.scrape(4, 5, true) // so that the next roll-up is another one
	l, _ := w.worker(rolls())
	w.settle(l, 30)
	require.Greater(t, w.bytes("r/"), orphans)
	for range 30 {
		w.later(2)
		w.once(l)
	}
	var live int64
	for _, e := range w.partition().Rollups {
		live += e.Size
	}
	require.Equal(t, live, w.bytes("r/"))
	w.same()
	require.Empty(t, w.partition().Retired)
	_, err := w.catalog.Commit(context.Background(), "t", testDay, catalog.Drop{IDs: []string{w.partition().Rollups[0].ID}})
	require.ErrorIs(t, err, model.ErrConflict, "live")
}

// TestRollupsAndUndoneDeletes: rollups that stay because raw samples have expired cannot get back what was deleted, so that is refused; exactly as it was the day can be had.
func TestRollupsAndUndoneDeletes(t *testing.T) {
	ctx := context.Background()
	w := newRollWorld(t)
	w.retain(yearly("9d"))
	w.scrape(0, 24, true)
	w.daysLater(1)
	l, _ := w.worker(rolls())
	w.settle(l, 3)
	then := w.rolled(blocks.Rollup5m)
	_, err := w.catalog.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	deleter, _ := w.deleter()
	_, err = deleter.Delete(ctx, w.request("x", `{i="1"}`, 3_700_000, 11_000_000))
	require.NoError(t, err)
	w.settle(l, 3)
	w.daysLater(9)
	w.settle(l, 3)
	require.True(t, w.partition().Thinned)
	require.Less(t, len(w.rolled(blocks.Rollup5m)), len(then))

	place, _ := w.place(w.store, w.store)
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{})
	require.ErrorContains(t, err, "deleted since")
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{UndoDeletes: true})
	require.ErrorIs(t, err, model.ErrInvalid)
	require.ErrorContains(t, err, "exactly")
	_, err = Restore(ctx, place, "t", "then", RestoreOptions{UndoDeletes: true, Exact: true})
	require.NoError(t, err)
	require.Equal(t, then, w.rolled(blocks.Rollup5m))
}
