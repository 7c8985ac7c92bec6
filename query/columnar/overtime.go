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

// sums adds up, with compensation.
func sums(s *series, out []float64) error {
	kind := s.summands()
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		switch v := s.v[w.lo:w.hi]; {
		case len(v) == 0:
			out[i] = absent
		case kind == whole:
			out[i] = s.prefix[w.hi] - s.prefix[w.lo]
		case kind == moderate:
			total, c := compensated(0, v)
			out[i] = total + c
		default:
			out[i] = sum(v)
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
	kind := s.summands()
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		v := s.v[w.lo:w.hi]
		count := float64(len(v))
		switch {
		case len(v) == 0:
			out[i] = absent
		case kind == whole:
			out[i] = (s.prefix[w.hi]-s.prefix[w.lo])/count + 0/count
		case kind == moderate:
			total, c := compensated(v[0], v[1:])
			out[i] = total/count + c/count
		default:
			out[i] = mean(v)
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

// deviations are roots of variances.
func deviations(s *series, out []float64) error {
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		out[i] = absent
		if w.lo < w.hi {
			out[i] = math.Sqrt(variance(s.v[w.lo:w.hi]))
		}
	}
	return nil
}

func variances(s *series, out []float64) error {
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		out[i] = absent
		if w.lo < w.hi {
			out[i] = variance(s.v[w.lo:w.hi])
		}
	}
	return nil
}

func variance(v []float64) float64 {
	var count, mean, c, squares, squaresC float64
	for _, f := range v {
		count++
		delta := f - (mean + c)
		mean, c = kahansum.Inc(delta/count, mean, c)
		squares, squaresC = kahansum.Inc(delta*(f-(mean+c)), squares, squaresC)
	}
	return (squares + squaresC) / count
}
