package blocks_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// dayOf are series over a whole day, one sample in 15 s: of each kind as many as there are hosts.
func dayOf(hosts int, kinds ...string) (in []blocks.BuildSeries) {
	for _, kind := range kinds {
		for h := range hosts {
			r := rand.New(rand.NewPCG(uint64(h), uint64(len(kind))))
			v, mean := math.Floor(r.Float64()*1e6), math.Pow(10, 3*r.Float64())
			c := &model.Columns{}
			start := day.Range().MinMs + r.Int64N(15_000)
			for i := range int64(5760) {
				switch kind {
				case "counter":
					v += math.Floor(r.ExpFloat64() * mean)
				case "slow_counter":
					if r.IntN(40) == 0 {
						v++
					}
				case "gauge":
					v = math.Round(math.Abs(v+100*r.NormFloat64())) / 100 * 100
				}
				x := v
				if kind == "gauge" {
					x = math.Round(v) / 100
				}
				c.Append(start+i*15_000, x)
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", kind, "instance", fmt.Sprintf("10.0.%d.%d:9100", h/256, h%256)), Columns: c})
		}
	}
	return in
}

// stretched makes the series of a file whose samples lie a second apart a day with one in 15 s.
func stretched(in []blocks.BuildSeries) (out []blocks.BuildSeries) {
	first := int64(math.MaxInt64)
	for _, s := range in {
		first = min(first, s.Columns.T[0])
	}
	for _, s := range in {
		c := &model.Columns{}
		for i, at := range s.Columns.T {
			// The jitter stays what it was.
			off := at - first
			if at = day.Range().MinMs + off/1000*15_000 + off%1000; at <= day.Range().MaxMs && (c.Len() == 0 || at > c.T[c.Len()-1]) {
				c.Append(at, s.Columns.V[i])
			}
		}
		out = append(out, blocks.BuildSeries{Labels: s.Labels, Columns: c})
	}
	slices.SortFunc(out, func(a, b blocks.BuildSeries) int {
		return index.Compare(a.Labels, b.Labels)
	})
	return out
}

// share is what rollups of 5 m take of the bytes of their raw block, and a line that says how.
func share(t testing.TB, in []blocks.BuildSeries) (float64, string) {
	raw, _ := buildParquet(t, in)
	m, _ := buildRollup(t, blocks.Rollup5m, rolledUpAll(in, blocks.Rollup5m))
	h, _ := buildRollup(t, blocks.Rollup1h, rolledUpAll(in, blocks.Rollup1h))
	var parts [9]float64
	for _, g := range m.RowGroups {
		for i, n := range g.Parts {
			parts[i] += float64(n) / float64(m.Samples)
		}
	}
	share := float64(m.Size) / float64(raw.Size)
	return share, fmt.Sprintf("raw %.3f bytes a sample, %.0f a series; 5m %.3f bytes a window (texts, ts, last, increase, max, min, sum, count, rest %.3f), %.0f a series: %.1f %%; 1h %.3f a window, %.1f %%",
		float64(raw.Size)/float64(raw.Samples), float64(raw.Size)/float64(raw.Series), float64(m.Size)/float64(m.Samples), parts, float64(m.Size)/float64(m.Series), 100*share,
		float64(h.Size)/float64(h.Samples), 100*float64(h.Size)/float64(raw.Size))
}

// TestRollupBytes holds what rollups cost beside the raw samples.
func TestRollupBytes(t *testing.T) {
	for _, c := range []struct {
		kinds []string
		most  float64
	}{
		{[]string{"counter"}, 0.28},
		{[]string{"slow_counter"}, 0.9},
		{[]string{"gauge"}, 0.47},
		{[]string{"constant"}, 1},
		{[]string{"constant", "counter", "gauge", "slow_counter"}, 0.42},
	} {
		got, line := share(t, dayOf(60, c.kinds...))
		t.Log(c.kinds, line)
		require.Less(t, got, c.most, "%v", c.kinds)
	}
	if os.Getenv(seriesFile) != "" {
		_, line := share(t, stretched(benchSeries(t)))
		t.Log(line)
	}
}

func BenchmarkRollupBuild(b *testing.B) {
	in := rolledUpAll(dayOf(250, "constant", "counter", "gauge", "slow_counter"), blocks.Rollup5m)
	sorted := each(in)
	var out bytes.Buffer
	var m *blocks.Meta
	b.ReportAllocs()
	cpu := cpuSeconds()
	for b.Loop() {
		out.Reset()
		var err error
		m, err = blocks.Build(b.Context(), &blocks.Params{Tenant: "t", Day: day, ID: "x", Format: blocks.Rollup5m}, sorted, &out)
		require.NoError(b, err)
	}
	reportSpeed(b, m, cpu)
	b.ReportMetric(float64(m.Size)/float64(m.Samples), "B/window")
}

// BenchmarkRollupRead reads all windows: all aggregates for the job, or one.
func BenchmarkRollupRead(b *testing.B) {
	m, data := buildRollup(b, blocks.Rollup5m, rolledUpAll(dayOf(250, "constant", "counter", "gauge", "slow_counter"), blocks.Rollup5m))
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		cpu := cpuSeconds()
		for b.Loop() {
			rd := blocks.NewRollupReader(b.Context(), blocks.Bytes(data), m, nil, nil)
			for rd.Next() {
			}
			require.NoError(b, rd.Err())
			rd.Close()
		}
		reportSpeed(b, m, cpu)
	})
	for _, a := range []model.Aggregate{model.Sum, model.Increase} {
		b.Run(a.String(), func(b *testing.B) {
			var c model.Columns
			b.ReportAllocs()
			cpu := cpuSeconds()
			for b.Loop() {
				sel, err := blocks.Select(b.Context(), blocks.Bytes(data), m, &blocks.Query{Range: day.Range(), Aggregate: a})
				require.NoError(b, err)
				for _, s := range sel.Series {
					c.Reset()
					require.NoError(b, s.Samples(&c, day.Range()))
				}
				sel.Close()
			}
			reportSpeed(b, m, cpu)
		})
	}
}
