package blocks_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand"
	"os"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// seriesFile names the environment variable with a file of series to measure with: JSON lines {"metric": {…}, "timestamps": […],
// "values": ["…"]}, zstd-compressed. Without it the benchmarks run on made-up series.
const seriesFile = "VARVE_BENCH_SERIES"

func benchSeries(b testing.TB) []blocks.BuildSeries {
	name := os.Getenv(seriesFile)
	if name == "" {
		return madeUp()
	}
	f, err := os.Open(name)
	require.NoError(b, err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	require.NoError(b, err)
	defer z.Close()
	var out []blocks.BuildSeries
	r := bufio.NewReader(z)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return out
		}
		require.NoError(b, err)
		var s struct {
			Metric     map[string]string
			Timestamps []int64
			Values     []string
		}
		require.NoError(b, json.Unmarshal(line, &s))
		c := &model.Columns{T: s.Timestamps}
		for _, v := range s.Values {
			x, err := strconv.ParseFloat(v, 64)
			require.NoError(b, err)
			c.V = append(c.V, x)
		}
		out = append(out, blocks.BuildSeries{Labels: labels.FromMap(s.Metric), Columns: c})
	}
}

// byDay cuts series into one set for each day.
func byDay(in []blocks.BuildSeries) map[model.Day][]blocks.BuildSeries {
	out := map[model.Day][]blocks.BuildSeries{}
	for _, s := range in {
		from := 0
		for i := range s.Columns.T {
			d := model.DayOf(s.Columns.T[from])
			if i+1 == len(s.Columns.T) || model.DayOf(s.Columns.T[i+1]) != d {
				out[d] = append(out[d], blocks.BuildSeries{Labels: s.Labels, Columns: &model.Columns{T: s.Columns.T[from : i+1], V: s.Columns.V[from : i+1]}})
				from = i + 1
			}
		}
	}
	return out
}

func BenchmarkBuild(b *testing.B) {
	for d, in := range byDay(benchSeries(b)) {
		b.Run(d.String(), func(b *testing.B) { benchBuild(b, d, in) })
	}
}

func benchBuild(b *testing.B, d model.Day, in []blocks.BuildSeries) {
	sorted := each(in)
	var out bytes.Buffer
	var m *blocks.Meta
	b.ReportAllocs()
	cpu := cpuSeconds()
	for b.Loop() {
		out.Reset()
		var err error
		m, err = blocks.Build(b.Context(), &blocks.Params{Tenant: "t", Day: d, Writer: "w"}, sorted, &out)
		require.NoError(b, err)
	}
	samples := float64(m.Samples)
	reportSpeed(b, m, cpu)
	b.ReportMetric(float64(m.Size)/samples, "B/sample")
	b.ReportMetric(float64(m.Chunks.Length)/samples, "chunks-B/sample")
	b.ReportMetric(float64(m.Runs.Length)/samples, "runs-B/sample")
	b.ReportMetric(float64(m.SeriesPages.Length)/float64(m.Series), "pages-B/series")
	b.ReportMetric(float64(m.Postings.Length)/float64(m.Series), "postings-B/series")
	b.ReportMetric(float64(len(blocks.AppendMeta(nil, m))), "meta-B")
}

func BenchmarkSamples(b *testing.B) {
	for d, in := range byDay(benchSeries(b)) {
		b.Run(d.String(), func(b *testing.B) { benchSamples(b, d, in) })
	}
}

func benchSamples(b *testing.B, d model.Day, in []blocks.BuildSeries) {
	var out bytes.Buffer
	m, err := blocks.Build(b.Context(), &blocks.Params{Tenant: "t", Day: d, Writer: "w"}, each(in), &out)
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
}

// reportSpeed reports samples per second of the clock and of the processor, which had used cpu seconds before.
func reportSpeed(b *testing.B, m *blocks.Meta, cpu float64) {
	millions := float64(m.Samples) * float64(b.N) / 1e6
	b.ReportMetric(millions/b.Elapsed().Seconds(), "Msamples/s")
	if used := cpuSeconds() - cpu; used > 0 {
		b.ReportMetric(millions/used, "Msamples/cpu-s")
	}
}

// madeUp returns 1,000 series of 60 samples, what a flush every minute makes of one target scraped every second.
func madeUp() []blocks.BuildSeries {
	r := rand.New(rand.NewSource(1))
	var out []blocks.BuildSeries
	for i := range 1000 {
		ls := labels.FromStrings("__name__", "metric_"+strconv.Itoa(i/20), "instance", "10.0.0.1:9100", "shard", strconv.Itoa(i%20))
		c := columns(r, i%3, 60, false)
		for j := range c.T {
			c.T[j] = day.Range().MinMs + int64(j)*1000
		}
		out = append(out, blocks.BuildSeries{Labels: ls, Columns: c})
	}
	return out
}
