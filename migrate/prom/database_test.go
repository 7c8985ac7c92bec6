package prom

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// world is a bucket that directories of Prometheus are taken over to.
type world struct{ *migratetest.World }

func newWorld(t *testing.T) *world { return &world{migratetest.New(t)} }

// tsdb runs a job over a directory.
func (w *world) tsdb(cfg *migrate.Config, dir string) (*migrate.Report, *migrate.Skips) {
	skips := migrate.NewSkips(false)
	src, err := OpenTSDB(dir, skips, &TSDBOptions{TempDir: w.T.TempDir(), SortBytes: 1})
	require.NoError(w.T, err)
	defer func() { require.NoError(w.T, src.Close()) }()
	return w.Backfill(cfg, src, skips), skips
}

// database is a data directory with blocks of two hours over some days, and a log behind them; it returns what is in it, by Prometheus' own querier.
func (w *world) database(days int) (dir string, want map[string]string) { return w.databaseOf(days, 2) }

// databaseOf is a database with blocks of so many hours.
func (w *world) databaseOf(days int, hours int64) (dir string, want map[string]string) {
	dir = w.T.TempDir()
	opts := smallOptions()
	opts.MinBlockDuration = hours * 3_600_000
	opts.MaxBlockDuration = max(opts.MinBlockDuration, opts.MaxBlockDuration)
	opts.RetentionDuration = 0
	opts.OutOfOrderTimeWindow = 3_600_000
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(w.T, err)
	db.DisableCompactions()
	from := migratetest.FirstDay.Range().MinMs
	for at := from; at < from+int64(days)*model.MsPerDay-4*3_600_000; at += 1_800_000 {
		w.scrape(db, at)
		if (at-from)%(2*3_600_000) == 0 && at > from {
			require.NoError(w.T, db.Compact(context.Background()))
		}
	}
	db.EnableCompactions()
	require.NoError(w.T, db.Compact(context.Background()))
	want = migratetest.Contents(w.T, db)
	require.NoError(w.T, db.Close())
	return dir, want
}

// smallOptions are those of a database that takes little memory.
func smallOptions() *tsdb.Options {
	opts := tsdb.DefaultOptions()
	opts.StripeSize = 64
	opts.WALSegmentSize = 64 << 10
	opts.HeadChunksWriteBufferSize = 64 << 10
	return opts
}

// lateDatabase takes samples out of order, and has got one sample of m after another, of these times in ms of the first day. Its values count them.
func lateDatabase(t *testing.T, times ...int64) (dir string, db *tsdb.DB) {
	dir = t.TempDir()
	opts := smallOptions()
	opts.OutOfOrderTimeWindow = 3_600_000
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(t, err)
	db.DisableCompactions()
	appendTo(t, db, 0, times...)
	return dir, db
}

// appendTo appends samples of m one after another. Their values count from first.
func appendTo(t *testing.T, db *tsdb.DB, first int, times ...int64) {
	for i, at := range times {
		app := db.Appender(context.Background())
		_, err := app.Append(0, labels.FromStrings("__name__", "m"), migratetest.FirstDay.Range().MinMs+at, float64(first+i))
		require.NoError(t, err)
		require.NoError(t, app.Commit())
	}
}

// scrape is a scrape and some series besides: one without a name, and one that comes late.
func (w *world) scrape(db *tsdb.DB, at int64) {
	app := db.Appender(context.Background())
	w.Scrape(app, at)
	_, err := app.Append(0, labels.FromStrings("no", "name"), at, w.Rand.Float64())
	require.NoError(w.T, err)
	if at%3_600_000 == 0 && at > migratetest.FirstDay.Range().MinMs+3_600_000 {
		_, err = app.Append(0, labels.FromStrings("__name__", "m1", "late", "1"), at-900_000, 1)
		require.NoError(w.T, err)
		_, err = app.Append(0, labels.FromStrings("__name__", "m1", "late", "1"), at-int64(w.Rand.IntN(1_000_000)), 2) // may be out of order
		if err != nil {
			require.ErrorContains(w.T, err, "duplicate")
		}
	}
	require.NoError(w.T, app.Commit())
}

// blockDirs are the blocks of a database.
func blockDirs(t *testing.T, dir string) []string {
	out, err := filepath.Glob(filepath.Join(dir, "0*", "meta.json"))
	require.NoError(t, err)
	for i := range out {
		out[i] = filepath.Dir(out[i])
	}
	return out
}

// files are names and contents of a directory.
func files(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

func parse(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err)
	return n
}
