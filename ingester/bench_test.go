package ingester

import (
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// BenchmarkAppend writes requests of 5,000 series to the real file system, one sample a series, fsync on.
func BenchmarkAppend(b *testing.B) {
	for _, series := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d", series), func(b *testing.B) {
			w := newWorld(b, 1)
			p := w.process(nil)
			p.c.FS, p.c.Dir = vfs.OS{}, b.TempDir()
			cfg := config()
			cfg.MemoryBytes, cfg.SegmentBytes = 8<<30, 8<<20
			i := w.open(p, cfg)
			const perBatch = 5000
			batches := make([]*model.Batch, series/perBatch)
			for n := range batches {
				batches[n] = &model.Batch{Labels: textLabels{}}
				for k := range perBatch {
					key := fmt.Sprintf("__name__=metric_%d\x00instance=host-%d:9100\x00job=node\x00mode=idle", k%50, n*perBatch+k)
					batches[n].Series = append(batches[n].Series, model.BatchSeries{Key: []byte(key), First: int32(k), Count: 1})
					batches[n].Samples = append(batches[n].Samples, model.Sample{V: float64(rand.Intn(1000))})
				}
			}
			send := func(n int) {
				batch := batches[n%len(batches)]
				for k := range batch.Samples {
					batch.Samples[k].T = w.nowMs + int64(n/len(batches))*15000
					batch.Samples[k].V += float64(k % 7)
				}
				if _, err := i.Append(context.Background(), "a", batch); err != nil {
					b.Fatal(err)
				}
			}
			for n := range batches {
				send(n)
			}
			b.ReportAllocs()
			b.ResetTimer()
			n := len(batches)
			for b.Loop() {
				send(n)
				n++
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)*perBatch/b.Elapsed().Seconds()/1e6, "Msamples/s")
			if err := i.Abandon(); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			j := w.open(p, cfg)
			b.ReportMetric(float64(n)*perBatch/time.Since(began).Seconds()/1e6, "replay-Msamples/s")
			if err := j.Abandon(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
