package verify

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// bucketWorld is a bucket, and a directory of Prometheus that is taken over to it.
type bucketWorld struct {
	*migratetest.World
	dir string
}

// newBucketWorld makes a directory with blocks and a log of some days.
func newBucketWorld(t *testing.T, days int) *bucketWorld {
	w := &bucketWorld{migratetest.New(t), t.TempDir()}
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(w.dir, nil, nil, opts, nil)
	require.NoError(t, err)
	db.DisableCompactions()
	from := migratetest.FirstDay.Range().MinMs
	for at := from; at < from+int64(days)*model.MsPerDay-4*3_600_000; at += 1_800_000 {
		app := db.Appender(context.Background())
		w.Scrape(app, at)
		require.NoError(t, app.Commit())
	}
	require.NoError(t, db.Compact(context.Background())) // all but the last hours, which stay in the log
	require.NoError(t, db.Close())
	return w
}

func (w *bucketWorld) source() (migrate.Source, *migrate.Skips) {
	skips := migrate.NewSkips(false)
	src, err := prom.OpenTSDB(w.dir, skips, &prom.TSDBOptions{TempDir: w.T.TempDir(), SortBytes: 1})
	require.NoError(w.T, err)
	return src, skips
}

func (w *bucketWorld) backfill() {
	src, skips := w.source()
	defer func() { require.NoError(w.T, src.Close()) }()
	w.Backfill(migratetest.Small(), src, skips)
}

// verify compares the directory with the bucket, which is reached by b.
func (w *bucketWorld) verify(b *blob.Bucket) (*Report, error) {
	src, skips := w.source()
	defer func() { require.NoError(w.T, src.Close()) }()
	targetSkips := migrate.NewSkips(false)
	store := catalog.New(b, &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.Now, Sleep: w.Sleep})
	target, err := own.Open(b, store, "t", targetSkips, &own.Options{TempDir: w.T.TempDir()})
	require.NoError(w.T, err)
	defer func() { require.NoError(w.T, target.Close()) }()
	return Run(context.Background(), &Config{Job: *migratetest.Small(), Exact: true}, Components{Source: src, Skips: skips, Target: target, TargetSkips: targetSkips, Now: w.Now})
}

// TestBackfilled: what was taken over is the same.
func TestBackfilled(t *testing.T) {
	for days := range 2 {
		w := newBucketWorld(t, 1+days)
		w.backfill()
		r, err := w.verify(w.Own)
		require.NoError(t, err)
		require.True(t, r.Equal, "%+v", r.Differences)
		require.Equal(t, r.Total.SourceSamples, r.Total.TargetSamples)
		require.Greater(t, r.Total.SourceSamples, int64(300))
		require.Positive(t, r.Total.SourceHistograms)
		require.Empty(t, r.Unreadable)
	}
}

// TestLostBlock: a block that is gone from the bucket, or damaged, is not equal, and it is named.
func TestLostBlock(t *testing.T) {
	w := newBucketWorld(t, 1)
	w.backfill()
	p, err := w.Catalog.Partition(context.Background(), "t", migratetest.FirstDay, nil)
	require.NoError(t, err)
	e := p.Blocks[w.Rand.IntN(len(p.Blocks))]
	require.NoError(t, w.Own.Delete(context.Background(), blocks.Key(e.Meta)))
	r, err := w.verify(w.Own)
	require.NoError(t, err)
	require.False(t, r.Equal)
	require.GreaterOrEqual(t, r.Total.MissingSamples, e.Samples)
	require.Contains(t, r.Unreadable[0].Where, e.ID)
}

// TestDeletedInBucket: a tombstone in the bucket hides samples that the source has.
func TestDeletedInBucket(t *testing.T) {
	w := newBucketWorld(t, 1)
	w.backfill()
	_, err := w.Catalog.Commit(context.Background(), "t", migratetest.FirstDay, catalog.AddTombstone{
		ID: "x1", Range: model.TimeRange{MinMs: at(3600), MaxMs: at(7200)}, Matchers: `{i="4"}`, CreatedMs: w.NowMs,
	})
	require.NoError(t, err)
	r, err := w.verify(w.Own)
	require.NoError(t, err)
	require.False(t, r.Equal)
	require.Equal(t, int64(3), r.Total.MissingSamples)
}

// TestDeadBucket lets each call of the comparison fail, or all from one on: it is an error, or equal in spite of it, and never something else.
func TestDeadBucket(t *testing.T) {
	w := newBucketWorld(t, 1)
	w.backfill()
	failed := 0
	for n := 1; ; n++ {
		d := faultblob.Wrap(w.Store)
		calls := 0
		d.SetHook(func(faultblob.Call) faultblob.Action {
			if calls++; calls >= n {
				return faultblob.Action{Kind: faultblob.Fail}
			}
			return faultblob.Action{}
		})
		r, err := w.verify(blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1}))
		if d.Calls() < n {
			require.NoError(t, err)
			require.True(t, r.Equal)
			break
		}
		require.ErrorIs(t, err, faultblob.ErrInjected)
		require.False(t, r.Equal)
		require.False(t, r.Complete)
		failed++
	}
	require.Greater(t, failed, 5)
}
