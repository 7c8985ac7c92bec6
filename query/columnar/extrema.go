package columnar

import (
	"math"
	"slices"
)

func maxima(s *series, out []float64) error {
	s.extrema(out, func(a, b float64) bool { return a > b })
	return nil
}

func minima(s *series, out []float64) error {
	s.extrema(out, func(a, b float64) bool { return a < b })
	return nil
}

// extrema gives the best value of each window, of equal ones the first, as minus zero and zero are equal and not the same. The queue holds the
// samples that may still become the best: each is no better than those before it.
func (s *series) extrema(out []float64, better func(a, b float64) bool) {
	if slices.ContainsFunc(s.v, math.IsNaN) {
		s.extremaOfAll(out, better)
		return
	}
	queue, head := s.queue[:0], 0
	next := int32(0)
	for i, w := range s.windows.at {
		if w.lo >= w.hi {
			out[i] = absent
			continue
		}
		for head < len(queue) && queue[head] < w.lo {
			head++
		}
		for next = max(next, w.lo); next < w.hi; next++ {
			v := s.v[next]
			for head < len(queue) && better(v, s.v[queue[len(queue)-1]]) {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, next)
		}
		out[i] = s.v[queue[head]]
	}
	s.queue = queue
}

// extremaOfAll does the same where there are NaN among the samples: any number is better than they are.
func (s *series) extremaOfAll(out []float64, better func(a, b float64) bool) {
	for i, w := range s.windows.at {
		if w.lo >= w.hi {
			out[i] = absent
			continue
		}
		best := s.v[w.lo]
		for _, f := range s.v[w.lo:w.hi] {
			if better(f, best) || math.IsNaN(best) {
				best = f
			}
		}
		out[i] = best
	}
}
