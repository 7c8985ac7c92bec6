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

// TestOutOfOrderBlockTie takes, of two samples of one time of which one is in the log and the other in a block of out-of-order samples, the one that Prometheus answers.
func TestOutOfOrderBlockTie(t *testing.T) {
	dir, db := lateDatabase(t, 0, 600_000, 1_200_000, 1_800_000, 600_000)
	before := migratetest.Contents(t, db)
	require.NoError(t, db.CompactOOOHead(context.Background()))
	require.NotEmpty(t, db.Blocks())
	want := migratetest.Contents(t, db)
	require.Equal(t, before, want)
	require.NoError(t, db.Close())
	w := newWorld(t)
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}

// TestOutOfOrderLogTie takes, of two samples of one time of which one is in a block and the other in the log of out-of-order samples, the one that Prometheus answers.
func TestOutOfOrderLogTie(t *testing.T) {
	var times []int64
	for i := range int64(160) {
		times = append(times, i*60_000)
	}
	dir, db := lateDatabase(t, times...)
	from := migratetest.FirstDay.Range().MinMs
	require.NoError(t, db.CompactHead(tsdb.NewRangeHead(db.Head(), from, from+2*3_600_000-1)))
	require.Len(t, db.Blocks(), 1)
	appendTo(t, db, 1000, times[105:118]...)
	want := migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	w := newWorld(t)
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}

// TestOverlappingBlocksTie takes, of two samples of one time in two blocks, the one that Prometheus answers.
func TestOverlappingBlocksTie(t *testing.T) {
	dir := t.TempDir()
	from := migratetest.FirstDay.Range().MinMs
	for n := range int64(2) {
		w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, model.MsPerDay)
		require.NoError(t, err)
		app := w.Appender(context.Background())
		for i := n; i < 10+n; i++ {
			for _, x := range []string{"1", "2"} {
				_, err := app.Append(0, labels.FromStrings("__name__", "m", "x", x), from+i*60_000, float64(i+100*n))
				require.NoError(t, err)
			}
		}
		require.NoError(t, app.Commit())
		_, err = w.Flush(context.Background())
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	db, err := tsdb.Open(dir, nil, nil, smallOptions(), nil)
	require.NoError(t, err)
	db.DisableCompactions()
	want := migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	w := newWorld(t)
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}
