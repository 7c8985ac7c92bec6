package query

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/varvedb/varve/model"
)

// stretch is the answer to the steps from first to last, inclusive, and what it depends on. Immutable.
type stretch struct {
	first, last int64
	depends     standing
	series      promql.Matrix
	notes       []error
}

// slice is the part of the stretch from first to last. The points are shared.
func (s *stretch) slice(first, last int64) *stretch {
	if first == s.first && last == s.last {
		c := *s
		return &c
	}
	out := &stretch{first: first, last: last, depends: s.depends, notes: s.notes}
	r := model.TimeRange{MinMs: first, MaxMs: last}
	for _, x := range s.series {
		floats := within(x.Floats, r, func(p promql.FPoint) int64 { return p.T })
		histograms := within(x.Histograms, r, func(p promql.HPoint) int64 { return p.T })
		if len(floats)+len(histograms) > 0 {
			out.series = append(out.series, promql.Series{Metric: x.Metric, Floats: floats, Histograms: histograms})
		}
	}
	return out
}

// within are the points in the range, which ascend.
func within[P any](points []P, r model.TimeRange, at func(P) int64) []P {
	lo, _ := slices.BinarySearchFunc(points, r.MinMs, func(p P, t int64) int { return cmp.Compare(at(p), t) })
	hi, _ := slices.BinarySearchFunc(points, r.MaxMs+1, func(p P, t int64) int { return cmp.Compare(at(p), t) })
	return points[lo:hi:hi]
}

// size is about what the stretch takes in memory.
func (s *stretch) size() int64 {
	const sampleBytes, seriesBytes = 16, 96
	n := int64(512)
	for i := range s.series {
		x := &s.series[i]
		n += seriesBytes + int64(x.Metric.ByteSize()) + sampleBytes*int64(len(x.Floats))
		for _, p := range x.Histograms {
			n += sampleBytes + int64(p.H.Size())
		}
	}
	return n
}

// joinStretches puts stretches that follow one another together: each series once, sorted.
func joinStretches(parts []*stretch) promql.Matrix {
	if len(parts) == 1 {
		return slices.Clone(parts[0].series)
	}
	// pieces are the parts of one series, in their order.
	type gathered struct {
		metric     labels.Labels
		floats     [][]promql.FPoint
		histograms [][]promql.HPoint
	}
	var all []*gathered
	byHash := map[uint64][]*gathered{}
	for _, p := range parts {
		for _, x := range p.series {
			h := x.Metric.Hash()
			i := slices.IndexFunc(byHash[h], func(g *gathered) bool { return labels.Equal(g.metric, x.Metric) })
			if i < 0 {
				i = len(byHash[h])
				g := &gathered{metric: x.Metric}
				byHash[h], all = append(byHash[h], g), append(all, g)
			}
			g := byHash[h][i]
			g.floats, g.histograms = append(g.floats, x.Floats), append(g.histograms, x.Histograms)
		}
	}
	out := make(promql.Matrix, len(all))
	for i, g := range all {
		out[i] = promql.Series{Metric: g.metric, Floats: slices.Concat(g.floats...), Histograms: slices.Concat(g.histograms...)}
	}
	slices.SortFunc(out, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return out
}

// ownCopy is a matrix that stays when its query is closed, which takes the memory of its points back.
func ownCopy(m promql.Matrix) promql.Matrix {
	out := make(promql.Matrix, len(m))
	for i, x := range m {
		out[i] = promql.Series{Metric: x.Metric, Floats: slices.Clone(x.Floats)}
		for _, p := range x.Histograms {
			out[i].Histograms = append(out[i].Histograms, promql.HPoint{T: p.T, H: p.H.Copy()})
		}
	}
	return out
}
