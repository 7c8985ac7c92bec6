package prom

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestOverlappingBlocks takes all samples of a series whose blocks interleave.
func TestOverlappingBlocks(t *testing.T) {
	dir := t.TempDir()
	from := migratetest.FirstDay.Range().MinMs
	ls := labels.FromStrings("__name__", "m")
	want := map[string]string{}
	for n := range int64(2) {
		w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, model.MsPerDay)
		require.NoError(t, err)
		app, c := w.Appender(context.Background()), &model.Columns{}
		for i := range int64(50) {
			c.Append(from+i*60_000+n*7_000, float64(i))
			_, err := app.Append(0, ls, c.T[i], c.V[i])
			require.NoError(t, err)
		}
		require.NoError(t, app.Commit())
		_, err = w.Flush(context.Background())
		require.NoError(t, err)
		require.NoError(t, w.Close())
		migratetest.Put(want, ls, c)
	}
	w := newWorld(t)
	r, skips := w.tsdb(migratetest.Small(), dir)
	require.Empty(t, skips.Named())
	require.Equal(t, int64(100), r.Samples)
	w.Complete(want)
}
