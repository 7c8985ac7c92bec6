package catalog

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestUpdateRoot(t *testing.T) {
	ctx := context.Background()
	s, _ := newStore(mem.New(), 1)
	set := func(name, value string) func(*Root) error {
		return func(r *Root) error {
			if r.Settings == nil {
				r.Settings = map[string]string{}
			}
			r.Settings[name] = value
			return nil
		}
	}
	r, err := s.UpdateRoot(ctx, "t", set("of a later version", "x"))
	require.NoError(t, err)
	require.Equal(t, uint64(1), r.Generation)
	_, err = s.Commit(ctx, "t", testDay, add("w", 1))
	require.NoError(t, err)
	r, err = s.UpdateRoot(ctx, "t", set("retention", "1"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"of a later version": "x", "retention": "1"}, r.Settings)
	require.Equal(t, []model.Day{testDay}, r.Days)
	require.Equal(t, uint64(3), r.Generation)
	r, err = s.UpdateRoot(ctx, "t", set("retention", "1"))
	require.NoError(t, err)
	require.Equal(t, uint64(3), r.Generation, "nothing to write")

	_, err = s.UpdateRoot(ctx, "t", func(*Root) error { return model.ErrLimit })
	require.ErrorIs(t, err, model.ErrLimit)
	_, err = s.UpdateRoot(ctx, "t", func(r *Root) error { r.GravestoneMs = 1; return nil })
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = s.UpdateRoot(ctx, "t", func(r *Root) error { r.Days = nil; return nil })
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = s.UpdateRoot(ctx, "../t", set("a", "b"))
	require.ErrorIs(t, err, model.ErrInvalid)
}

// bury deletes the tenant as the command does.
func bury(s *Store) error {
	root, err := s.DeleteTenant(context.Background(), "t")
	if err != nil {
		return err
	}
	for _, d := range root.Days {
		if _, err := s.Bury(context.Background(), root, d); err != nil {
			return err
		}
	}
	return nil
}

func TestDeleteTenant(t *testing.T) {
	ctx := context.Background()
	s, clock := newStore(mem.New(), 1)
	_, err := s.DeleteTenant(ctx, "t")
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = s.Commit(ctx, "t", testDay, add("w", 1))
	require.NoError(t, err)
	_, err = s.UpdateRoot(ctx, "t", func(r *Root) error { r.Snapshots = []SnapshotRef{{Name: "yearly"}}; return nil })
	require.NoError(t, err)
	_, err = s.DeleteTenant(ctx, "t")
	require.ErrorIs(t, err, model.ErrConflict)
	require.ErrorContains(t, err, "yearly")
	root, err := s.UpdateRoot(ctx, "t", func(r *Root) error { r.Snapshots, r.Settings = nil, map[string]string{"a": "b"}; return nil })
	require.NoError(t, err)
	_, err = s.Bury(ctx, root, testDay)
	require.ErrorIs(t, err, model.ErrInvalid, "a living tenant")

	before, err := s.Partition(ctx, "t", testDay, nil)
	require.NoError(t, err)
	require.NoError(t, bury(s))
	root, err = s.Root(ctx, "t", nil)
	require.NoError(t, err)
	require.Equal(t, clock.Now().UnixMilli(), root.GravestoneMs)
	require.Equal(t, []model.Day{testDay}, root.Days)
	require.Empty(t, root.Settings)
	p, err := s.Partition(ctx, "t", testDay, nil)
	require.NoError(t, err)
	require.NotZero(t, p.GravestoneMs)
	require.Empty(t, p.Blocks)
	require.Equal(t, before.Generation+1, p.Generation, "the count goes on")
	require.Equal(t, before.Trail, p.Trail[:len(p.Trail)-1])
	_, err = s.Bury(ctx, root, testDay+1)
	require.ErrorIs(t, err, model.ErrInvalid, "a day that was never entered")

	// A year later nothing has changed.
	_ = clock.Sleep(ctx, 365*24*3600*1e9)
	for _, op := range []Operation{add("w", 1), add("w", 2), Add{Writer: "w", Generation: 9}, Drop{IDs: []string{"x"}}, TakeClaim{Job: "j"}} {
		_, err = s.Commit(ctx, "t", testDay, op)
		require.ErrorIs(t, err, ErrGravestone, "%v", op)
	}
	_, err = s.Commit(ctx, "t", testDay+1, Add{Writer: "w", Generation: 9})
	require.ErrorIs(t, err, ErrGravestone, "a new day")
	_, err = s.UpdateRoot(ctx, "t", func(*Root) error { return nil })
	require.ErrorIs(t, err, ErrGravestone)
	require.NoError(t, bury(s))
	again, err := s.Root(ctx, "t", nil)
	require.NoError(t, err)
	require.Equal(t, root.Generation, again.Generation)
	deleted, err := s.IsDeleted(ctx, "t")
	require.NoError(t, err)
	require.True(t, deleted)
	deleted, err = s.IsDeleted(ctx, "u")
	require.NoError(t, err)
	require.False(t, deleted)
}

// TestDeletionMeetsWriter deletes the tenant at each call of a writer that commits to a new day, and at each call of the deletion lets the writer commit: once
// the deletion has ended nothing is live, and nothing becomes so.
func TestDeletionMeetsWriter(t *testing.T) {
	ctx := context.Background()
	commit := func(s *Store) { _, _ = s.Commit(ctx, "t", testDay, add("w", 1)) }
	for _, deletesWithin := range []bool{true, false} {
		for n := 1; ; n++ {
			d := mem.New()
			quiet, _ := newStore(d, 1)
			_, err := quiet.Commit(ctx, "t", testDay-1, Add{Writer: "w", Generation: 1})
			require.NoError(t, err)
			f := faultblob.Wrap(d)
			s, _ := newStore(f, 2)
			f.SetHook(func(c faultblob.Call) faultblob.Action {
				if c.N == n && deletesWithin {
					require.NoError(t, bury(quiet))
				} else if c.N == n {
					commit(quiet)
				}
				return faultblob.Action{}
			})
			if deletesWithin {
				commit(s)
			} else {
				require.NoError(t, bury(s))
			}
			if f.Calls() < n {
				require.Greater(t, n, 3)
				break
			}
			commit(quiet)
			root, err := quiet.Root(ctx, "t", nil)
			require.NoError(t, err)
			require.NotZero(t, root.GravestoneMs)
			for _, day := range []model.Day{testDay - 1, testDay} {
				p, err := quiet.Partition(ctx, "t", day, nil)
				require.NoError(t, err)
				require.Empty(t, p.Blocks, "call %d", n)
				require.Equal(t, root.Has(day), p.GravestoneMs != 0)
			}
		}
	}
}
