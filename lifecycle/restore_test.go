package lifecycle

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestRestore: what expired and was merged comes back with what was written since, for good: not the end of the snapshot, nor collection takes it away.
func TestRestore(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(5)
	w.snapshot("then")
	then := w.read()
	w.flushes(4)
	want := w.read()
	l, _ := w.worker(small())
	w.once(l)
	_, err := w.catalog.Commit(ctx, "t", testDay, catalog.Retire{IDs: ids(w.partition().Blocks[:1])})
	require.NoError(t, err)
	w.nowMs += 61 * 60_000
	w.once(l)

	at := Place{w.own, w.catalog}
	other := (testDay + 1).Range()
	r, err := Restore(ctx, at, "t", "then", RestoreOptions{Days: &other})
	require.NoError(t, err)
	require.Zero(t, r.Days)
	before := w.partition()
	r, err = Restore(ctx, at, "t", "then", RestoreOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, 5, r.Revived)
	require.Equal(t, before.Generation, w.partition().Generation)
	_, err = Restore(ctx, at, "t", "then", RestoreOptions{})
	require.NoError(t, err)
	for key, v := range then {
		if want[key] == v {
			require.Equal(t, v, w.read()[key])
		}
	}
	require.NoError(t, w.catalog.DeleteSnapshot(ctx, "t", "then"))
	for range 4 {
		w.nowMs += 61 * 60_000
		w.once(l)
	}
	got := w.read()
	for key := range then {
		require.Contains(t, got, key)
	}
	_, err = Restore(ctx, at, "t", "then", RestoreOptions{})
	require.ErrorIs(t, err, model.ErrInvalid)
}

// TestRestoreExact: the answers of the snapshot and no others.
func TestRestoreExact(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(5)
	w.snapshot("then")
	then := w.read()
	w.flushes(4)
	l, _ := w.worker(small())
	w.once(l)
	r, err := Restore(ctx, Place{w.own, w.catalog}, "t", "then", RestoreOptions{Exact: true})
	require.NoError(t, err)
	require.NotZero(t, r.Lost)
	require.NotZero(t, r.LostSamples)
	require.Equal(t, then, w.read())
}

// TestRestoreForgottenDelete: of a delete that was applied to everything and that the catalog has forgotten the requests tell.
func TestRestoreForgottenDelete(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(3)
	deleter, _ := w.deleter()
	_, err := deleter.Delete(ctx, w.request("before", `{__name__="none"}`, 0, 1000))
	require.NoError(t, err)
	w.later(1)
	w.snapshot("then")
	then := w.read()
	w.later(1)
	_, err = deleter.Delete(ctx, w.request("x", `{__name__=~".+"}`, 0, 86_399_999))
	require.NoError(t, err)
	for range 3 {
		l, _ := w.worker(small())
		w.once(l)
		w.daysLater(9)
	}
	require.Empty(t, w.partition().Blocks)
	require.Empty(t, w.partition().Tombstones)
	r, err := Restore(ctx, Place{w.own, w.catalog}, "t", "then", RestoreOptions{})
	require.ErrorIs(t, err, model.ErrInvalid)
	require.Equal(t, []string{"x"}, r.Deletes)
	require.Empty(t, w.partition().Blocks)
	_, err = Restore(ctx, Place{w.own, w.catalog}, "t", "then", RestoreOptions{UndoDeletes: true})
	require.NoError(t, err)
	require.Equal(t, then, w.read())
}

// TestRestoreDeleted: nothing is changed in any day when series were deleted since.
func TestRestoreDeleted(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(3)
	w.snapshot("then")
	_, err := w.catalog.Commit(ctx, "t", testDay, catalog.AddTombstone{ID: "x", CreatedMs: w.nowMs, Range: testDay.Range(), Matchers: `{i="1"}`})
	require.NoError(t, err)
	before := w.partition().Generation
	_, err = Restore(ctx, Place{w.own, w.catalog}, "t", "then", RestoreOptions{})
	require.ErrorIs(t, err, model.ErrInvalid)
	require.Equal(t, before, w.partition().Generation)
	r, err := Restore(ctx, Place{w.own, w.catalog}, "t", "then", RestoreOptions{UndoDeletes: true})
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, r.Deletes)
	require.Empty(t, w.partition().Tombstones)
}
