package prom

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
)

// BenchmarkTSDB takes over a day of counters, gauges and constants, scraped every 15 s.
func BenchmarkTSDB(b *testing.B) {
	dir := migratetest.DayBlock(b)
	b.ResetTimer()
	before := migratetest.CPU()
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
	b.ReportMetric(float64(samples)/(migratetest.CPU()-before)/1e6, "Msamples/cpu-s")
	b.ReportMetric(float64(bytes)/float64(samples), "bytes/sample")
}
