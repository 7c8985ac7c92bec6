package prom

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
	"github.com/varvedb/varve/model"
)

// BenchmarkTSDB takes over a day of counters, gauges and constants, scraped every 15 s.
func BenchmarkTSDB(b *testing.B) {
	dir := b.TempDir()
	const series = 1000
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	require.NoError(b, err)
	db.DisableCompactions()
	at := migratetest.FirstDay.Range().MinMs
	refs := make([]labels.Labels, series)
	for i := range refs {
		refs[i] = labels.FromStrings("__name__", fmt.Sprintf("metric_%d_total", i%20), "instance", fmt.Sprintf("10.0.0.%d:9100", i/20), "job", "node")
	}
	rng, values := rand.New(rand.NewPCG(1, 1)), make([]float64, series)
	for n := range int64(5761) { // the last is tomorrow's, so that the day is over
		app := db.Appender(context.Background())
		for i, ls := range refs {
			switch i % 4 {
			case 0: // a gauge
				values[i] = float64(rng.IntN(10_000)) / 100
			case 1, 2: // a counter
				values[i] += float64(rng.IntN(100))
			}
			_, err := app.Append(0, ls, at+n*15_000, values[i])
			require.NoError(b, err)
		}
		require.NoError(b, app.Commit())
	}
	require.NoError(b, db.CompactHead(tsdb.NewRangeHead(db.Head(), at, at+model.MsPerDay)))
	require.NoError(b, db.Close())
	require.NoError(b, os.RemoveAll(dir+"/wal"))
	b.ResetTimer()
	before := cpu()
	samples := int64(0)
	var bytes int64
	for b.Loop() {
		bucket := blob.New(mem.New(), nil)
		skips := migrate.NewSkips(true)
		src, err := OpenTSDB(dir, skips, nil)
		require.NoError(b, err)
		r, err := migrate.Run(context.Background(), &migrate.Config{Tenant: "t"}, migrate.Components{Bucket: bucket, Catalog: catalog.New(bucket, nil, catalog.Components{})}, src, skips)
		require.NoError(b, err)
		require.NoError(b, src.Close())
		samples += r.Samples
		bytes += r.Bytes
	}
	b.ReportMetric(float64(samples)/(cpu()-before)/1e6, "Msamples/cpu-s")
	b.ReportMetric(float64(bytes)/float64(samples), "bytes/sample")
}

// cpu is the processor time that the process has used, in seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
