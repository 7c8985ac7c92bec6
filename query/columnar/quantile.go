package columnar

import (
	"math"
	"slices"
	"sort"
)

// keeper keeps all values of a group until the end, for their quantile.
type keeper struct {
	n        int
	quantile float64
	meter    *meter
	series   []result
}

func (k *keeper) keep(e *evaluated) error {
	values := slices.Clone(e.values[e.from:e.to])
	k.series = append(k.series, result{from: e.from, values: values})
	return k.meter.hold(max(int64(e.count), int64(len(values)/2)))
}

func (k *keeper) add(int, []float64) { panic("columnar: a keeper keeps") }

func (k *keeper) finish() []float64 {
	out := make([]float64, k.n)
	var values ascending
	for i := range out {
		values = values[:0]
		for _, s := range k.series {
			if j := i - s.from; j >= 0 && j < len(s.values) && !isAbsent(s.values[j]) {
				values = append(values, s.values[j])
			}
		}
		out[i] = absent
		if len(values) > 0 {
			out[i] = quantile(k.quantile, values)
		}
	}
	return out
}

// quantile is that of the values, which it sorts, for a q within [0, 1].
func quantile(q float64, values ascending) float64 {
	values.sort()
	n := float64(len(values))
	rank := q * (n - 1)
	lower := math.Max(0, math.Floor(rank))
	upper := math.Min(n-1, lower+1)
	weight := rank - math.Floor(rank)
	if weight == 0 {
		return values[int(lower)]
	}
	return values[int(lower)]*(1-weight) + values[int(upper)]*weight
}

// ascending sorts as the engine does.
type ascending []float64

// sort takes the engine's algorithm where its order is none: among NaN, and among zeros with and without a sign. Elsewhere any
// algorithm comes to the same.
func (a ascending) sort() {
	for _, f := range a {
		if math.IsNaN(f) || f == 0 && math.Signbit(f) {
			sort.Sort(a)
			return
		}
	}
	slices.Sort(a)
}

func (a ascending) Len() int           { return len(a) }
func (a ascending) Less(i, j int) bool { return math.IsNaN(a[i]) || a[i] < a[j] }
func (a ascending) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// quantiles is quantile_over_time with a quantile within [0, 1].
type quantiles float64

func (q quantiles) eval(s *series, out []float64) error {
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		out[i] = absent
		if w.lo < w.hi {
			s.sorted = append(s.sorted[:0], s.v[w.lo:w.hi]...)
			out[i] = quantile(float64(q), s.sorted)
		}
	}
	return nil
}
