package blocks_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// flushes makes the blocks of n flushes of the same series, samples each, of counters, gauges and constants every 15 s.
func flushes(b testing.TB, s store, n, series, samples int) (out []*blocks.Meta) {
	r := rand.New(rand.NewSource(1))
	in := make([]blocks.BuildSeries, series)
	values := make([]float64, series)
	for i := range in {
		in[i] = blocks.BuildSeries{Columns: &model.Columns{}, Labels: labels.FromStrings(
			"__name__", fmt.Sprintf("app_metric_%d_total", i%500), "cluster", "c1", "instance", fmt.Sprintf("10.0.%d.%d:9100", i/500>>8, i/500&255),
			"job", fmt.Sprintf("app-%d", i/500%20), "namespace", "team-1", "pod", fmt.Sprintf("app-%d-%08x", i/500%20, i/500*7919), "region", "eu-west-2")}
	}
	at := day.Range().MinMs
	for gen := range n {
		for i := range in {
			c := in[i].Columns
			c.Reset()
			for k := range samples {
				switch i % 5 {
				case 0, 1:
					values[i] += float64(r.Intn(300))
				case 2, 3:
					values[i] = float64(r.Intn(10000)) / 100
				}
				c.Append(at+int64(k)*15_000+int64(i/500*13%15_000), values[i])
			}
		}
		at += int64(samples) * 15_000
		out = append(out, s.add(b, uint64(gen), in))
	}
	return out
}

func benchNumber(b *testing.B, name string, otherwise int) int {
	if s := os.Getenv(name); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(b, err)
		return n
	}
	return otherwise
}

// BenchmarkMerge merges BLOCKS (60) flushes of SERIES (10,000) with SAMPLES (4) each.
func BenchmarkMerge(b *testing.B) {
	s := store{}
	in := flushes(b, s, benchNumber(b, "BLOCKS", 60), benchNumber(b, "SERIES", 10_000), benchNumber(b, "SAMPLES", 4))
	var size, samples int64
	for _, m := range in {
		size, samples = size+m.Size, samples+m.Samples
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	cpu := cpuSeconds()
	var made *blocks.Meta
	for range b.N {
		out.Reset()
		m := blocks.NewMerger(s, in, nil)
		var err error
		made, err = blocks.Build(context.Background(), blocks.MergeParams(in, blocks.Native, 0, 0), m.Series(context.Background(), func() bool { return true }), out)
		require.NoError(b, err)
		m.Close()
	}
	reportSpeed(b, made, cpu)
	b.ReportMetric(float64(size)/float64(samples), "in-B/sample")
	b.ReportMetric(float64(made.Size)/float64(samples), "out-B/sample")
}
