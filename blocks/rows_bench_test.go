package blocks_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

func parquetParams(d model.Day) *blocks.Params {
	return &blocks.Params{Tenant: "t", Day: d, Writer: "w", Format: blocks.Parquet}
}

func BenchmarkParquetBuild(b *testing.B) {
	for d, in := range byDay(benchSeries(b)) {
		b.Run(d.String(), func(b *testing.B) {
			sorted := each(in)
			var out bytes.Buffer
			var m *blocks.Meta
			b.ReportAllocs()
			cpu := cpuSeconds()
			for b.Loop() {
				out.Reset()
				var err error
				m, err = blocks.Build(b.Context(), parquetParams(d), sorted, &out)
				require.NoError(b, err)
			}
			samples := float64(m.Samples)
			reportSpeed(b, m, cpu)
			b.ReportMetric(float64(m.Size)/samples, "B/sample")
			b.ReportMetric(float64(m.Chunks.Length)/samples, "rows-B/sample")
			b.ReportMetric(float64(m.SeriesPages.Length)/float64(m.Series), "pages-B/series")
			b.ReportMetric(float64(m.Postings.Length)/float64(m.Series), "postings-B/series")
			b.ReportMetric(float64(len(blocks.AppendMeta(nil, m))), "meta-B")
		})
	}
}

func BenchmarkParquetSamples(b *testing.B) {
	for d, in := range byDay(benchSeries(b)) {
		b.Run(d.String(), func(b *testing.B) {
			var out bytes.Buffer
			m, err := blocks.Build(b.Context(), parquetParams(d), each(in), &out)
			require.NoError(b, err)
			var c model.Columns
			b.ReportAllocs()
			cpu := cpuSeconds()
			for b.Loop() {
				sel, err := blocks.Select(b.Context(), blocks.Bytes(out.Bytes()), m, &blocks.Query{Range: d.Range()})
				require.NoError(b, err)
				for _, s := range sel.Series {
					c.Reset()
					require.NoError(b, s.Samples(&c, d.Range()))
				}
				sel.Close()
			}
			reportSpeed(b, m, cpu)
		})
	}
}

// peakWriter discards what is written and remembers the largest heap seen meanwhile.
type peakWriter struct {
	n    int64
	peak uint64
}

func (w *peakWriter) Write(b []byte) (int, error) {
	if (w.n+int64(len(b)))>>20 != w.n>>20 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		w.peak = max(w.peak, s.HeapInuse)
	}
	w.n += int64(len(b))
	return len(b), nil
}

// BenchmarkCompact compacts a day of BLOCKS (12) flushes of SERIES (2,000) with SAMPLES (480) each to parquet.
func BenchmarkCompact(b *testing.B) {
	s := store{}
	in := flushes(b, s, benchNumber(b, "BLOCKS", 12), benchNumber(b, "SERIES", 2000), benchNumber(b, "SAMPLES", 480))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	cpu := cpuSeconds()
	var m *blocks.Meta
	var w peakWriter
	for range b.N {
		w = peakWriter{}
		merger := blocks.NewMerger(s, in, nil)
		var err error
		m, err = blocks.Build(b.Context(), blocks.MergeParams(in, blocks.Parquet, 0, 0), merger.Series(b.Context(), func() bool { return true }), &w)
		require.NoError(b, err)
		merger.Close()
	}
	reportSpeed(b, m, cpu)
	b.ReportMetric(float64(m.Size)/float64(m.Samples), "B/sample")
	b.ReportMetric((float64(w.peak)-float64(before.HeapInuse))/(1<<20), "peak-MiB")
}
