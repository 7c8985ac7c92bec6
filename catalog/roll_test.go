package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestRollOfNothing: blocks of stale markers or of samples that are masked make no rollups. They count as Rolled nevertheless, a repetition finds that done, and
// rollups of before go.
func TestRollOfNothing(t *testing.T) {
	ctx := t.Context()
	s := withBlocks(t, mem.New())
	inputs := blockIDs(1, 2)
	empty := Roll{Inputs: inputs, Job: "roll"}
	_, err := s.Commit(ctx, "t", testDay, TakeClaim{Job: "roll", Holder: "me", UntilMs: 1 << 60})
	require.NoError(t, err)
	res, err := s.Commit(ctx, "t", testDay, empty)
	require.NoError(t, err)
	require.Equal(t, Added, res.Outcome)
	require.Empty(t, res.Partition.Unrolled())
	require.Empty(t, res.Partition.Claims, "the job is done")
	res, err = s.Commit(ctx, "t", testDay, empty)
	require.NoError(t, err)
	require.Equal(t, Already, res.Outcome)

	late := add("w", 3)
	_, err = s.Commit(ctx, "t", testDay, late)
	require.NoError(t, err)
	all := append(blockIDs(1, 2), late.Meta.ID)
	_, err = s.Commit(ctx, "t", testDay, Roll{Inputs: all, Outputs: []*blocks.Meta{rolledMeta("m1", blocks.Rollup5m, 1, 3)}})
	require.NoError(t, err)
	_, err = s.Commit(ctx, "t", testDay, Roll{Inputs: all})
	require.ErrorIs(t, err, model.ErrConflict, "it has to say that it replaces what is there")
	res, err = s.Commit(ctx, "t", testDay, Roll{Inputs: all, Replaces: []string{"m1"}})
	require.NoError(t, err)
	require.Equal(t, Added, res.Outcome)
	require.Empty(t, res.Partition.Rollups)
	require.True(t, res.Partition.IsRetired("m1"))
}

// TestMergesOfThinnedDays: what came late to a day that lost raw samples stays late through merges, and is rolled up all at once or not at all.
func TestMergesOfThinnedDays(t *testing.T) {
	ctx := t.Context()
	s := withBlocks(t, mem.New())
	commit := func(op Operation) (*Partition, error) {
		res, err := s.Commit(ctx, "t", testDay, op)
		if err != nil {
			return nil, err
		}
		return res.Partition, nil
	}
	early := blockIDs(1, 2)
	_, err := commit(Roll{Inputs: early, Outputs: []*blocks.Meta{rolledMeta("m1", blocks.Rollup5m, 1, 2)}})
	require.NoError(t, err)
	_, err = commit(AddTombstone{ID: RetentionPrefix + "x", CreatedMs: 1_700_000_000_000, Range: testDay.Range(), Matchers: `{a="b"}`, Scope: ScopeRaw})
	require.NoError(t, err)
	third, fourth := add("w", 3), add("w", 4)
	for _, op := range []Operation{third, fourth} {
		_, err = commit(op)
		require.NoError(t, err)
	}
	late := []string{third.Meta.ID, fourth.Meta.ID}
	_, err = commit(Replace{Inputs: append([]string{early[1]}, late...), Outputs: []*blocks.Meta{merged("mixed", 2, 4)}})
	require.ErrorIs(t, err, model.ErrInvalid)
	p, err := commit(Replace{Inputs: late, Outputs: []*blocks.Meta{merged("y", 3, 4), merged("z", 3, 4)}})
	require.NoError(t, err)
	require.False(t, p.Live("y").Rolled || p.Live("z").Rolled)
	require.Len(t, p.Unrolled(), 2)

	outputs := []*blocks.Meta{rolledMeta("m2", blocks.Rollup5m, 1, 4, "m1")}
	_, err = commit(Roll{Inputs: append(early, "y"), Replaces: []string{"m1"}, Outputs: outputs})
	require.ErrorIs(t, err, model.ErrConflict, "z would be hidden and is nowhere else")
	p, err = commit(Roll{Inputs: append(early, "y", "z"), Replaces: []string{"m1"}, Outputs: outputs})
	require.NoError(t, err)
	require.Empty(t, p.Unrolled())
}
