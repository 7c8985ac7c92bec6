//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
)

// A pastSeries is one series of a past. At gives its sample number n, or false where it has a gap.
type pastSeries struct {
	labels []prompb.Label
	at     func(n int) (float64, bool)
	// histogram, if not nil, is asked in place of at.
	histogram func(n int, t int64) prompb.Histogram
}

// A past is what a database is given that it may be taken over: some days of series of every kind, a sample a minute.
type past struct {
	from    time.Time
	samples int // of a series without gaps
	series  []pastSeries
}

const pastStep = time.Minute

// newPast makes days of samples that end at a time.
func newPast(rng *rand.Rand, end time.Time, days int) *past {
	n := days * int(24*time.Hour/pastStep)
	p := &past{from: end.Truncate(pastStep).Add(-time.Duration(n-1) * pastStep), samples: n}
	for i := range 6 {
		p.add("past_gauge", i, walk(rng, n, func(float64) float64 { return math.Round(rng.Float64()*1e4) / 100 }))
		p.add("past_total", i, walk(rng, n, func(v float64) float64 {
			if rng.IntN(n/3) == 0 {
				return 0
			}
			return v + float64(rng.IntN(50))
		}))
	}
	for i := range 3 {
		p.add("past_random", i, walk(rng, n, func(float64) float64 { return rng.NormFloat64() * math.Pow(10, float64(rng.IntN(40)-20)) }))
		p.addHistogram("past_seconds", i, wholePast(rng, n))
	}
	p.addHistogram("past_float_seconds", 0, floatPast(rng, n))
	p.add("past_constant", 0, func(int) (float64, bool) { return 1, true })
	p.add("past_odd", 0, walk(rng, n, func(float64) float64 {
		odd := []uint64{math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), 1, 0x7ff8000000000001, 0x7ff0000000000003, math.MaxUint64, math.Float64bits(math.MaxFloat64), 0}
		return math.Float64frombits(odd[rng.IntN(len(odd))])
	}))
	// Ends with a staleness marker every seventh hour, and is gone for an hour.
	p.add("past_up", 0, func(n int) (float64, bool) {
		switch m := n % 480; {
		case m < 420:
			return 1, true
		case m == 420:
			return math.Float64frombits(staleBits), true
		}
		return 0, false
	})
	p.addLabelled(func(n int) (float64, bool) { return float64(n), n%100 < 3 }, "Zone", "sorts before the name", "__name__", "past_sparse", "i", "α \"quoted\" \\ \n")
	return p
}

func (p *past) add(name string, i int, at func(n int) (float64, bool)) {
	p.addLabelled(at, "__name__", name, "i", fmt.Sprint(i), "job", "past")
}

func (p *past) addHistogram(name string, i int, h func(n int, t int64) prompb.Histogram) {
	p.add(name, i, nil)
	p.series[len(p.series)-1].histogram = h
}

// addLabelled takes names and values of labels, in the order of names.
func (p *past) addLabelled(at func(n int) (float64, bool), namesAndValues ...string) {
	s := pastSeries{at: at}
	for i := 0; i < len(namesAndValues); i += 2 {
		s.labels = append(s.labels, prompb.Label{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	p.series = append(p.series, s)
}

// walk draws all samples at once, each from the one before.
func walk(rng *rand.Rand, n int, next func(before float64) float64) func(n int) (float64, bool) {
	values := make([]float64, n)
	for i := range values {
		values[i] = next(values[max(0, i-1)])
	}
	return func(n int) (float64, bool) { return values[n], true }
}

// wholePast is a native histogram that counts requests, and begins anew some times.
func wholePast(rng *rand.Rand, n int) func(n int, t int64) prompb.Histogram {
	all := make([]*histogram.Histogram, n)
	buckets, sum := [8]int64{}, 0.0
	for i := range all {
		if rng.IntN(n/3) == 0 {
			buckets, sum = [8]int64{}, 0
		}
		for range rng.IntN(4) {
			buckets[rng.IntN(len(buckets))]++
			sum += rng.Float64()
		}
		h := &histogram.Histogram{Schema: 3, ZeroThreshold: 1e-128, ZeroCount: uint64(i % 5), Sum: sum}
		h.Count = h.ZeroCount
		h.PositiveSpans = []histogram.Span{{Offset: -3, Length: 4}, {Offset: 2, Length: 4}}
		before := int64(0)
		for _, c := range buckets {
			h.PositiveBuckets = append(h.PositiveBuckets, c-before)
			h.Count, before = h.Count+uint64(c), c
		}
		all[i] = h
	}
	return func(n int, t int64) prompb.Histogram { return prompb.FromIntHistogram(t, all[n]) }
}

// floatPast is a histogram of floats, with negative buckets too.
func floatPast(rng *rand.Rand, n int) func(n int, t int64) prompb.Histogram {
	sums := make([]float64, n)
	for i := range sums {
		sums[i] = rng.NormFloat64()
	}
	return func(n int, t int64) prompb.Histogram {
		h := &histogram.FloatHistogram{
			Schema: 1, ZeroThreshold: 0.001, ZeroCount: 0.5, Sum: sums[n],
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{float64(n) + 0.25, 3},
			NegativeSpans: []histogram.Span{{Offset: 1, Length: 1}}, NegativeBuckets: []float64{0.125},
		}
		h.Count = h.ZeroCount + h.PositiveBuckets[0] + 3.125
		return prompb.FromFloatHistogram(t, h)
	}
}

// write sends the past to an endpoint of remote write, an hour a request, as Prometheus takes nothing that is much older than its newest sample.
func (p *past) write(t *testing.T, url string) {
	t.Helper()
	const hour = int(time.Hour / pastStep)
	for from := 0; from < p.samples; from += hour {
		req := &prompb.WriteRequest{}
		for _, ts := range p.slice(from, min(p.samples, from+hour)) {
			req.Timeseries = append(req.Timeseries, *ts)
		}
		status, body, err := call(t.Context(), http.MethodPost, url, writeHeader(), bytes.NewReader(encodeWrite(t, req)))
		if err != nil || status/100 != 2 {
			t.Fatalf("write of the past: %d, %v: %.300s", status, err, body)
		}
	}
}

// slice is the past from one sample to before another.
func (p *past) slice(from, to int) []*prompb.TimeSeries {
	var out []*prompb.TimeSeries
	for _, s := range p.series {
		ts := &prompb.TimeSeries{Labels: s.labels}
		for n := from; n < to; n++ {
			at := p.from.Add(time.Duration(n) * pastStep).UnixMilli()
			if s.histogram != nil {
				ts.Histograms = append(ts.Histograms, s.histogram(n, at))
			} else if v, ok := s.at(n); ok {
				ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: at, Value: v})
			}
		}
		if len(ts.Samples)+len(ts.Histograms) > 0 {
			out = append(out, ts)
		}
	}
	return out
}

// contents is the past as a store has it that has taken it.
func (p *past) contents() contents { return contentsOf(p.slice(0, p.samples)) }
