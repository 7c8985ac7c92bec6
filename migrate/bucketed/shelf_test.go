package bucketed

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

func everything(labels.Labels) bool { return true }

// read counts the samples of a day.
func read(t *testing.T, s *Source, day model.Day) (n int) {
	for series, err := range s.Series(context.Background(), day.Range(), everything) {
		require.NoError(t, err)
		c := &model.Columns{}
		require.NoError(t, series.Samples(c, day.Range()))
		n += c.Len()
	}
	return n
}

// TestShelf holds blocks from their first day until no day that may be read needs them.
func TestShelf(t *testing.T) {
	w := newWorld(t)
	for d := range int64(5) {
		w.upload(block{samples: samples{`{__name__="m"}`: every(first+d*model.MsPerDay, first+(d+1)*model.MsPerDay, hour)}})
	}
	w.upload(block{samples: samples{`{__name__="n"}`: every(first, first+3*model.MsPerDay, hour)}})
	s := New(blob.New(w.from, nil), migrate.NewSkips(true), &Options{TempDir: w.temp, Parallel: 2})
	days, err := s.Days(context.Background(), model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}, everything)
	require.NoError(t, err)
	require.Len(t, days, 5)
	here := func() (n int) {
		dirs, err := os.ReadDir(s.shelf.dir.path)
		require.NoError(t, err)
		for _, d := range dirs {
			if d.IsDir() && strings.HasPrefix(d.Name(), "0") {
				n++
			}
		}
		return n
	}
	for d, want := range []int{2, 3, 3, 3, 2} {
		n := read(t, s, migratetest.FirstDay+model.Day(d))
		require.Equal(t, []int{48, 48, 48, 24, 24}[d], n)
		require.InDelta(t, n, days[d].Samples, 2)
		require.Equal(t, want, here(), "after day %d", d)
	}
	// Days may be read at one time, and again, and given up in the middle.
	var group sync.WaitGroup
	for range 3 {
		for d := range model.Day(5) {
			group.Go(func() {
				for range s.Series(context.Background(), (migratetest.FirstDay + d).Range(), everything) {
					break
				}
				_ = read(t, s, migratetest.FirstDay+d)
			})
		}
	}
	group.Wait()
	require.NoError(t, s.Close())
	left, err := os.ReadDir(w.temp)
	require.NoError(t, err)
	require.Empty(t, left)
}
