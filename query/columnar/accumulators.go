package columnar

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// summer adds with compensation; the first value is taken as it is, which keeps the sign of a zero.
type summer struct{ sum, c []float64 }

func (s *summer) add(from int, values []float64) {
	sum, c := s.sum[from:from+len(values)], s.c[from:from+len(values)]
	for i, f := range values {
		switch {
		case isAbsent(f):
		case isAbsent(sum[i]):
			sum[i] = f
		default:
			sum[i], c[i] = kahansum.Inc(f, sum[i], c[i])
		}
	}
}

func (s *summer) finish() []float64 {
	for i, f := range s.sum {
		if !isAbsent(f) {
			s.sum[i] = f + s.c[i]
		}
	}
	return s.sum
}

// averager divides sums by counts, and where a sum would overflow moves a mean from then on.
type averager struct {
	sum, c, count []float64
	// mean is where moving; both are nil as long as no step is.
	mean   []float64
	moving []bool
}

func (a *averager) add(from int, values []float64) {
	for i, f := range values {
		i += from
		switch {
		case isAbsent(f):
		case isAbsent(a.sum[i]):
			a.sum[i], a.count[i] = f, 1
		default:
			a.one(i, f)
		}
	}
}

func (a *averager) one(i int, f float64) {
	a.count[i]++
	count := a.count[i]
	if a.moving == nil || !a.moving[i] {
		sum, c := kahansum.Inc(f, a.sum[i], a.c[i])
		if !math.IsInf(sum, 0) {
			a.sum[i], a.c[i] = sum, c
			return
		}
		if a.moving == nil {
			a.moving, a.mean = make([]bool, len(a.sum)), make([]float64, len(a.sum))
		}
		a.moving[i] = true
		a.mean[i] = a.sum[i] / (count - 1)
		a.c[i] /= count - 1
	}
	q := (count - 1) / count
	a.mean[i], a.c[i] = kahansum.Inc(f/count, q*a.mean[i], q*a.c[i])
}

func (a *averager) finish() []float64 {
	for i, f := range a.sum {
		switch {
		case isAbsent(f):
		case a.moving != nil && a.moving[i]:
			a.sum[i] = a.mean[i] + a.c[i]
		default:
			a.sum[i] = f/a.count[i] + a.c[i]/a.count[i]
		}
	}
	return a.sum
}

// best is minimum or maximum; any number is better than NaN.
type best struct {
	values []float64
	low    bool
}

func (b *best) add(from int, values []float64) {
	have := b.values[from : from+len(values)]
	for i, f := range values {
		switch {
		case isAbsent(f):
		case isAbsent(have[i]), math.IsNaN(have[i]), b.low && have[i] > f, !b.low && have[i] < f:
			have[i] = f
		}
	}
}

func (b *best) finish() []float64 { return b.values }

// counter counts, or says 1 for any number.
type counter struct {
	values []float64
	group  bool
}

func (c *counter) add(from int, values []float64) {
	have := c.values[from : from+len(values)]
	for i, f := range values {
		switch {
		case isAbsent(f):
		case isAbsent(have[i]):
			have[i] = 1
		case !c.group:
			have[i]++
		}
	}
}

func (c *counter) finish() []float64 { return c.values }

// spread is the variance, or the deviation as its root.
type spread struct {
	value, mean, count []float64
	root               bool
}

func (s *spread) add(from int, values []float64) {
	for i, f := range values {
		i += from
		switch {
		case isAbsent(f):
		case isAbsent(s.value[i]):
			s.value[i], s.mean[i], s.count[i] = 0, f, 1
			if !isNumber(f) {
				s.value[i] = math.NaN()
			}
		default:
			s.count[i]++
			delta := f - s.mean[i]
			s.mean[i] += delta / s.count[i]
			s.value[i] += delta * (f - s.mean[i])
		}
	}
}

func (s *spread) finish() []float64 {
	for i, f := range s.value {
		if isAbsent(f) {
			continue
		}
		s.value[i] = f / s.count[i]
		if s.root {
			s.value[i] = math.Sqrt(f / s.count[i])
		}
	}
	return s.value
}
