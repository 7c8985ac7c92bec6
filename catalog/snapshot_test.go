package catalog

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// snapshotIDs are the blocks that the snapshot names in testDay.
func snapshotIDs(t *testing.T, s *Store, name string) (ids []string) {
	t.Helper()
	ctx := context.Background()
	root, err := s.Root(ctx, "t", nil)
	require.NoError(t, err)
	ref, err := root.Snapshot(name)
	require.NoError(t, err)
	snap, err := s.OpenSnapshot(ctx, "t", ref)
	require.NoError(t, err)
	p, err := s.SnapshotDay(ctx, snap, testDay)
	require.NoError(t, err)
	for _, e := range p.Blocks {
		ids = append(ids, e.ID)
	}
	return ids
}

// withBlocks is a store over a bucket with two blocks of one day.
func withBlocks(t *testing.T, d *mem.Driver) *Store {
	s, _ := newStore(d, 1)
	for gen := range uint64(2) {
		_, err := s.Commit(context.Background(), "t", testDay, add("w", gen+1))
		require.NoError(t, err)
	}
	return s
}

func blockIDs(gens ...uint64) (ids []string) {
	for _, g := range gens {
		ids = append(ids, blocks.ID("w", g, "t", testDay, 0))
	}
	return ids
}

func TestSnapshot(t *testing.T) {
	ctx := context.Background()
	s := withBlocks(t, mem.New())
	_, err := s.CreateSnapshot(ctx, "nobody", "a")
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = s.CreateSnapshot(ctx, "t", "../a")
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = s.CreateSnapshot(ctx, "../t", "a")
	require.ErrorIs(t, err, model.ErrInvalid)
	snap, err := s.CreateSnapshot(ctx, "t", "a")
	require.NoError(t, err)
	n, samples, bytes := snap.Total()
	require.Equal(t, []int64{2, 60, 2000}, []int64{n, samples, bytes})
	_, err = s.CreateSnapshot(ctx, "t", "a")
	require.ErrorIs(t, err, model.ErrConflict)
	require.ErrorContains(t, err, "exists")

	// What comes later does not change it.
	_, err = s.Commit(ctx, "t", testDay, Retire{IDs: blockIDs(1)})
	require.NoError(t, err)
	_, err = s.Commit(ctx, "t", testDay, add("w", 3))
	require.NoError(t, err)
	_, err = s.Commit(ctx, "t", testDay+1, Add{Writer: "w", Generation: 3})
	require.NoError(t, err)
	require.Equal(t, blockIDs(1, 2), snapshotIDs(t, s, "a"))
	p, err := s.SnapshotDay(ctx, snap, testDay+1)
	require.NoError(t, err)
	require.Nil(t, p)

	root, err := s.Root(ctx, "t", nil)
	require.NoError(t, err)
	kept, err := s.SnapshotsOf(ctx, root, testDay)
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.Len(t, kept[0].Partition.Blocks, 2)
	kept, err = s.SnapshotsOf(ctx, root, testDay+1)
	require.NoError(t, err)
	require.Empty(t, kept)
	_, err = s.DeleteTenant(ctx, "t")
	require.ErrorIs(t, err, model.ErrConflict)

	require.NoError(t, s.DeleteSnapshot(ctx, "t", "a"))
	require.ErrorIs(t, s.DeleteSnapshot(ctx, "t", "a"), model.ErrInvalid)
	_, err = s.OpenSnapshot(ctx, "t", root.Snapshots[0])
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = s.SnapshotsOf(ctx, root, testDay)
	require.ErrorIs(t, err, model.ErrUnavailable, "an old root: it was deleted meanwhile")

	// The name is free again, for another snapshot.
	_, err = s.CreateSnapshot(ctx, "t", "a")
	require.NoError(t, err)
	require.Equal(t, blockIDs(2, 3), snapshotIDs(t, s, "a"))
}

func TestSnapshotOfManyDays(t *testing.T) {
	ctx := context.Background()
	d := mem.New()
	s, _ := newStore(d, 1)
	for i := range model.Day(100) {
		day := testDay + i*7 // more than can be asked for blindly
		m := meta(blocks.ID("w", 1, "t", day, 0), "w", 1)
		m.Day, m.MinT, m.MaxT = day, day.Range().MinMs, day.Range().MaxMs
		_, err := s.Commit(ctx, "t", day, Add{Writer: "w", Generation: 1, Meta: m})
		require.NoError(t, err)
	}
	snap, err := s.CreateSnapshot(ctx, "t", "a")
	require.NoError(t, err)
	require.Len(t, snap.Days, 100)
	r := model.TimeRange{MinMs: (testDay + 70).Range().MinMs, MaxMs: (testDay + 140).Range().MaxMs}
	root, err := s.Root(ctx, "t", nil)
	require.NoError(t, err)
	asked := 0
	v, err := s.SnapshotView(ctx, root, snap, r, func(model.Day) *Partition { asked++; return nil })
	require.NoError(t, err)
	require.Len(t, v.Partitions, 11)
	require.Equal(t, 11, asked)
}

// TestSnapshotFaultsAtEveryCall: whatever happens to a call of creation, the snapshot is there, or it is being made and can be finished, or deleted; the catalogs
// are read after the registration.
func TestSnapshotFaultsAtEveryCall(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []faultblob.Kind{faultblob.Fail, faultblob.LoseAnswer, faultblob.CrashBefore, faultblob.CrashAfter, faultblob.Tear} {
		for n := 1; ; n++ {
			inner := mem.New()
			own := withBlocks(t, inner)
			d := faultblob.Wrap(inner)
			d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind}))
			other, _ := newStore(d, 2)
			_, err := other.CreateSnapshot(ctx, "t", "a")
			root, rootErr := own.Root(ctx, "t", nil)
			require.NoError(t, rootErr)
			ref, known := root.findSnapshot("a")
			if err == nil {
				require.True(t, ref.Complete)
			} else {
				require.True(t, errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed), "%v", err)
			}
			if !known {
				_, err = own.CreateSnapshot(ctx, "t", "a")
			} else {
				_, err = own.CreateSnapshot(ctx, "t", "a")
				require.ErrorIs(t, err, model.ErrConflict)
				_, err = own.FinishSnapshot(ctx, "t", "a")
			}
			require.NoError(t, err)
			require.Equal(t, blockIDs(1, 2), snapshotIDs(t, own, "a"))
			require.NoError(t, own.DeleteSnapshot(ctx, "t", "a"))
			if d.Calls() < n {
				require.Greater(t, n, 5)
				break
			}
		}
	}
}

// TestSnapshotDeletedWhileMade: whoever finds his registration gone takes his object with him.
func TestSnapshotDeletedWhileMade(t *testing.T) {
	ctx := context.Background()
	for n := 3; n < 12; n++ {
		inner := mem.New()
		own := withBlocks(t, inner)
		d := faultblob.Wrap(inner)
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.N == n {
				if err := own.DeleteSnapshot(ctx, "t", "a"); err == nil {
					_, err = own.CreateSnapshot(ctx, "t", "a") // another one of the name
					require.NoError(t, err)
				}
			}
			return faultblob.Action{}
		})
		slow, _ := newStore(d, 2)
		_, err := slow.CreateSnapshot(ctx, "t", "a")
		if err != nil {
			require.ErrorIs(t, err, model.ErrConflict)
		}
		require.Equal(t, blockIDs(1, 2), snapshotIDs(t, own, "a"))
		objects := 0
		for o, err := range bucketOf(inner).List(ctx, SnapshotPrefix("t")) {
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(o.Key, "t/t/s/a."))
			objects++
		}
		require.Equal(t, 1, objects)
	}
}

// TestSnapshotCompletedWhileForgotten: a snapshot that was given up for dead is completed at any call of who deletes it. Then either it is gone, or it is whole; and where an
// answer is lost, its object goes all the same.
func TestSnapshotCompletedWhileForgotten(t *testing.T) {
	ctx := context.Background()
	incomplete := func(r SnapshotRef) bool { return !r.Complete }
	begun := func() (*mem.Driver, *Store) {
		inner := mem.New()
		own := withBlocks(t, inner)
		d := faultblob.Wrap(inner)
		puts := 0
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.Op == faultblob.OpPut {
				puts++
			}
			if puts == 3 { // registered, written, and not complete
				return faultblob.Action{Kind: faultblob.CrashBefore}
			}
			return faultblob.Action{}
		})
		maker, _ := newStore(d, 2)
		_, err := maker.CreateSnapshot(ctx, "t", "a")
		require.ErrorIs(t, err, faultblob.ErrCrashed)
		return inner, own
	}
	completed := 0
	for n := 1; ; n++ {
		inner, own := begun()
		d := faultblob.Wrap(inner)
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.N == n {
				if _, err := own.FinishSnapshot(ctx, "t", "a"); err == nil {
					completed++
				}
			}
			return faultblob.Action{}
		})
		tidier, _ := newStore(d, 3)
		gone, err := tidier.ForgetSnapshots(ctx, "t", incomplete)
		require.NoError(t, err)
		root, err := own.Root(ctx, "t", nil)
		require.NoError(t, err)
		require.Equal(t, len(gone), 1-len(root.Snapshots), "call %d", n)
		if len(gone) == 0 {
			require.Equal(t, blockIDs(1, 2), snapshotIDs(t, own, "a"), "call %d", n)
		}
		if d.Calls() < n {
			break
		}
	}
	require.Positive(t, completed)
	for n := 1; ; n++ {
		inner, _ := begun()
		d := faultblob.Wrap(inner)
		d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: faultblob.LoseAnswer}))
		tidier, _ := newStore(d, 3)
		if gone, err := tidier.ForgetSnapshots(ctx, "t", incomplete); err == nil {
			require.Len(t, gone, 1)
			for o, err := range bucketOf(inner).List(ctx, SnapshotPrefix("t")) {
				require.NoError(t, err)
				require.Fail(t, "an object is left: "+o.Key, "call %d", n)
			}
		}
		if d.Calls() < n {
			break
		}
	}
}

// TestSnapshotsOfOneName: of many who create at once, one does, and those who finish beside it agree.
func TestSnapshotsOfOneName(t *testing.T) {
	ctx := context.Background()
	inner := mem.New()
	withBlocks(t, inner)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range byte(6) {
		wg.Go(func() {
			s, _ := newStore(inner, 10+i)
			_, err := s.CreateSnapshot(ctx, "t", "a")
			if err == nil {
				mu.Lock()
				made++
				mu.Unlock()
				return
			}
			if !errors.Is(err, model.ErrConflict) {
				t.Error(err)
			}
			if _, err := s.FinishSnapshot(ctx, "t", "a"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, made)
	s, _ := newStore(inner, 99)
	require.Equal(t, blockIDs(1, 2), snapshotIDs(t, s, "a"))
}

// TestSnapshotReadsAfterRegistration: no catalog is read before the root says that a snapshot is being made.
func TestSnapshotReadsAfterRegistration(t *testing.T) {
	ctx := context.Background()
	inner := mem.New()
	own := withBlocks(t, inner)
	d := faultblob.Wrap(inner)
	reads := 0
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op == faultblob.OpGet && strings.HasPrefix(c.Key, "t/t/c/") {
			reads++
			root, err := own.Root(ctx, "t", nil)
			require.NoError(t, err)
			require.Len(t, root.Snapshots, 1)
		}
		return faultblob.Action{}
	})
	s, _ := newStore(d, 2)
	_, err := s.CreateSnapshot(ctx, "t", "a")
	require.NoError(t, err)
	require.NotZero(t, reads)
}
