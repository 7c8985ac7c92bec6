package verify

import (
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestHistogramFields changes each field of a histogram with integers and of one with floats, and wants it named.
func TestHistogramFields(t *testing.T) {
	custom := func(h *histogram.Histogram) {
		h.Schema, h.ZeroThreshold, h.ZeroCount = histogram.CustomBucketsSchema, 0, 0
		h.PositiveSpans, h.NegativeSpans, h.NegativeBuckets = []histogram.Span{{Length: 2}}, nil, nil
		h.PositiveBuckets, h.CustomValues, h.Count = []int64{1, 1}, []float64{1, 2}, 3
	}
	for name, c := range map[string]struct {
		first  func(h *histogram.Histogram) // of both, nil for nothing
		change func(h *histogram.Histogram)
		source string
		target string
	}{
		"schema":          {nil, func(h *histogram.Histogram) { h.Schema = 2 }, "schema 1", "schema 2"},
		"zero threshold":  {nil, func(h *histogram.Histogram) { h.ZeroThreshold = 0.5 }, "zero threshold 0.001", "zero threshold 0.5"},
		"zero bucket":     {nil, func(h *histogram.Histogram) { h.ZeroCount++ }, "zero bucket 6", "zero bucket 7"},
		"count":           {nil, func(h *histogram.Histogram) { h.Count++ }, "count 48", "count 49"},
		"sum":             {nil, func(h *histogram.Histogram) { h.Sum = 1 }, "sum 92", "sum 1"},
		"gauge":           {nil, func(h *histogram.Histogram) { h.CounterResetHint = histogram.GaugeType }, "gauge false", "gauge true"},
		"bounds":          {custom, func(h *histogram.Histogram) { h.CustomValues = []float64{1, 3} }, "bounds [1 2]", "bounds [1 3]"},
		"positive bucket": {nil, func(h *histogram.Histogram) { h.PositiveBuckets[1]++ }, "bucket (1, 1.414213562373095] 6", "bucket (1, 1.414213562373095] 7"},
		"negative bucket": {nil, func(h *histogram.Histogram) { h.NegativeBuckets[3]++ }, "bucket [-4, -2.82842712474619) 5", "bucket [-4, -2.82842712474619) 6"},
		"moved bucket":    {nil, func(h *histogram.Histogram) { h.PositiveSpans[1].Offset++ }, "bucket (2, 2.82842712474619] 5", "bucket (2, 2.82842712474619] 0"},
		"bucket less":     {nil, func(h *histogram.Histogram) { h.PositiveSpans, h.PositiveBuckets = nil, nil }, "bucket (0.7071067811865475, 1] 5", "bucket (0.7071067811865475, 1] 0"},
		"bucket more": {func(h *histogram.Histogram) { h.PositiveSpans, h.PositiveBuckets = nil, nil }, func(h *histogram.Histogram) {
			h.PositiveSpans, h.PositiveBuckets = []histogram.Span{{Length: 1}}, []int64{3}
		}, "bucket (0.7071067811865475, 1] 0", "bucket (0.7071067811865475, 1] 3"},
	} {
		t.Run(name, func(t *testing.T) {
			a := tsdbutil.GenerateTestHistogram(4)
			if c.first != nil {
				c.first(a)
			}
			b := a.Copy()
			c.change(b)
			for _, form := range []func(h *histogram.Histogram) []byte{
				func(h *histogram.Histogram) []byte { return encode(t, 0, h) },
				func(h *histogram.Histogram) []byte { return encodeFloat(t, 0, h.ToFloat(nil)) },
			} {
				kind, detail := compareRich(decodeBytes(form(a)), decodeBytes(form(b)), 0)
				require.Equal(t, Histograms, kind)
				source, target := detail()
				require.Equal(t, []string{c.source, c.target}, []string{source, target})
				kind, _ = compareRich(decodeBytes(form(a)), decodeBytes(form(a)), 0)
				require.Empty(t, kind)
			}
		})
	}
}

func decodeBytes(b []byte) rich {
	return decode(&model.Columns{T: []int64{0}, V: []float64{0}, H: [][]byte{b}}, 0)
}

// TestReservedSeries: exemplars and metadata are no samples, on neither side.
func TestReservedSeries(t *testing.T) {
	source := world(t)
	source.series = append(source.series, &plain{ls: model.MetadataSeries("up")})
	source.series[len(source.series)-1].c.AppendHistogram(at(86_400), model.AppendMetadata(nil, 2, "", "help"))
	target := world(t)
	r := mustCompare(t, &Config{Exact: true}, source, target)
	require.True(t, r.Equal, "%+v", r.Differences)
	require.True(t, mustCompare(t, &Config{Exact: true}, target, source).Equal)
}

// TestCounts: series and samples that one side lacks are counted by themselves.
func TestCounts(t *testing.T) {
	source := world(t)
	target := source.clone()
	target.of("__name__", "zero").ls = labels.FromStrings("__name__", "zoro")
	r := mustCompare(t, &Config{}, source, target)
	require.Equal(t, []int64{2, 100, 2, 100, 0}, []int64{r.Total.MissingSeries, r.Total.MissingSamples, r.Total.ExtraSeries, r.Total.ExtraSamples, r.Total.DifferentSeries})
	require.Equal(t, []int64{1, 50}, []int64{r.Days[1].MissingSeries, r.Days[1].MissingSamples})
}

// FuzzHistogram: whatever the bytes of a sample are, they can be compared and shown, and are the same as themselves.
func FuzzHistogram(f *testing.F) {
	t := &testing.T{}
	f.Add(encode(t, 0, tsdbutil.GenerateTestHistogram(3)), encodeFloat(t, 0, tsdbutil.GenerateTestFloatHistogram(3)))
	f.Add(encode(t, 0, tsdbutil.GenerateTestHistogram(3)), encode(t, 0, tsdbutil.GenerateTestHistogram(4)))
	f.Add(model.FloatWithStart(1, 2), model.HistogramWithStart(1, encode(t, 0, tsdbutil.GenerateTestHistogram(4))))
	f.Add([]byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, detail := compareRich(decodeBytes(a), decodeBytes(b), 1e-9)
		detail()
		if x := decodeBytes(a); x.problem == nil {
			if kind, detail := compareRich(x, decodeBytes(a), 0); kind != "" {
				source, target := detail()
				t.Fatalf("%s differs from itself: %s, %s", kind, source, target)
			}
		}
	})
}
