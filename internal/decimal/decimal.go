// Package decimal finds the decimal that a float64 was written as: the integer m and the power k with float64(m) / 10^k equal to it to the bit.
//
// Both layouts of blocks store most values so: the chunks of hot blocks and the scaled column of parquet blocks. The functions are pure and
// may be called concurrently. The loops that scale whole columns stand with their encodings, since these differ in what they do with values that do not fit.
package decimal

import "math"

// MaxScale is the largest power of ten that values are scaled by. 10^15 is an exact float, and a value with more decimals than that has no room
// for digits before the point.
const MaxScale = 15

// MaxScaled bounds the scaled integers to those that floats hold exactly.
const MaxScaled = 1 << 53

// Rounder added and taken away again rounds a float below 2^51 to an integer.
const Rounder = 1.5 * (1 << 52)

// pow10 is a constant table; every entry is exact.
var pow10 = [MaxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// Pow10 returns 10^k. It panics if k is not in [0, MaxScale].
func Pow10(k int) float64 { return pow10[k] }

// Scale returns m with float64(m) / 10^k == v to the bit, if there is one. −0.0, NaN and infinities have none.
func Scale(v float64, k int) (int64, bool) {
	if k == 0 {
		m := int64(v)
		return m, math.Float64bits(float64(m)) == math.Float64bits(v) && uint64(m+MaxScaled) <= 2*MaxScaled
	}
	p := pow10[k]
	m := int64(v*p + Rounder - Rounder)
	return m, math.Float64bits(float64(m)/p) == math.Float64bits(v) && uint64(m+MaxScaled) <= 2*MaxScaled
}

// LeastScale returns the least k that v can be scaled by.
func LeastScale(v float64) (int, bool) {
	if math.IsNaN(v) || math.Abs(v) > MaxScaled {
		return 0, false
	}
	for k := range pow10 {
		if _, ok := Scale(v, k); ok {
			return k, true
		}
	}
	return 0, false
}
