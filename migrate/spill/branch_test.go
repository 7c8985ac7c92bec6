package spill

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestBranches compares with a map: what is in branches that were joined is there, in their order, and of the others there is nothing, also on disk.
func TestBranches(t *testing.T) {
	for _, wins := range []Winner{FirstWins, LastWins} {
		rng := newRand(t)
		parent := t.TempDir()
		s := New(parent, 1, wins)
		s.siblings = 2 + rng.IntN(4)
		want := map[model.Day]map[string]string{}
		counts := map[model.Day]int64{}
		most := 0
		for range 60 {
			to, joins := s, true
			if rng.IntN(4) > 0 {
				to, joins = s.Branch(1), rng.IntN(3) > 0
			}
			for range rng.IntN(4000) {
				n := rng.IntN(20)
				ls := labels.FromStrings("__name__", fmt.Sprint("m", n%3), "z", fmt.Sprint(n))
				at := rng.Int64N(3)*model.MsPerDay + rng.Int64N(3000)
				c := &model.Columns{}
				v, h := rng.Float64(), []byte(nil)
				if n%5 == 0 && rng.IntN(2) == 0 {
					v, h = 0, []byte(fmt.Sprint("h", rng.Uint64()))
					c.AppendHistogram(at, h)
				} else {
					c.Append(at, v)
				}
				require.NoError(t, to.AddColumns(ls, c))
				if !joins {
					continue
				}
				day := model.DayOf(at)
				counts[day]++
				if want[day] == nil {
					want[day] = map[string]string{}
				}
				id := fmt.Sprintf("%s %d", ls, at)
				if _, ok := want[day][id]; !ok || wins == LastWins {
					want[day][id] = text(v, h)
				}
			}
			if to == s {
				continue
			}
			if joins {
				require.NoError(t, s.Join(to))
				require.Empty(t, to.Counts())
			}
			require.NoError(t, to.Close())
			most = max(most, len(s.runs))
		}
		require.NoError(t, s.Finish())
		files, err := filepath.Glob(filepath.Join(s.files.dir.Path(), "run-*"))
		require.NoError(t, err)
		require.Len(t, files, len(s.runs))
		require.Less(t, most, 40, "runs of branches are merged as well")
		require.Equal(t, counts, s.Counts())
		for day := range want {
			require.Equal(t, want[day], read(t, s, day), "%s", day.Dashed())
		}
		require.NoError(t, s.Close())
		left, err := os.ReadDir(parent)
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// TestBranchesAtOnce are filled by goroutines of their own.
func TestBranchesAtOnce(t *testing.T) {
	s := New(t.TempDir(), 1, LastWins)
	defer func() { require.NoError(t, s.Close()) }()
	var mu sync.Mutex // guards joining
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			b := s.Branch(1)
			c := &model.Columns{}
			for i := range int64(10_000) {
				c.Append(i, float64(g))
			}
			err := b.AddColumns(labels.FromStrings("g", fmt.Sprint(g)), c)
			if err == nil && g%2 == 0 {
				mu.Lock()
				err = s.Join(b)
				mu.Unlock()
			}
			if err == nil {
				err = b.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.NoError(t, s.Finish())
	require.Len(t, read(t, s, 0), 4*10_000)
}
