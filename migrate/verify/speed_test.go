package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// BenchmarkVerify compares a day of counters, gauges and constants, scraped every 15 s: a block of Prometheus with the parquet that was made of it.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	const series = 1000
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	require.NoError(b, err)
	db.DisableCompactions()
	at := migratetest.FirstDay.Range().MinMs
	rng, values := rand.New(rand.NewPCG(1, 1)), make([]float64, series)
	for n := range int64(5761) { // the last is tomorrow's, so that the day is over
		app := db.Appender(context.Background())
		for i := range values {
			switch i % 4 {
			case 0: // a gauge
				values[i] = float64(rng.IntN(10_000)) / 100
			case 1, 2: // a counter
				values[i] += float64(rng.IntN(100))
			}
			ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", i%20), "instance", fmt.Sprintf("10.0.0.%d:9100", i/20), "job", "node")
			_, err := app.Append(0, ls, at+n*15_000, values[i])
			require.NoError(b, err)
		}
		require.NoError(b, app.Commit())
	}
	require.NoError(b, db.CompactHead(tsdb.NewRangeHead(db.Head(), at, at+model.MsPerDay)))
	require.NoError(b, db.Close())
	require.NoError(b, os.RemoveAll(dir+"/wal"))
	bucket := blob.New(mem.New(), nil)
	store := catalog.New(bucket, nil, catalog.Components{})
	open := func() (migrate.Source, *migrate.Skips) {
		skips := migrate.NewSkips(true)
		src, err := prom.OpenTSDB(dir, skips, nil)
		require.NoError(b, err)
		return src, skips
	}
	src, skips := open()
	_, err = migrate.Run(context.Background(), &migrate.Config{Tenant: "t"}, migrate.Components{Bucket: bucket, Catalog: store}, src, skips)
	require.NoError(b, err)
	require.NoError(b, src.Close())
	b.ResetTimer()
	before, samples := cpu(), int64(0)
	for b.Loop() {
		src, skips := open()
		targetSkips := migrate.NewSkips(true)
		target, err := own.Open(bucket, store, "t", targetSkips, &own.Options{NoLogs: true})
		require.NoError(b, err)
		r, err := Run(context.Background(), &Config{Job: migrate.Config{Tenant: "t"}}, Components{Source: src, Skips: skips, Target: target, TargetSkips: targetSkips})
		require.NoError(b, err)
		require.True(b, r.Equal)
		samples += r.Total.SourceSamples
		require.NoError(b, src.Close())
		require.NoError(b, target.Close())
	}
	b.ReportMetric(float64(samples)/(cpu()-before)/1e6, "Msamples/cpu-s")
}

// cpu is the processor time that the process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
