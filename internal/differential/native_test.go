package differential

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
)

// natives are histograms that count the same 4 buckets, begin anew now and then, and end with a stale marker now and then.
func (d *dataset) natives(times []int64, form func(counts []int64, sum float64) sample) []sample {
	counts, sum := make([]int64, 4), 0.0
	var out []sample
	for _, t := range times {
		switch d.rng.IntN(40) {
		case 0:
			clear(counts)
			sum = 0
		case 1:
			out = append(out, sample{t: t, v: math.Float64frombits(value.StaleNaN)})
			continue
		case 2:
			continue
		}
		for i := range counts {
			counts[i] += d.rng.Int64N(4)
		}
		sum += d.rng.Float64()
		s := form(counts, sum)
		s.t = t
		out = append(out, s)
	}
	return out
}

func total(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func intHistogram(c []int64, sum float64) sample {
	return sample{h: &histogram.Histogram{
		Count: uint64(total(c)), Sum: sum, Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(c[0]),
		PositiveSpans:   []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}},
		PositiveBuckets: []int64{c[1], c[2] - c[1], c[3] - c[2]},
	}}
}

func floatHistogram(c []int64, sum float64) sample {
	return sample{fh: &histogram.FloatHistogram{
		Count: float64(total(c)), Sum: sum, Schema: 0, ZeroThreshold: 0.001, ZeroCount: float64(c[0]),
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}},
		PositiveBuckets: []float64{float64(c[1]), float64(c[2])},
		NegativeSpans:   []histogram.Span{{Offset: 1, Length: 1}},
		NegativeBuckets: []float64{float64(c[3])},
	}}
}

func customHistogram(c []int64, sum float64) sample {
	return sample{h: &histogram.Histogram{
		Count: uint64(total(c)), Sum: sum, Schema: histogram.CustomBucketsSchema, CustomValues: []float64{0.1, 1, 10},
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 4}},
		PositiveBuckets: []int64{c[0], c[1] - c[0], c[2] - c[1], c[3] - c[2]},
	}}
}
