package query

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// snapshotWorld has two blocks in a snapshot "then", and a writer with more.
func snapshotWorld(t *testing.T) (w *world, first, second *blocks.Meta) {
	w = newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	first = w.flush("w1", 1, day0, data{}.add("a", t0, 1).add("b", t0, 1))
	second = w.flush("w1", 2, day0, data{}.add("a", t0, 2).add("a", t0+1, 2))
	_, err := w.store.CreateSnapshot(w.ctx(), testTenant, "then")
	require.NoError(t, err)
	return w, first, second
}

// TestSnapshotQuery: merges, deletes, expiry, later writes and unreachable writers change nothing of what a snapshot answers.
func TestSnapshotQuery(t *testing.T) {
	w, first, second := snapshotWorld(t)
	want := data{"a": {t0: 2, t0 + 1: 2}, "b": {t0: 1}}
	then := WithSnapshot(w.ctx(), "then")
	silent := &fakeSource{writer: "w1", err: model.ErrInvalid}
	w.sources = []model.Source{silent}
	q := w.queryable()
	for _, change := range []func(){
		func() {},
		func() { w.flush("w1", 3, day0, data{}.add("a", t0, 3).add("c", t0, 3)) },
		func() { w.flush("w1", 3, day0+1, data{}.add("a", t0+model.MsPerDay, 3)) },
		func() {
			_, err := w.store.Commit(w.ctx(), testTenant, day0, catalog.AddTombstone{ID: "x", Range: day0.Range(), Matchers: `{__name__="a"}`, CreatedMs: 1 << 50})
			require.NoError(t, err)
		},
		func() {
			_, err := w.store.Commit(w.ctx(), testTenant, day0, catalog.Retire{IDs: []string{first.ID, second.ID}})
			require.NoError(t, err)
		},
	} {
		change()
		for _, q := range []*Queryable{q, w.queryable()} {
			got := selectAll(then, t, q, t0, t0+2*model.MsPerDay, everything)
			require.NoError(t, got.err)
			require.Equal(t, want, got.data)
			querier, err := q.Querier(t0, t0+1000)
			require.NoError(t, err)
			values, _, err := querier.LabelValues(then, metricName, &storage.LabelHints{})
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b"}, values)
			require.NoError(t, querier.Close())
		}
	}
	got := selectAll(w.ctx(), t, q, t0, t0+10, everything)
	require.ErrorIs(t, got.err, model.ErrInvalid, "the present does ask the writer")
}

// TestSnapshotMasks: a tombstone that was in force when the snapshot was made hides in it too.
func TestSnapshotMasks(t *testing.T) {
	w := newWorld(t)
	w.flush("w1", 1, day0, data{}.add("a", t0, 1).add("b", t0, 1))
	_, err := w.store.Commit(w.ctx(), testTenant, day0, catalog.AddTombstone{ID: "x", Range: day0.Range(), Matchers: `{__name__="a"}`, CreatedMs: 1 << 50})
	require.NoError(t, err)
	_, err = w.store.CreateSnapshot(w.ctx(), testTenant, "then")
	require.NoError(t, err)
	got := selectAll(WithSnapshot(w.ctx(), "then"), t, w.queryable(), t0, t0+10, everything)
	require.NoError(t, got.err)
	require.Equal(t, data{"b": {t0: 1}}, got.data)
}

// TestSnapshotReads: a first query reads root, head and days of the snapshot, a second one the root alone; neither reads roster, catalogs or logs.
func TestSnapshotReads(t *testing.T) {
	w, _, _ := snapshotWorld(t)
	var keys []string
	q := w.queryable()
	w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
		if !strings.HasPrefix(c.Key, "d/") {
			keys = append(keys, strings.Join(strings.Split(c.Key, "/")[:1], "")+"/"+strings.Split(c.Key, "/")[2][:1])
		}
		return faultblob.Action{}
	})
	ctx, account := WithAccount(WithSnapshot(w.ctx(), "then"))
	require.NoError(t, selectAll(ctx, t, q, t0, t0+10, everything).err)
	require.Equal(t, []string{"t/r", "t/s", "t/s", "t/r"}, keys)
	require.LessOrEqual(t, account.Explain().Stages, 6)
	q.views.cache.Settle()
	keys = nil
	require.NoError(t, selectAll(ctx, t, q, t0, t0+10, everything).err)
	require.Equal(t, []string{"t/r", "t/r"}, keys)
}

func TestSnapshotErrors(t *testing.T) {
	w, first, _ := snapshotWorld(t)
	ask := func(q *Queryable, name string) error {
		return selectAll(WithSnapshot(w.ctx(), name), t, q, t0, t0+10, everything).err
	}
	q := w.queryable()
	require.ErrorIs(t, ask(q, "other"), model.ErrInvalid)
	require.ErrorContains(t, ask(q, "other"), `has no snapshot "other"`)
	require.ErrorIs(t, ask(q, "../x"), model.ErrInvalid)

	// Deleted while it is read: its blocks may go at any moment then.
	deleted := false
	w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Key == blocks.Key(first) && !deleted {
			deleted = true
			require.NoError(t, w.store.DeleteSnapshot(w.ctx(), testTenant, "then"))
			require.NoError(t, w.bucket.Delete(w.ctx(), blocks.Key(first)))
		}
		return faultblob.Action{}
	})
	require.ErrorIs(t, ask(q, "then"), model.ErrInvalid)
	require.ErrorIs(t, ask(q, "then"), model.ErrInvalid, "also from the caches")
	require.ErrorIs(t, ask(w.queryable(), "then"), model.ErrInvalid)

	// Made, but never completed.
	_, err := w.store.UpdateRoot(w.ctx(), testTenant, func(r *catalog.Root) error {
		r.Snapshots = append(r.Snapshots, catalog.SnapshotRef{Name: "half", ID: 7})
		return nil
	})
	require.NoError(t, err)
	require.ErrorContains(t, ask(q, "half"), "not complete")

	// A block that is gone though the snapshot names it.
	_, err = w.store.Commit(w.ctx(), testTenant, first.Day, catalog.Retire{IDs: []string{first.ID}})
	require.NoError(t, err)
	_, err = w.store.CreateSnapshot(w.ctx(), testTenant, "whole")
	require.NoError(t, err)
	require.NoError(t, ask(q, "whole"))
}
