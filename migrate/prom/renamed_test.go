package prom

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestRenamed reads series under other labels: in order, each once, with all samples of those that became it, however many runs are sorted.
func TestRenamed(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	from := migratetest.FirstDay.Range().MinMs
	bw, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, model.MsPerDay)
	require.NoError(t, err)
	// Some labels are taken away and some added, so that the order changes and several become one; copies are told apart by what was taken.
	rename := func(ls labels.Labels) (seen, taken labels.Labels, replica string) {
		b := labels.NewBuilder(ls).Set("m", "x")
		return b.Labels(), b.Del("a").Labels(), ls.Get("a")
	}
	wanted, copies := map[string]string{}, map[string]map[string]bool{}
	app := bw.Appender(context.Background())
	for n := range 300 {
		b := labels.NewBuilder(labels.FromStrings("__name__", fmt.Sprintf("m%d", w.Rand.IntN(2))))
		for _, name := range []string{"A", "a", "b", "z"} {
			if w.Rand.IntN(3) > 0 {
				b.Set(name, fmt.Sprint(w.Rand.IntN(4)))
			}
		}
		ls, c := b.Labels(), &model.Columns{}
		c.Append(from+int64(n), float64(n))
		_, err := app.Append(0, ls, c.T[0], c.V[0])
		require.NoError(t, err)
		seen, taken, replica := rename(ls)
		if seen.Get("z") != "3" {
			migratetest.Put(wanted, taken, c)
			if copies[taken.String()] == nil {
				copies[taken.String()] = map[string]bool{}
			}
			copies[taken.String()][replica] = true
		}
	}
	require.NoError(t, app.Commit())
	id, err := bw.Flush(context.Background())
	require.NoError(t, err)
	require.NoError(t, bw.Close())
	block, err := OpenBlock(dir+"/"+id.String(), migrate.NewSkips(true), &BlockOptions{Rename: rename})
	require.NoError(t, err)
	defer func() { require.NoError(t, block.Close()) }()
	for _, run := range []int{1, 7, 4096} {
		block.runSeries = run
		got, last := map[string]string{}, labels.EmptyLabels()
		day := migratetest.FirstDay.Range()
		for s, err := range block.Series(context.Background(), day, func(ls labels.Labels) bool { return ls.Get("m") == "x" && ls.Get("z") != "3" }) {
			require.NoError(t, err)
			require.True(t, last.IsEmpty() || index.Less(last, s.Labels()), "%s after %s", s.Labels(), last)
			last = s.Labels()
			c := &model.Columns{}
			require.NoError(t, s.Samples(c, day))
			migratetest.Put(got, s.Labels(), c)
			names := map[string]bool{}
			all := s.(Copied).Copies()
			require.True(t, slices.IsSortedFunc(all, func(a, b Copy) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }))
			for _, one := range all {
				names[one.Name] = true
			}
			require.Equal(t, copies[s.Labels().String()], names)
		}
		migratetest.Same(t, wanted, got, "runs of %d", run)
	}
}
