package verify

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/migrate/prom"
)

// BenchmarkVerify compares a day of counters, gauges and constants, scraped every 15 s: a block of Prometheus with the parquet that was made of it.
func BenchmarkVerify(b *testing.B) {
	dir := migratetest.DayBlock(b)
	bucket := blob.New(mem.New(), nil)
	store := catalog.New(bucket, nil, catalog.Components{})
	open := func() (migrate.Source, *migrate.Skips) {
		skips := migrate.NewSkips(true)
		src, err := prom.OpenTSDB(dir, skips, nil)
		require.NoError(b, err)
		return src, skips
	}
	src, skips := open()
	_, err := migrate.Run(context.Background(), &migrate.Config{Tenant: "t"}, migrate.Components{Bucket: bucket, Catalog: store}, src, skips)
	require.NoError(b, err)
	require.NoError(b, src.Close())
	b.ResetTimer()
	before, samples := migratetest.CPU(), int64(0)
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
	b.ReportMetric(float64(samples)/(migratetest.CPU()-before)/1e6, "Msamples/cpu-s")
}
