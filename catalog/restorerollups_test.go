package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
)

// rolledMeta is a rollup of generations from to to.
func rolledMeta(id string, f blocks.Format, from, to uint64, replaces ...string) *blocks.Meta {
	m := merged(id, from, to)
	m.Format, m.Replaces = f, replaces
	return m
}

// TestRestoreRollups: rollups go back to what they were, with marks at blocks that agree with them; they stay where they hold more than raw blocks do.
func TestRestoreRollups(t *testing.T) {
	ctx := t.Context()
	then := blockIDs(1, 2)
	first := Roll{Inputs: then, Outputs: []*blocks.Meta{rolledMeta("m1", blocks.Rollup5m, 1, 2), rolledMeta("h1", blocks.Rollup1h, 1, 2)}}
	late := add("w", 3)
	second := Roll{Inputs: append(blockIDs(1, 2), late.Meta.ID), Replaces: []string{"h1", "m1"}, Outputs: []*blocks.Meta{rolledMeta("m2", blocks.Rollup5m, 1, 3, "h1", "m1"), rolledMeta("h2", blocks.Rollup1h, 1, 3, "h1", "m1")}}
	all := append(blockIDs(1, 2), late.Meta.ID)
	for _, c := range []struct {
		name    string
		ops     []Operation
		exact   bool
		live    []string
		rolled  []string
		rollups []string
		thinned bool
	}{
		{"nothing", nil, false, then, then, []string{"h1", "m1"}, false},
		{"late samples, rolled", []Operation{late, second}, false, all, all, []string{"h2", "m2"}, false}, // nothing to bring back
		{"late samples, rolled and lost", []Operation{late, second}, true, then, then, []string{"h1", "m1"}, false},
		{"a block expired", []Operation{late, second, Retire{IDs: then[:1]}}, false, all, then, []string{"h1", "m1"}, false},
		{"raw samples expired", []Operation{late, second, Retire{IDs: all, Thin: true}}, false, then, then, []string{"h2", "m2"}, true},
		{"raw samples expired, exactly", []Operation{late, second, Retire{IDs: all, Thin: true}}, true, then, then, []string{"h1", "m1"}, false},
		{"all expired", []Operation{Retire{IDs: then, Thin: true}, Retire{IDs: []string{"h1", "m1"}}}, false, then, then, []string{"h1", "m1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := withBlocks(t, mem.New())
			_, err := s.Commit(ctx, "t", testDay, first)
			require.NoError(t, err)
			snap, err := s.CreateSnapshot(ctx, "t", "then")
			require.NoError(t, err)
			require.Equal(t, int64(4), snap.Days[0].Blocks)
			require.Equal(t, addedSamples(t, s), snap.Days[0].Samples, "rollups hold the same samples again")
			for _, op := range c.ops {
				_, err := s.Commit(ctx, "t", testDay, op)
				require.NoError(t, err, "%v", op)
			}
			res, err := s.Commit(ctx, "t", testDay, Restore{Day: day(t, s, "then"), Exact: c.exact})
			require.NoError(t, err)
			p := res.Partition
			require.ElementsMatch(t, c.live, live(p))
			var rolled, rollups []string
			for _, e := range p.Blocks {
				require.Empty(t, p.Masks(&e), "raw samples that had expired are seen again")
				if e.Rolled {
					rolled = append(rolled, e.ID)
				}
			}
			for _, e := range p.Rollups {
				rollups = append(rollups, e.ID)
			}
			require.ElementsMatch(t, c.rolled, rolled)
			require.Equal(t, c.rollups, rollups)
			require.Equal(t, c.thinned, p.Thinned)
		})
	}
}

// TestImportRollups: a day of another bucket comes with its rollups.
func TestImportRollups(t *testing.T) {
	s, _ := newStore(mem.New(), 1)
	from := fullRolled()
	from.GravestoneMs, from.Quarantined = 0, nil
	res, err := s.Commit(t.Context(), "t", testDay, Import{from})
	require.NoError(t, err)
	p := res.Partition
	require.Len(t, p.Rollups, 2)
	require.True(t, p.Thinned)
	require.True(t, p.Blocks[0].Rolled)
	require.Equal(t, ScopeRollups, p.Tombstones[2].Scope)
	res, err = s.Commit(t.Context(), "t", testDay, Import{from})
	require.NoError(t, err)
	require.Equal(t, Already, res.Outcome)
}

// addedSamples is how many samples the live raw blocks of the day have.
func addedSamples(t *testing.T, s *Store) (n int64) {
	for _, e := range mustPartition(t, s).Blocks {
		n += e.Samples
	}
	require.NotZero(t, n)
	return n
}
