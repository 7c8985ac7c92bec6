package differential

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// difference describes the first thing in which the answers differ; "" if there is none.
func difference(want, got *answer) string {
	if d := differentErrors(want.err, got.err); d != "" {
		return d
	}
	if want.err != nil {
		return ""
	}
	if d := differentValues(want.value, got.value); d != "" {
		return d
	}
	if !slices.Equal(want.warnings, got.warnings) {
		return fmt.Sprintf("warnings: want %q, got %q", want.warnings, got.warnings)
	}
	if !slices.Equal(want.infos, got.infos) {
		return fmt.Sprintf("infos: want %q, got %q", want.infos, got.infos)
	}
	if want.samples != got.samples {
		return fmt.Sprintf("samples looked at: want %d, got %d", want.samples, got.samples)
	}
	return ""
}

func differentErrors(want, got error) string {
	switch {
	case want == nil && got == nil:
		return ""
	case want == nil || got == nil || want.Error() != got.Error():
		return fmt.Sprintf("error: want %v, got %v", want, got)
	}
	return ""
}

func differentValues(want, got parser.Value) string {
	switch want := want.(type) {
	case promql.Scalar:
		got, ok := got.(promql.Scalar)
		if ok && want.T == got.T && sameBits(want.V, got.V) {
			return ""
		}
	case promql.String:
		if got == want {
			return ""
		}
	case promql.Vector:
		if got, ok := got.(promql.Vector); ok {
			return differentVectors(want, got)
		}
	case promql.Matrix:
		if got, ok := got.(promql.Matrix); ok {
			return differentMatrices(want, got)
		}
	}
	return fmt.Sprintf("value: want %T %v, got %T %v", want, want, got, got)
}

// differentVectors demands the same order, whether the language promises it or not: what an engine does next may depend on it.
func differentVectors(want, got promql.Vector) string {
	for i := range min(len(want), len(got)) {
		w, g := &want[i], &got[i]
		if !labels.Equal(w.Metric, g.Metric) {
			return fmt.Sprintf("series %d of %d: want %s, got %s (of %d)", i, len(want), w.Metric, g.Metric, len(got))
		}
		if d := differentSamples(w.T, g.T, w.F, g.F, w.H, g.H); d != "" {
			return fmt.Sprintf("%s: %s", w.Metric, d)
		}
	}
	return differentNumbers(len(want), len(got), func(i int) labels.Labels { return want[i].Metric }, func(i int) labels.Labels { return got[i].Metric })
}

func differentMatrices(want, got promql.Matrix) string {
	for i := range min(len(want), len(got)) {
		if !labels.Equal(want[i].Metric, got[i].Metric) {
			return fmt.Sprintf("series %d of %d: want %s, got %s (of %d)", i, len(want), want[i].Metric, got[i].Metric, len(got))
		}
		if d := differentSeries(&want[i], &got[i]); d != "" {
			return fmt.Sprintf("%s: %s", want[i].Metric, d)
		}
	}
	return differentNumbers(len(want), len(got), func(i int) labels.Labels { return want[i].Metric }, func(i int) labels.Labels { return got[i].Metric })
}

func differentSeries(want, got *promql.Series) string {
	for i := range min(len(want.Floats), len(got.Floats)) {
		w, g := want.Floats[i], got.Floats[i]
		if d := differentSamples(w.T, g.T, w.F, g.F, nil, nil); d != "" {
			return fmt.Sprintf("float %d of %d: %s", i, len(want.Floats), d)
		}
	}
	for i := range min(len(want.Histograms), len(got.Histograms)) {
		w, g := want.Histograms[i], got.Histograms[i]
		if d := differentSamples(w.T, g.T, 0, 0, w.H, g.H); d != "" {
			return fmt.Sprintf("histogram %d of %d: %s", i, len(want.Histograms), d)
		}
	}
	if len(want.Floats) != len(got.Floats) || len(want.Histograms) != len(got.Histograms) {
		return fmt.Sprintf("want %d floats and %d histograms, got %d and %d", len(want.Floats), len(want.Histograms), len(got.Floats), len(got.Histograms))
	}
	return ""
}

func differentNumbers(want, got int, w, g func(int) labels.Labels) string {
	switch {
	case want > got:
		return fmt.Sprintf("want %d series, got %d: %s is missing", want, got, w(got))
	case want < got:
		return fmt.Sprintf("want %d series, got %d: %s is too many", want, got, g(want))
	}
	return ""
}

func differentSamples(wantT, gotT int64, want, got float64, wantH, gotH *histogram.FloatHistogram) string {
	switch {
	case wantT != gotT:
		return fmt.Sprintf("time: want %d, got %d", wantT, gotT)
	case (wantH == nil) != (gotH == nil):
		return fmt.Sprintf("at %d: want %v or histogram %v, got %v or histogram %v", wantT, want, wantH, got, gotH)
	case wantH != nil:
		if !sameHistograms(wantH, gotH) {
			return fmt.Sprintf("at %d: want %s (%+v), got %s (%+v)", wantT, wantH, *wantH, gotH, *gotH)
		}
	case !sameBits(want, got):
		return fmt.Sprintf("at %d: want %v (%#x), got %v (%#x)", wantT, want, math.Float64bits(want), got, math.Float64bits(got))
	}
	return ""
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// byLabels returns the answer with its series in the order of their labels, in which those of a vector need not be.
func byLabels(a *answer) *answer {
	v, ok := a.value.(promql.Vector)
	if !ok {
		return a
	}
	v = slices.Clone(v)
	slices.SortFunc(v, func(x, y promql.Sample) int { return labels.Compare(x.Metric, y.Metric) })
	out := *a
	out.value = v
	return &out
}

// sameHistograms leaves the hint on resets out. Prometheus takes it from the chunk, so that the first histogram of a range knows about one before the
// range; internal/acceptance lists the cases in which ours does not.
func sameHistograms(a, b *histogram.FloatHistogram) bool {
	same := func(x, y []float64) bool { return slices.EqualFunc(x, y, sameBits) }
	return a.Schema == b.Schema && sameBits(a.ZeroThreshold, b.ZeroThreshold) && sameBits(a.ZeroCount, b.ZeroCount) &&
		sameBits(a.Count, b.Count) && sameBits(a.Sum, b.Sum) &&
		slices.Equal(a.PositiveSpans, b.PositiveSpans) && slices.Equal(a.NegativeSpans, b.NegativeSpans) &&
		same(a.PositiveBuckets, b.PositiveBuckets) && same(a.NegativeBuckets, b.NegativeBuckets) && same(a.CustomValues, b.CustomValues)
}
