//go:build unix

package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// BenchmarkRollup rolls up a compacted day of counters, gauges and constants, 15 s apart, beginning to end, in a bucket in memory.
func BenchmarkRollup(b *testing.B) {
	const series = 2000
	ctx := context.Background()
	m, data := benchDay(b, series)
	cpu := func() float64 {
		var r syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
		return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
	}
	var before float64
	var rolled int64
	for b.Loop() {
		b.StopTimer()
		w := &world{nowMs: testDay.Range().MaxMs + 2*model.MsPerDay}
		bucket := blob.New(mem.New(), &blob.Options{Retries: -1})
		store := catalog.New(bucket, nil, catalog.Components{Now: w.now, Sleep: w.sleep})
		_, err := bucket.PutIfAbsent(ctx, blocks.Key(m), data)
		require.NoError(b, err)
		_, err = store.Commit(ctx, "t", testDay, catalog.Add{Writer: "w", Generation: 1, Meta: m})
		require.NoError(b, err)
		l, err := New(&Config{Rollups: Forever}, Components{Bucket: bucket, Catalog: store, Now: w.now, Sleep: w.sleep})
		require.NoError(b, err)
		b.StartTimer()
		start := cpu()
		r, err := l.Once(ctx)
		before += cpu() - start
		require.NoError(b, err)
		require.Equal(b, 1, r.Rollups)
		rolled = r.OutputBytes
	}
	b.ReportMetric(float64(m.Samples)*float64(b.N)/before/1e6, "Msamples/cpu-s")
	b.ReportMetric(float64(m.Size)/float64(m.Samples), "raw-B/sample")
	b.ReportMetric(float64(rolled)/float64(m.Samples), "rolled-B/sample")
}

func benchDay(b *testing.B, series int) (*blocks.Meta, []byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	var in []blocks.BuildSeries
	for i := range series {
		c, v := &model.Columns{}, 0.0
		for t := testDay.Range().MinMs; t <= testDay.Range().MaxMs; t += 15_000 {
			switch i % 4 {
			case 0, 1:
				v += float64(rng.IntN(20))
			case 2:
				v = float64(rng.IntN(10_000)) / 100
			}
			c.Append(t, v)
		}
		ls := labels.FromStrings("__name__", fmt.Sprintf("metric_%03d", i/40), "instance", fmt.Sprintf("host-%04d:9100", i%40), "job", "node")
		in = append(in, blocks.BuildSeries{Labels: ls, Columns: c})
	}
	var buf bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: testDay, Writer: "w", Generation: 1, Format: blocks.Parquet}, seqOf(in), &buf)
	require.NoError(b, err)
	return m, buf.Bytes()
}
