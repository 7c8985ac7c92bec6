//go:build e2e

package e2e

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
)

// contentsOf are series of the remote protocols as contents.
func contentsOf(series []*prompb.TimeSeries) contents {
	out := contents{}
	for _, ts := range series {
		m := map[string]string{}
		for _, l := range ts.Labels {
			m[l.Name] = l.Value
		}
		points := make([]point, 0, len(ts.Samples)+len(ts.Histograms))
		for _, s := range ts.Samples {
			points = append(points, point{s.Timestamp, math.Float64bits(s.Value)})
		}
		for _, h := range ts.Histograms {
			points = append(points, point{h.Timestamp, histogramBits(h.IsFloatHistogram(), h.ToFloatHistogram())})
		}
		slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.t, b.t) })
		out[keyOf(m)] = points
	}
	return out
}

// histogramBits stands for a native histogram as the bits of a float do for a float: another one where anything differs but how its buckets lie in spans,
// and what it says of resets, which depends on where chunks begin. A staleness marker is that of floats.
func histogramBits(float bool, h *histogram.FloatHistogram) uint64 {
	if math.Float64bits(h.Sum) == staleBits {
		return staleBits
	}
	sum := fnv.New64a()
	put := func(v any) { _ = binary.Write(sum, binary.LittleEndian, v) }
	put(float)
	put(h.Schema)
	for _, v := range []float64{h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum} {
		put(math.Float64bits(v))
	}
	for _, it := range []histogram.BucketIterator[float64]{h.PositiveBucketIterator(), h.NegativeBucketIterator()} {
		for it.Next() {
			if b := it.At(); b.Count != 0 {
				put(b.Index)
				put(math.Float64bits(b.Count))
			}
		}
		put(int32(math.MaxInt32))
	}
	return sum.Sum64()
}
