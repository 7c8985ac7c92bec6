package memtable

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/varvedb/varve/model"
)

// A block holds consecutive samples of one series, ascending in time. It lives in a slab and is never written to
// disk, so the layout may change at will. All integers are little-endian.
//
//	offset  width  field
//	0       4      the block before this one of the same series, 0 if there is none
//	4       2      bytes used, the header included   } written when the block
//	6       2      number of samples                 } is full, see Series
//	8       8      timestamp of the first sample
//	16      8      bits of its value
//	24      1      decimal scale that the block begins with, noScale if none
//	25             further samples
//
// A sample is a byte with the time code in the upper and the value code in the lower four bits, then the time's bytes, then
// the value's.
//
//	time code  0…10   the difference to the sample before changed by code−5
//	           11, 12, 13  it changed by the following int8, int16, int32
//	           14     the difference is the following int64
//	           15     no sample but a run: the last sample repeats, at the last difference, as often as the
//	                  value code says, or, if that is 0, the following uint16
//	value code 0      the bits of the sample before
//	           1…4    decimal: zigzag difference of the scaled integer, in as many bytes
//	           5…12   the exclusive or with the bits before has code−4 low bytes
//	           13     the same with a byte (zero low bytes)<<4 | further bytes ahead
//	           14     decimal with a new scale (1 byte) and integer (8 bytes): also after a step too wide for 1…4
//
// Samples that are counted but not written are a run at the end of the block.
//
// Decimal means: value = integer / 10^scale to the bit, |integer| ≤ 2^53. The integer that differences refer to is that of the last
// decimal sample, so a staleness marker in between costs its own bytes and nothing after it. Whole bytes instead of bits make it possible to
// read a block while it grows, and counters and gauges of few decimals, the most of what arrives, are smaller than
// with exclusive or alone.
const (
	blockHeader = 25
	noScale     = -1
	maxScale    = 6
	maxInteger  = 1 << 53

	timeBias  = 5
	timeInt8  = 11
	timeInt16 = 12
	timeInt32 = 13
	timeInt64 = 14
	timeRun   = 15
	maxRun    = 1<<15 - 1

	valueSame    = 0
	valueXor     = 4
	valueXorTail = 13
	valueRebase  = 14
)

// pow10 returns 10^k for 0 ≤ k ≤ maxScale, which float64 holds exactly.
func pow10(k int8) float64 {
	return [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 0}[k&7]
}

// scaled returns the integer m with v == m / 10^k to the bit, if there is one.
func scaled(v float64, k int8) (int64, bool) {
	p := pow10(k)
	x := v * p
	if !(math.Abs(x) <= maxInteger) {
		return 0, false
	}
	m := int64(x + math.Copysign(0.5, x))
	return m, math.Float64bits(float64(m)/p) == math.Float64bits(v)
}

// findScale returns the smallest scale from lo on at which v is decimal, or noScale.
func findScale(v float64, lo int8) int8 {
	for k := max(lo, 0); k <= maxScale; k++ {
		if _, ok := scaled(v, k); ok {
			return k
		}
	}
	return noScale
}

// encoder is the state between the samples of one series.
type encoder struct {
	lastT     int64
	lastDelta int64
	lastBits  uint64
	lastM     int64 // valid while scale != noScale
	scale     int8
	tryLater  uint8  // samples to go before a scale is searched again
	run       uint16 // repetitions of the last sample that are not written yet
}

// begin writes the header of a new block and returns its used length.
func (e *encoder) begin(b []byte, prev uint32, t int64, v float64) uint16 {
	if e.scale != noScale {
		if _, ok := scaled(v, e.scale); !ok {
			e.scale = noScale
		}
	}
	if e.scale == noScale {
		e.scale = findScale(v, 0)
	}
	if e.scale != noScale {
		e.lastM, _ = scaled(v, e.scale)
	}
	e.lastT, e.lastDelta, e.lastBits, e.tryLater, e.run = t, 0, math.Float64bits(v), 0, 0
	binary.LittleEndian.PutUint32(b, prev)
	binary.LittleEndian.PutUint64(b[8:], uint64(t))
	binary.LittleEndian.PutUint64(b[16:], e.lastBits)
	b[24] = byte(e.scale)
	return blockHeader
}

// put adds a sample with t > lastT: it counts it as part of a run, or writes it at the start of b. It returns the length written and whether b was long
// enough; if it was not, nothing but a begin may follow.
func (e *encoder) put(b []byte, t int64, v float64) (int, bool) {
	if t-e.lastT == e.lastDelta && math.Float64bits(v) == e.lastBits && e.run < maxRun {
		e.run++
		e.lastT = t
		return 0, true
	}
	if e.run == 0 {
		n := e.putSample(b, t, v)
		return n, n > 0
	}
	runLen := runLength(e.run)
	if len(b) <= runLen {
		return 0, false
	}
	n := e.putSample(b[runLen:], t, v)
	if n == 0 {
		return 0, false
	}
	if b[0] = timeRun << 4; runLen == 1 {
		b[0] |= byte(e.run)
	} else {
		binary.LittleEndian.PutUint16(b[1:], e.run)
	}
	e.run = 0
	return runLen + n, true
}

// runLength is the number of bytes that a run takes.
func runLength(n uint16) int {
	if n <= 15 {
		return 1
	}
	return 3
}

// putSample writes one sample with t > lastT at the start of b and returns its length, or 0 if b is too short.
func (e *encoder) putSample(b []byte, t int64, v float64) int {
	delta := t - e.lastT
	dod := delta - e.lastDelta
	timeCode, timeLen, timeVal := byte(dod+timeBias), 0, uint64(dod)
	if uint64(dod+timeBias) > 2*timeBias {
		switch {
		case int64(int8(dod)) == dod:
			timeCode, timeLen = timeInt8, 1
		case int64(int16(dod)) == dod:
			timeCode, timeLen = timeInt16, 2
		case int64(int32(dod)) == dod:
			timeCode, timeLen = timeInt32, 4
		default:
			timeCode, timeLen, timeVal = timeInt64, 8, uint64(delta)
		}
	}
	vbits := math.Float64bits(v)
	if vbits == e.lastBits {
		if len(b) < 1+timeLen {
			return 0
		}
		b[0] = timeCode<<4 | valueSame
		putBytes(b[1:], timeVal, timeLen)
		e.lastT, e.lastDelta = t, delta
		return 1 + timeLen
	}
	if e.scale >= 0 {
		if m, ok := scaled(v, e.scale); ok {
			d := m - e.lastM
			z := uint64(d<<1) ^ uint64(d>>63)
			if n := (bits.Len64(z|1) + 7) >> 3; n <= 4 {
				if len(b) < 1+timeLen+n {
					return 0
				}
				b[0] = timeCode<<4 | byte(n)
				putBytes(b[1:], timeVal, timeLen)
				putBytes(b[1+timeLen:], z, n)
				e.lastT, e.lastDelta, e.lastBits, e.lastM = t, delta, vbits, m
				return 1 + timeLen + n
			}
		}
	}
	n := e.putOdd(b, timeCode, timeLen, timeVal, v)
	if n > 0 {
		e.lastT, e.lastDelta, e.lastBits = t, delta, vbits
	}
	return n
}

// putOdd writes a sample whose value is neither the same nor a small decimal step.
func (e *encoder) putOdd(b []byte, timeCode byte, timeLen int, timeVal uint64, v float64) int {
	if e.tryLater > 0 {
		e.tryLater--
	} else if k := findScale(v, e.scale); k == noScale {
		e.tryLater = 31
	} else {
		m, _ := scaled(v, k)
		if len(b) < 1+timeLen+9 {
			return 0
		}
		b[0] = timeCode<<4 | valueRebase
		putBytes(b[1:], timeVal, timeLen)
		b[1+timeLen] = byte(k)
		binary.LittleEndian.PutUint64(b[2+timeLen:], uint64(m))
		e.scale, e.lastM = k, m
		return 1 + timeLen + 9
	}
	x := math.Float64bits(v) ^ e.lastBits
	n := (bits.Len64(x) + 7) >> 3
	if tail := bits.TrailingZeros64(x) >> 3; tail >= 2 {
		if len(b) < 2+timeLen+n-tail {
			return 0
		}
		b[0] = timeCode<<4 | valueXorTail
		putBytes(b[1:], timeVal, timeLen)
		b[1+timeLen] = byte(tail<<4 | (n - tail))
		putBytes(b[2+timeLen:], x>>(8*tail), n-tail)
		return 2 + timeLen + n - tail
	}
	if len(b) < 1+timeLen+n {
		return 0
	}
	b[0] = timeCode<<4 | byte(valueXor+n)
	putBytes(b[1:], timeVal, timeLen)
	putBytes(b[1+timeLen:], x, n)
	return 1 + timeLen + n
}

// putBytes writes the n low bytes of v.
func putBytes(b []byte, v uint64, n int) {
	switch n {
	case 0:
	case 1:
		b[0] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	case 8:
		binary.LittleEndian.PutUint64(b, v)
	default:
		for i := range n {
			b[i] = byte(v >> (8 * i))
		}
	}
}

// getBytes reads what putBytes wrote.
func getBytes(b []byte, n int) uint64 {
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 8:
		return binary.LittleEndian.Uint64(b)
	}
	var v uint64
	for i := range n {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// decodeBlock appends the samples of a block within the range to dst. b is the used part of the block.
func decodeBlock(b []byte, count int, r model.TimeRange, dst *model.Columns) {
	t := int64(binary.LittleEndian.Uint64(b[8:]))
	vbits := binary.LittleEndian.Uint64(b[16:])
	scale := int8(b[24])
	var m, delta int64
	p := 1.0
	if scale != noScale {
		p = pow10(scale)
		m, _ = scaled(math.Float64frombits(vbits), scale)
	}
	b = b[blockHeader:]
	run := 0
	for i := 0; ; i++ {
		if r.Contains(t) {
			dst.T, dst.V = append(dst.T, t), append(dst.V, math.Float64frombits(vbits))
		}
		if i == count-1 || t > r.MaxMs {
			return
		}
		if run == 0 && len(b) == 0 {
			run = count - 1 - i
		} else if run == 0 && b[0]>>4 == timeRun {
			if run = int(b[0] & 15); run == 0 {
				run = int(binary.LittleEndian.Uint16(b[1:]))
				b = b[2:]
			}
			b = b[1:]
		}
		if run > 0 {
			run--
			t += delta
			continue
		}
		timeCode, valueCode := b[0]>>4, int(b[0]&15)
		b = b[1:]
		switch timeCode {
		case timeInt8:
			delta += int64(int8(b[0]))
			b = b[1:]
		case timeInt16:
			delta += int64(int16(binary.LittleEndian.Uint16(b)))
			b = b[2:]
		case timeInt32:
			delta += int64(int32(binary.LittleEndian.Uint32(b)))
			b = b[4:]
		case timeInt64:
			delta = int64(binary.LittleEndian.Uint64(b))
			b = b[8:]
		default:
			delta += int64(timeCode) - timeBias
		}
		t += delta
		switch {
		case valueCode == valueSame:
		case valueCode <= valueXor:
			z := getBytes(b, valueCode)
			b = b[valueCode:]
			m += int64(z>>1) ^ -int64(z&1)
			vbits = math.Float64bits(float64(m) / p)
		case valueCode < valueXorTail:
			vbits ^= getBytes(b, valueCode-valueXor)
			b = b[valueCode-valueXor:]
		case valueCode == valueXorTail:
			tail, n := b[0]>>4, int(b[0]&15)
			vbits ^= getBytes(b[1:], n) << (8 * tail)
			b = b[1+n:]
		default:
			p = pow10(int8(b[0]))
			m = int64(binary.LittleEndian.Uint64(b[1:]))
			vbits = math.Float64bits(float64(m) / p)
			b = b[9:]
		}
	}
}
