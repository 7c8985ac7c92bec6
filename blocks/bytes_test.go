package blocks_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// scraped makes two hours of what targets expose that run the same program: counters, gauges of two decimals, histograms, constants; by seed.
func scraped(seed uint64, targets int) (in []blocks.BuildSeries) {
	const n = 480
	for i := range targets {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		start := day.Range().MinMs + r.Int64N(15_000)
		add := func(name string, next func() float64, own ...string) {
			c := &model.Columns{}
			for k := range n {
				c.Append(start+int64(k)*15_000, next())
			}
			own = append(own, "__name__", name, "instance", fmt.Sprintf("10.1.%d.%d:9100", i>>8, i&255), "job", fmt.Sprintf("svc-%02d", i%10), "pod", fmt.Sprintf("svc-%02d-%08x", i%10, r.Uint32()))
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings(own...), Columns: c})
		}
		counter := func(mean float64) func() float64 {
			v := math.Floor(r.Float64() * 1e6)
			return func() float64 { v += math.Floor(r.ExpFloat64() * mean); return v }
		}
		gauge := func() func() float64 {
			v := r.Float64() * 100
			return func() float64 { v = math.Abs(v + r.NormFloat64()); return math.Round(v*100) / 100 }
		}
		for k := range 16 {
			add("app_requests_total", counter(math.Pow(10, 3*r.Float64())), "code", fmt.Sprint(200+100*(k%4)), "handler", fmt.Sprintf("/api/v%d", k/4))
			add("app_latency_seconds_bucket", counter(20), "le", fmt.Sprint(math.Pow(2, float64(k-8))))
		}
		for k := range 8 {
			add(fmt.Sprintf("node_usage_%s_percent", [...]string{"cpu", "memory", "disk", "swap", "inodes", "network", "io", "threads"}[k]), gauge())
			v := math.Floor(r.Float64() * 1e9)
			add(fmt.Sprintf("process_limit_%d_bytes", k), func() float64 { return v })
		}
		add("app_latency_seconds_sum", func() func() float64 { v := 0.0; return func() float64 { v += r.ExpFloat64(); return v } }())
	}
	return in
}

// renamed gives metrics, label names and values other names.
func renamed(in []blocks.BuildSeries, name func(string) string) (out []blocks.BuildSeries) {
	for _, s := range in {
		var b labels.ScratchBuilder
		s.Labels.Range(func(l labels.Label) {
			if l.Name == "__name__" {
				b.Add(l.Name, name(l.Value))
				return
			}
			b.Add(name(l.Name), name(l.Value))
		})
		b.Sort()
		out = append(out, blocks.BuildSeries{Labels: b.Labels(), Columns: s.Columns})
	}
	return out
}

// rotated puts another letter for each: names of the same lengths.
func rotated(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return 'a' + (r-'a'+7)%26
		}
		return r
	}, s)
}

// longer makes names of other lengths.
func longer(s string) string { return "corp_" + s + "_of_staging" }

// weight is the size of a block in bytes: per sample all in all, and per series what is not samples.
type weight struct{ sample, series float64 }

func weigh(t testing.TB, in []blocks.BuildSeries) weight {
	var w weight
	var samples, series, total, index int64
	for d, in := range byDay(in) {
		var b bytes.Buffer
		m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t", Day: d, Writer: "w"}, each(in), &b)
		require.NoError(t, err)
		if testing.Verbose() {
			t.Logf("%d series, %d bytes of index\n%s", m.Series, m.Size-m.Runs.End(), indexParts(t, m, b.Bytes()))
		}
		samples, series, total, index = samples+m.Samples, series+m.Series, total+m.Size, index+m.Size-m.Runs.End()
	}
	w.sample, w.series = float64(total)/float64(samples), float64(index)/float64(series)
	return w
}

// TestBytes holds that the size of a block does not hang on which names and numbers are in it: nothing in the formats was made for any data set.
func TestBytes(t *testing.T) {
	in := scraped(1, 20)
	want := weigh(t, in)
	t.Logf("%d series, %.4f bytes a sample, index %.2f bytes a series", len(in), want.sample, want.series)
	require.Less(t, want.sample, 1.4)
	for what, other := range map[string][]blocks.BuildSeries{
		"another seed":           scraped(2, 20),
		"names of equal lengths": renamed(in, rotated),
		"longer names":           renamed(in, longer),
	} {
		got := weigh(t, other)
		t.Logf("%s: %.4f bytes a sample, index %.2f bytes a series", what, got.sample, got.series)
		require.InEpsilon(t, want.sample, got.sample, 0.05, what)
		require.Less(t, got.series, 9.0, what)
	}
}

// TestBytesOfFile is TestBytes for the series of a file (see seriesFile).
func TestBytesOfFile(t *testing.T) {
	if os.Getenv(seriesFile) == "" {
		t.Skip(seriesFile + " is not set")
	}
	in := benchSeries(t)
	want := weigh(t, in)
	t.Logf("%d series, %.4f bytes a sample, index %.2f bytes a series", len(in), want.sample, want.series)
	for what, name := range map[string]func(string) string{"equal lengths": rotated, "longer": longer} {
		got := weigh(t, renamed(in, name))
		t.Logf("%s: %.4f bytes a sample, index %.2f bytes a series", what, got.sample, got.series)
		require.InEpsilon(t, want.sample, got.sample, 0.05, what)
		require.Less(t, got.series, 9.0, what)
	}
}
