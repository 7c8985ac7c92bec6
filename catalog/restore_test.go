package catalog

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// day is the snapshot's reading of testDay.
func day(t *testing.T, s *Store, name string) *Partition {
	t.Helper()
	root, err := s.Root(context.Background(), "t", nil)
	require.NoError(t, err)
	kept, err := s.SnapshotsOf(context.Background(), root, testDay)
	require.NoError(t, err)
	for _, k := range kept {
		if k.Name == name {
			return k.Partition
		}
	}
	t.Fatalf("no snapshot %s", name)
	return nil
}

// restoreWorld has blocks of generations 1 and 2 in the snapshot "then", and does to them what ops say.
func restoreWorld(t *testing.T, ops ...Operation) (*Store, func(Restore) (*Partition, error)) {
	ctx := context.Background()
	s := withBlocks(t, mem.New())
	_, err := s.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	for _, op := range ops {
		_, err := s.Commit(ctx, "t", testDay, op)
		require.NoError(t, err, "%v", op)
	}
	return s, func(r Restore) (*Partition, error) {
		r.Day = day(t, s, "then")
		res, err := s.Commit(ctx, "t", testDay, r)
		return res.Partition, err
	}
}

func live(p *Partition) (ids []string) {
	for _, e := range p.Blocks {
		ids = append(ids, e.ID)
	}
	return ids
}

// merged is a merge of generations from to to.
func merged(id string, from, to uint64) *blocks.Meta {
	m := meta(id, "", 0)
	m.Sources = []blocks.Source{{Writer: "w", From: from, To: to}}
	return m
}

func TestRestore(t *testing.T) {
	then := blockIDs(1, 2)
	for _, c := range []struct {
		name       string
		ops        []Operation
		exact      bool
		live       []string
		retired    int
		tombstones int
	}{
		{"nothing changed", nil, false, then, 0, 0},
		{"expired", []Operation{Retire{IDs: then}}, false, then, 0, 0},
		{"merged", []Operation{Replace{Inputs: then, Outputs: []*blocks.Meta{merged("m", 1, 2)}}}, false, then, 1, 0},
		{"written since", []Operation{add("w", 3)}, false, blockIDs(1, 2, 3), 0, 0},
		{"written since, exact", []Operation{add("w", 3)}, true, then, 1, 0},
		{"merged with what was written since", []Operation{add("w", 3), Replace{Inputs: blockIDs(1, 2, 3), Outputs: []*blocks.Meta{merged("m", 1, 3)}}}, false, append(blockIDs(1, 2), "m"), 1, 0},
		{"the same, exact", []Operation{add("w", 3), Replace{Inputs: blockIDs(1, 2, 3), Outputs: []*blocks.Meta{merged("m", 1, 3)}}}, true, then, 2, 0},
		{"another writer", []Operation{add("v", 1), Retire{IDs: blockIDs(2)}}, false, append(blockIDs(1, 2), blocks.ID("v", 1, "t", testDay, 0)), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, restore := restoreWorld(t, c.ops...)
			for range 2 { // the second time it finds that it is done
				p, err := restore(Restore{Exact: c.exact})
				require.NoError(t, err)
				require.Equal(t, c.live, live(p))
				require.Len(t, p.Retired, c.retired)
				require.True(t, p.FlushedThrough("w", 2))
				for i := 1; i < len(p.Blocks); i++ {
					require.LessOrEqual(t, p.Blocks[i-1].Order, p.Blocks[i].Order)
				}
			}
			plan, err := Restore{Day: day(t, s, "then"), Exact: c.exact}.Plan(mustPartition(t, s))
			require.NoError(t, err)
			require.True(t, plan.None())
		})
	}
}

func mustPartition(t *testing.T, s *Store) *Partition {
	p, err := s.Partition(context.Background(), "t", testDay, nil)
	require.NoError(t, err)
	return p
}

// TestRestoreDeletes: what was deleted since does not come back unasked, be the tombstone in force or applied.
func TestRestoreDeletes(t *testing.T) {
	tomb := AddTombstone{ID: "x", Range: testDay.Range(), Matchers: `{a="b"}`, CreatedMs: 1_700_000_000_000}
	applied := merged("m", 1, 2)
	applied.Tombstones = []string{"x"}
	for _, ops := range [][]Operation{
		{tomb},
		{tomb, Replace{Inputs: blockIDs(1, 2), Outputs: []*blocks.Meta{applied}}},
	} {
		_, restore := restoreWorld(t, ops...)
		_, err := restore(Restore{})
		require.ErrorIs(t, err, model.ErrInvalid)
		require.ErrorContains(t, err, "deleted since")
		p, err := restore(Restore{UndoDeletes: true})
		require.NoError(t, err)
		require.Equal(t, blockIDs(1, 2), live(p))
		require.Empty(t, p.Tombstones)
		for i := range p.Blocks {
			require.Empty(t, p.Masks(&p.Blocks[i]))
		}
	}
}

// TestRestoreExpired: what retention has hidden since is no delete that somebody asked for, be its tombstone in force or applied; it comes back unasked, and expires again.
func TestRestoreExpired(t *testing.T) {
	tomb := AddTombstone{ID: RetentionPrefix + "x-1", Range: testDay.Range(), Matchers: `{a="b"}`, CreatedMs: 1_700_000_000_000}
	applied := merged("m", 1, 2)
	applied.Tombstones = []string{tomb.ID}
	for _, ops := range [][]Operation{
		{tomb},
		{tomb, Replace{Inputs: blockIDs(1, 2), Outputs: []*blocks.Meta{applied}}},
	} {
		_, restore := restoreWorld(t, ops...)
		p, err := restore(Restore{})
		require.NoError(t, err)
		require.Equal(t, blockIDs(1, 2), live(p))
		require.Empty(t, p.Tombstones)
	}
	require.Equal(t, []string{"x"}, Asked([]string{tomb.ID, "x"}))
}

// TestRestoreMasks: what was masked when the snapshot was made is masked when it comes back.
func TestRestoreMasks(t *testing.T) {
	ctx := context.Background()
	s, clock := newStore(mem.New(), 1)
	_, err := s.Commit(ctx, "t", testDay, add("w", 1))
	require.NoError(t, err)
	_, err = s.Commit(ctx, "t", testDay, AddTombstone{ID: "x", Range: testDay.Range(), Matchers: `{a="b"}`, CreatedMs: s.nowMs()})
	require.NoError(t, err)
	_, err = s.CreateSnapshot(ctx, "t", "then")
	require.NoError(t, err)
	_, err = s.Commit(ctx, "t", testDay, Retire{IDs: blockIDs(1)})
	require.NoError(t, err)
	require.NoError(t, clock.Sleep(ctx, 8*24*3600e9))
	_, err = s.Commit(ctx, "t", testDay, DropTombstones{IDs: []string{"x"}})
	require.NoError(t, err)
	res, err := s.Commit(ctx, "t", testDay, Restore{Day: day(t, s, "then")})
	require.NoError(t, err)
	require.Len(t, res.Partition.Masks(&res.Partition.Blocks[0]), 1)
}

// TestRestoreWhatIsGone: a block that the catalog does not know any more is not made live on trust.
func TestRestoreWhatIsGone(t *testing.T) {
	_, restore := restoreWorld(t, Retire{IDs: blockIDs(1)}, Drop{IDs: blockIDs(1)})
	_, err := restore(Restore{})
	require.ErrorIs(t, err, model.ErrConflict)
	require.ErrorContains(t, err, "not in the catalog any more")
}

func TestImport(t *testing.T) {
	ctx := context.Background()
	s, _ := restoreWorld(t)
	then := day(t, s, "then")
	other, _ := newStore(mem.New(), 3)
	for range 2 {
		res, err := other.Commit(ctx, "t", testDay, Import{then})
		require.NoError(t, err)
		require.Equal(t, blockIDs(1, 2), live(res.Partition))
		require.Equal(t, then.Flushed, res.Partition.Flushed)
		require.Equal(t, then.Blocks[1].Order, res.Partition.Blocks[1].Order)
		require.Greater(t, res.Partition.Generation, then.Generation)
	}
	res, err := other.Commit(ctx, "t", testDay, add("w", 3))
	require.NoError(t, err)
	require.Greater(t, res.Partition.Blocks[2].Order, then.Blocks[1].Order)
	_, err = other.Commit(ctx, "t", testDay, Import{then})
	require.NoError(t, err, "it is there")

	busy, _ := newStore(mem.New(), 4)
	_, err = busy.Commit(ctx, "t", testDay, add("v", 1))
	require.NoError(t, err)
	_, err = busy.Commit(ctx, "t", testDay, Import{then})
	require.ErrorIs(t, err, model.ErrConflict)
}
