package chunk

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/varvedb/varve/internal/decimal"
)

// appendDecimal appends v as decimals and reports whether they are decimals, but for a few exceptions.
func (e *Encoder) appendDecimal(dst []byte, v []float64) ([]byte, bool) {
	k, ok := e.scaleAll(v)
	if !ok {
		return dst, false
	}
	m := e.m
	m0 := m[0]
	// From here on m[i] for i ≥ 1 is the delta to the value before.
	prev := m0
	for i := 1; i < len(m); i++ {
		m[i], prev = m[i]-prev, m[i]
	}
	d := m[1:]
	g := divisor(d)
	if g > 1 {
		divide(d, g)
	}
	flags, base := choose(d)
	if g > 1 {
		flags |= flagScale
	}
	if len(e.exceptions) > 0 {
		flags |= flagExceptions
	}
	dst = slices.Grow(dst, 64+10*len(e.exceptions)+2*len(v))
	dst = append(dst, codecDecimal|flags, byte(k))
	if g > 1 {
		dst = binary.AppendUvarint(dst, uint64(g))
	}
	if len(e.exceptions) > 0 {
		dst = appendExceptions(dst, e.exceptions)
	}
	dst = binary.AppendVarint(dst, m0)
	switch {
	case flags&flagBase != 0:
		dst = binary.AppendVarint(dst, base)
		return appendOffsets(dst, d, base), true
	case flags&flagSecond != 0:
		dst = binary.AppendVarint(dst, d[0])
		return appendSeconds(dst, d), true
	}
	return appendDeltas(dst, d), true
}

// scaleAll fills e.m with v scaled by 10^k for the least k that fits all values but those it lists in e.exceptions.
func (e *Encoder) scaleAll(v []float64) (k int, ok bool) {
	e.m = slices.Grow(e.m[:0], len(v))[:len(v)]
	k, ok = guess(v)
	for ok {
		at, next := e.scaleWith(v, k)
		if at < 0 {
			return k, next == 0
		}
		k = next
	}
	return 0, false
}

// guess looks at a few values and returns the least k that fits those that fit at all, or false if most do not.
func guess(v []float64) (k int, ok bool) {
	const looks = 8
	step := max(1, len(v)/looks)
	seen, misses := 0, 0
	for i := 0; i < len(v); i += step {
		seen++
		ki, ok := decimal.LeastScale(v[i])
		if !ok {
			misses++
		}
		k = max(k, ki)
	}
	return k, 2*misses <= seen
}

// scaleWith scales all values by 10^k. It returns (-1, 0) when done, (-1, 1) when there are too many
// exceptions, or the index of a value that needs more decimals, and how many.
func (e *Encoder) scaleWith(v []float64, k int) (at, next int) {
	e.exceptions = e.exceptions[:0]
	m := e.m[:len(v)]
	p := decimal.Pow10(k)
	last, have := int64(0), false
	for i, x := range v {
		// The body of decimal.Scale, by hand: this is where encoding spends its time.
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
			last, have = y, true
			continue
		}
		if more, ok := decimal.LeastScale(x); ok && more > k {
			return i, more
		}
		e.exceptions = append(e.exceptions, exception{i, math.Float64bits(x)})
		if len(e.exceptions) > 1+len(v)/32 {
			return -1, 1
		}
		m[i] = last
		if !have {
			m[i] = 0
		}
	}
	if !have {
		return -1, 1
	}
	e.fillLeading()
	return -1, 0
}

// fillLeading gives exceptions before the first fitting value that value's m, so that they make no jump.
func (e *Encoder) fillLeading() {
	n := 0
	for n < len(e.exceptions) && e.exceptions[n].index == n {
		n++
	}
	for i := range n {
		e.m[i] = e.m[n]
	}
}

// divisor returns the largest number that divides all deltas, at least 1.
func divisor(d []int64) int64 {
	var g uint64
	for _, x := range d {
		if x == 0 {
			continue
		}
		u := uint64(max(x, -x))
		if g != 0 && u%g == 0 {
			continue
		}
		for a, b := u, g; ; a, b = b, a%b {
			if b == 0 {
				g = a
				break
			}
		}
		if g == 1 {
			return 1
		}
	}
	return max(1, int64(g))
}

func divide(d []int64, g int64) {
	if g&(g-1) == 0 {
		s := bits.TrailingZeros64(uint64(g))
		for i, x := range d {
			d[i] = x >> s
		}
		return
	}
	for i, x := range d {
		d[i] = x / g
	}
}

// choose decides how the deltas are written: the least bytes before zstd, and of equals the plain form.
func choose(d []int64) (flags byte, base int64) {
	lo, hi := d[0], d[0]
	var plain, second int
	prev := d[0]
	for _, x := range d {
		lo, hi = min(lo, x), max(hi, x)
		plain += varintLen(zigzag(x))
		second += varintLen(zigzag(x - prev))
		prev = x
	}
	best := plain
	if second+varintLen(zigzag(d[0])) < best {
		best, flags = second+varintLen(zigzag(d[0])), flagSecond
	}
	// An offset can only help when zigzag wastes a bit on all (or nearly all) of them.
	if lo > 0 || lo == 0 && hi > 63 || hi < 0 {
		offsets := varintLen(zigzag(lo))
		for _, x := range d {
			offsets += varintLen(uint64(x - lo))
		}
		if offsets < best {
			return flagBase, lo
		}
	}
	return flags, 0
}

func zigzag(x int64) uint64 { return uint64(x<<1) ^ uint64(x>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// varintLen is the length of u as a uvarint: one byte for each seven bits begun.
func varintLen(u uint64) int { return (bits.Len64(u|1)*9 + 64) >> 6 }

func appendDeltas(dst []byte, d []int64) []byte {
	for _, x := range d {
		u := zigzag(x)
		for u >= 0x80 {
			dst = append(dst, byte(u)|0x80)
			u >>= 7
		}
		dst = append(dst, byte(u))
	}
	return dst
}

func appendOffsets(dst []byte, d []int64, base int64) []byte {
	for _, x := range d {
		dst = binary.AppendUvarint(dst, uint64(x-base))
	}
	return dst
}

func appendSeconds(dst []byte, d []int64) []byte {
	prev := d[0]
	for _, x := range d[1:] {
		u := zigzag(x - prev)
		for u >= 0x80 {
			dst = append(dst, byte(u)|0x80)
			u >>= 7
		}
		dst = append(dst, byte(u))
		prev = x
	}
	return dst
}

func appendExceptions(dst []byte, ex []exception) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ex)))
	prev := 0
	for _, x := range ex {
		dst = binary.AppendUvarint(dst, uint64(x.index-prev))
		dst = binary.LittleEndian.AppendUint64(dst, x.bits)
		prev = x.index
	}
	return dst
}
