package columnar

import "math"

func maxima(s *series, out []float64) error {
	s.largest(out, 0)
	return nil
}

func minima(s *series, out []float64) error {
	s.largest(out, -1)
	return nil
}

// largest gives the largest sample of each window, or with flip -1 the smallest. Samples are compared as whole numbers of the same order, which
// takes no branches, and in long windows block by block.
func (s *series) largest(out []float64, flip int64) {
	if !s.makeKeys(flip) {
		s.largestOneByOne(out, flip != 0)
		return
	}
	size := blockSize(s.windows.longest)
	s.makeBlocks(size)
	for i, w := range s.windows.at {
		if w.lo >= w.hi {
			out[i] = absent
			continue
		}
		lo, hi := int(w.lo), int(w.hi)
		first, last := (lo+size-1)/size, hi/size // whole blocks
		if first >= last {
			out[i] = ofKey(largestOf(s.keys[lo:hi]) ^ flip)
			continue
		}
		best := largestOf(s.blocks[first:last])
		if lo < first*size {
			best = max(best, largestOf(s.keys[lo:first*size]))
		}
		if last*size < hi {
			best = max(best, largestOf(s.keys[last*size:hi]))
		}
		out[i] = ofKey(best ^ flip)
	}
}

// blockSize is about the root of the length, a power of two.
func blockSize(length int32) int {
	size := 8
	for size*size < int(length) {
		size *= 2
	}
	return size
}

// makeKeys makes the keys of all samples. It reports false where the order is not that of numbers: for NaN, and for a zero with
// a sign, which equals the other zero and is not the same.
func (s *series) makeKeys(flip int64) bool {
	s.keys = grown(s.keys, len(s.v))
	for i, f := range s.v {
		bits := int64(math.Float64bits(f))
		if f != f || bits == math.MinInt64 {
			return false
		}
		s.keys[i] = toKey(bits) ^ flip
	}
	return true
}

// toKey maps the bits of a float to a whole number of the same order, and back.
func toKey(bits int64) int64 { return bits ^ bits>>63&math.MaxInt64 }

func ofKey(key int64) float64 { return math.Float64frombits(uint64(toKey(key))) }

// makeBlocks finds the largest key of each whole block of so many.
func (s *series) makeBlocks(size int) {
	n := len(s.keys) / size
	s.blocks = grown(s.blocks, n)
	for i := range n {
		s.blocks[i] = largestOf(s.keys[i*size : (i+1)*size])
	}
}

// largestOf compares four at a time, since one comparison needs the outcome of the one before.
func largestOf(keys []int64) int64 {
	a := keys[0]
	b, c, d := a, a, a
	for ; len(keys) >= 4; keys = keys[4:] {
		a, b, c, d = max(a, keys[0]), max(b, keys[1]), max(c, keys[2]), max(d, keys[3])
	}
	for _, k := range keys {
		a = max(a, k)
	}
	return max(a, b, c, d)
}

// largestOneByOne looks at the samples as the engine does: of equal ones the first counts, and any number is better than NaN.
func (s *series) largestOneByOne(out []float64, smallest bool) {
	for i, w := range s.windows.at {
		if w.lo >= w.hi {
			out[i] = absent
			continue
		}
		best := s.v[w.lo]
		for _, f := range s.v[w.lo:w.hi] {
			if !smallest && f > best || smallest && f < best || math.IsNaN(best) {
				best = f
			}
		}
		out[i] = best
	}
}
