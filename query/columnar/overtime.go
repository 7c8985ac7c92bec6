package columnar

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

func counts(s *series, out []float64) error {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.lo < w.hi {
			out[i] = float64(w.hi - w.lo)
		}
	}
	return nil
}

func presence(s *series, out []float64) error {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.lo < w.hi {
			out[i] = 1
		}
	}
	return nil
}

func lasts(s *series, out []float64) error {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.lo < w.hi {
			out[i] = s.v[w.hi-1]
		}
	}
	return nil
}

func firsts(s *series, out []float64) error {
	for i, w := range s.windows.at {
		out[i] = absent
		if w.lo < w.hi {
			out[i] = s.v[w.lo]
		}
	}
	return nil
}

// exact says that sums of any of the samples are whole numbers that a float holds exactly, so that neither order nor compensation
// changes them. It fills prefix with the sums of the samples before each.
func (s *series) exact() bool {
	const most = 1 << 53
	s.prefix = grown(s.prefix, len(s.v)+1)
	s.prefix[0] = 0
	var sum, size float64
	for i, f := range s.v {
		if f != math.Trunc(f) {
			return false
		}
		// An infinity, and whatever leads to one, fails this.
		if size += math.Abs(f); !(size < most) {
			return false
		}
		sum += f
		s.prefix[i+1] = sum
	}
	return true
}

// sums adds up, with compensation.
func sums(s *series, out []float64) error {
	exact := s.exact()
	for i, w := range s.windows.at {
		switch {
		case w.lo >= w.hi:
			out[i] = absent
		case exact:
			out[i] = s.prefix[w.hi] - s.prefix[w.lo]
		default:
			out[i] = sum(s.v[w.lo:w.hi])
		}
	}
	return nil
}

func sum(v []float64) float64 {
	var sum, c float64
	for _, f := range v {
		sum, c = kahansum.Inc(f, sum, c)
	}
	if math.IsInf(sum, 0) {
		return sum
	}
	return sum + c
}

// means are sums divided, or where a sum would overflow a mean that is moved by each sample.
func means(s *series, out []float64) error {
	exact := s.exact()
	for i, w := range s.windows.at {
		switch {
		case w.lo >= w.hi:
			out[i] = absent
		case exact:
			count := float64(w.hi - w.lo)
			out[i] = (s.prefix[w.hi]-s.prefix[w.lo])/count + 0/count
		default:
			out[i] = mean(s.v[w.lo:w.hi])
		}
	}
	return nil
}

func mean(v []float64) float64 {
	sum, count := v[0], 1.
	var mean, c float64
	moving := false
	for i, f := range v[1:] {
		count = float64(i + 2)
		if !moving {
			nextSum, nextC := kahansum.Inc(f, sum, c)
			if !math.IsInf(nextSum, 0) {
				sum, c = nextSum, nextC
				continue
			}
			moving = true
			mean = sum / (count - 1)
			c /= (count - 1)
		}
		q := (count - 1) / count
		mean, c = kahansum.Inc(f/count, q*mean, q*c)
	}
	if moving {
		return mean + c
	}
	return sum/count + c/count
}
