package blocks_test

import (
	"bytes"
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
