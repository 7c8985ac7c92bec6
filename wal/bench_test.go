package wal

import (
	"context"
	"fmt"
	"math/rand"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

const benchSamples = 5000

// benchBatches are requests of 5,000 samples of distinct series: counters, gauges of two decimals, constants, and
// some of full precision, with refs mostly in order and the timestamps of a few scrapes.
func benchBatches(shuffled bool) [][]RefSample {
	rng := rand.New(rand.NewSource(1))
	batches := make([][]RefSample, 20)
	for i := range batches {
		for k := range benchSamples {
			ref := uint32(i*benchSamples + k)
			if shuffled {
				ref = uint32(rng.Intn(100_000))
			}
			v := float64(rng.Intn(1e6))
			switch k % 4 {
			case 1:
				v /= 100
			case 2:
				v = 1
			case 3:
				v = rng.Float64()
			}
			batches[i] = append(batches[i], RefSample{ref, 1_700_000_000_000 + int64(k/500)*7, v})
		}
	}
	return batches
}

func encodeBatch(e *Encoder, b []RefSample) {
	e.Begin("default")
	for _, s := range b {
		e.Sample(s.Ref, s.T, s.V)
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, order := range []string{"in order", "shuffled"} {
		b.Run(order, func(b *testing.B) {
			batches := benchBatches(order == "shuffled")
			var e Encoder
			g := &group{buf: make([]byte, itemHeader)}
			bytes := 0
			for i := 0; b.Loop(); i++ {
				g.buf, g.records = g.buf[:itemHeader], g.records[:0]
				_ = e.encode(g, func(e *Encoder) { encodeBatch(e, batches[i%len(batches)]) })
				bytes += len(g.buf)
			}
			b.ReportMetric(float64(b.N)*benchSamples/1e6/b.Elapsed().Seconds(), "Msamples/s")
			b.ReportMetric(float64(bytes)/float64(b.N)/benchSamples, "B/sample")
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	for _, order := range []string{"in order", "shuffled"} {
		b.Run(order, func(b *testing.B) {
			l := open(b, memfs.New())
			const rounds = 20
			for range rounds {
				for _, batch := range benchBatches(order == "shuffled") {
					require.NoError(b, l.Append(func(e *Encoder) { encodeBatch(e, batch) }))
				}
			}
			var sum int64
			for b.Loop() {
				err := l.Replay(context.Background(), 1, 0, func(r Record) error {
					for i := range r.Samples {
						sum += r.Samples[i].T
					}
					return nil
				})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)*rounds*20*benchSamples/1e6/b.Elapsed().Seconds(), "Msamples/s")
		})
	}
}

// BenchmarkDefinitions is the first request of new series: replay has to make their labels.
func BenchmarkDefinitions(b *testing.B) {
	const series = 5000
	l := open(b, memfs.New())
	all := make([]labels.Labels, series)
	for i := range all {
		all[i] = labels.FromStrings("__name__", "http_requests_total", "instance", fmt.Sprintf("host-%d:9100", i), "job", "node", "code", "200", "method", "GET")
	}
	require.NoError(b, l.Append(func(e *Encoder) {
		e.Begin("default")
		for i, ls := range all {
			e.Define(uint32(i), ls)
			e.Sample(uint32(i), 1, 1)
		}
	}))
	b.Run("replay", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, l.Replay(context.Background(), 1, 0, func(Record) error { return nil }))
		}
		b.ReportMetric(float64(b.N)*series/1e6/b.Elapsed().Seconds(), "Mseries/s")
	})
}

// BenchmarkOpen checks and repairs a log at start.
func BenchmarkOpen(b *testing.B) {
	fsys := memfs.New()
	l := open(b, fsys)
	for range 50 {
		for _, batch := range benchBatches(false) {
			require.NoError(b, l.Append(func(e *Encoder) { encodeBatch(e, batch) }))
		}
	}
	total := int64(0)
	for _, s := range l.Segments() {
		total += s.Bytes
	}
	b.SetBytes(total)
	for b.Loop() {
		open(b, fsys)
	}
}

// BenchmarkAppend is the whole way to the disk of the temporary directory, 32 requests at a time.
func BenchmarkAppend(b *testing.B) {
	l, err := Open(vfs.OS{}, b.TempDir(), testWriter, nil)
	require.NoError(b, err)
	batches := benchBatches(true)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := l.Append(func(e *Encoder) { encodeBatch(e, batches[i%len(batches)]) }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)*benchSamples/1e6/b.Elapsed().Seconds(), "Msamples/s")
	require.NoError(b, l.Close())
}
