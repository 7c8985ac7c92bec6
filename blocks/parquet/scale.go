package parquet

import (
	"math"

	"github.com/varvedb/varve/internal/decimal"
)

// scaleAll fills m with v scaled by one power of ten that fits most, and returns it, with the indexes of the
// values that are not scaled; their m repeats the one before. If those are too many it returns −1, and m is zero throughout.
func scaleAll(m []int64, v []float64, misfits []int32) (int, []int32) {
	k := guessScale(v)
	for k >= 0 {
		next := 0
		if next, misfits = scaleWith(m, v, k, misfits[:0]); next == k {
			return k, misfits
		}
		k = next
	}
	clear(m)
	return -1, misfits[:0]
}

// guessScale looks at a few values and returns the least k that fits those that fit at all, or −1 if few do.
func guessScale(v []float64) int {
	const looks = 8
	step := max(1, len(v)/looks)
	k, seen, misses := 0, 0, 0
	for i := 0; i < len(v); i += step {
		seen++
		ki, ok := decimal.LeastScale(v[i])
		if !ok {
			misses++
		}
		k = max(k, ki)
	}
	// A lone staleness marker or two among the looks says nothing.
	if misses == seen || misses > 2 && 2*misses > seen {
		return -1
	}
	return k
}

// scaleWith scales by 10^k. It returns k when done, the power that a value needs besides, or −1 when there are too many misfits.
func scaleWith(m []int64, v []float64, k int, misfits []int32) (int, []int32) {
	m = m[:len(v)]
	p := decimal.Pow10(k)
	last := int64(0)
	for i, x := range v {
		var y int64
		var z float64
		if k == 0 {
			y = int64(x)
			z = float64(y)
		} else {
			y = int64(x*p + decimal.Rounder - decimal.Rounder)
			z = float64(y) / p
		}
		if math.Float64bits(z) == math.Float64bits(x) && uint64(y+decimal.MaxScaled) <= 2*decimal.MaxScaled {
			m[i] = y
			last = y
			continue
		}
		if more, ok := decimal.LeastScale(x); ok && more > k {
			return more, misfits
		}
		misfits = append(misfits, int32(i))
		if len(misfits) > 2+len(v)/4 {
			return -1, misfits
		}
		m[i] = last
	}
	if len(misfits) == len(v) {
		return -1, misfits
	}
	// Misfits before the first that fits make no jump either.
	n := 0
	for n < len(misfits) && int(misfits[n]) == n {
		n++
	}
	for i := range n {
		m[i] = m[n]
	}
	return k, misfits
}

// unscale appends the values of scaled numbers with one scale, which is not −1.
func unscale(dst []float64, m []int64, k int8) []float64 {
	if k == 0 {
		for _, x := range m {
			dst = append(dst, float64(x))
		}
		return dst
	}
	p := decimal.Pow10(int(k))
	for _, x := range m {
		dst = append(dst, float64(x)/p)
	}
	return dst
}
