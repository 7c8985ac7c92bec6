package columnar

import "math"

// summands says how the samples of a series may be added.
type summands int

const (
	// extreme samples, or not numbers: as the engine does, one by one.
	extreme summands = iota
	// moderate samples are numbers of which no sum overflows.
	moderate
	// whole numbers, sums of which a float holds exactly, so that neither order nor compensation changes them.
	whole
)

const (
	mostModerate = 1e290
	mostWhole    = 1 << 53
)

// summands classifies the samples. For whole ones it fills prefix with the sums of the samples before each.
func (s *series) summands() summands {
	s.prefix = grown(s.prefix, len(s.v)+1)
	s.prefix[0] = 0
	var sum, size float64
	for i, f := range s.v {
		if size += math.Abs(f); !(size < mostWhole) || f != math.Trunc(f) {
			return s.unlessExtreme()
		}
		sum += f
		s.prefix[i+1] = sum
	}
	return whole
}

func (s *series) unlessExtreme() summands {
	for _, f := range s.v {
		if !(math.Abs(f) < mostModerate) {
			return extreme
		}
	}
	return moderate
}

// compensated adds moderate samples to sum. What the engine adds to the compensation is the exact rounding error of each addition, which it
// finds by asking which operand is larger; the error is found here without asking, so that the processor has nothing to guess.
func compensated(sum float64, v []float64) (total, c float64) {
	for _, f := range v {
		next := sum + f
		part := next - sum
		c += (sum - (next - part)) + (f - part)
		sum = next
	}
	return sum, c
}
