package chunk

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// appendXOR appends v, at least one value, in the XOR codec.
func appendXOR(dst []byte, v []float64) []byte {
	dst = append(dst, codecXOR)
	prev := math.Float64bits(v[0])
	dst = binary.LittleEndian.AppendUint64(dst, prev)
	w := bitWriter{b: dst}
	lead, trail := uint(64), uint(0) // no window yet
	for _, f := range v[1:] {
		u := math.Float64bits(f)
		x := u ^ prev
		prev = u
		if x == 0 {
			w.write(0, 1)
			continue
		}
		l, t := min(uint(bits.LeadingZeros64(x)), 31), uint(bits.TrailingZeros64(x))
		if lead <= l && trail <= t && lead != 64 {
			w.write(0b10, 2)
			w.write(x>>trail, 64-lead-trail)
			continue
		}
		lead, trail = l, t
		size := 64 - l - t
		w.write(0b11<<11|uint64(l)<<6|uint64(size-1), 13)
		w.write(x>>t, size)
	}
	return w.finish()
}

// bitWriter appends bits to b, most significant first.
type bitWriter struct {
	b    []byte
	acc  uint64 // the bits not yet written, in the low end
	held uint   // how many; fewer than 8 between calls
}

// write appends the low n bits of x; the bits above them are zero, n ≤ 64.
func (w *bitWriter) write(x uint64, n uint) {
	if n > 56 {
		w.write(x>>32, n-32)
		x, n = x&0xffffffff, 32
	}
	w.acc = w.acc<<n | x
	w.held += n
	for w.held >= 8 {
		w.held -= 8
		w.b = append(w.b, byte(w.acc>>w.held))
	}
}

func (w *bitWriter) finish() []byte {
	if w.held > 0 {
		w.b = append(w.b, byte(w.acc<<(8-w.held)))
	}
	return w.b
}

// decodeXOR fills v, at least one value, from the bytes behind the codec byte.
func decodeXOR(v []float64, b []byte) error {
	if len(b) < 8 {
		return corrupt("xor chunk of %d bytes", len(b))
	}
	prev := binary.LittleEndian.Uint64(b)
	v[0] = math.Float64frombits(prev)
	r := bitReader{b: b[8:]}
	lead, size := uint(0), uint(0)
	for i := range v[1:] {
		r.fill()
		switch {
		case r.acc>>63 == 0:
			r.skip(1)
		case r.acc>>62 == 0b10:
			if size == 0 {
				return corrupt("xor chunk uses a window before it has one")
			}
			r.skip(2)
			prev ^= r.read(size) << (64 - lead - size)
		default:
			lead, size = uint(r.acc>>57&31), uint(r.acc>>51&63)+1
			if lead+size > 64 {
				return corrupt("xor chunk window of %d + %d bits", lead, size)
			}
			r.skip(13)
			prev ^= r.read(size) << (64 - lead - size)
		}
		v[1+i] = math.Float64frombits(prev)
	}
	if r.over() || r.left() >= 8 {
		return corrupt("xor chunk of the wrong length")
	}
	return nil
}

// bitReader takes bits off b, most significant first. Past the end it reads zeros and over reports it.
type bitReader struct {
	b     []byte
	acc   uint64 // the next bits, in the high end
	held  int    // how many of acc are taken from b
	taken int    // bits read past the end
}

// fill makes at least 57 bits ready.
func (r *bitReader) fill() {
	if len(r.b) >= 8 {
		n := (64 - r.held) >> 3
		r.acc |= binary.BigEndian.Uint64(r.b) >> uint(r.held)
		r.b = r.b[n:]
		r.held += n << 3
		// Bits of a byte that was not taken whole are or-ed in again, the same, by the next fill.
		return
	}
	for r.held <= 56 && len(r.b) > 0 {
		r.acc |= uint64(r.b[0]) << (56 - uint(r.held))
		r.b = r.b[1:]
		r.held += 8
	}
}

func (r *bitReader) skip(n uint) {
	r.acc <<= n
	r.held -= int(n)
	if r.held < 0 {
		r.taken -= r.held
		r.held = 0
	}
}

// read takes n bits, 1 ≤ n ≤ 64.
func (r *bitReader) read(n uint) uint64 {
	r.fill()
	if n <= 56 {
		x := r.acc >> (64 - n)
		r.skip(n)
		return x
	}
	hi := r.acc >> 32
	r.skip(32)
	r.fill()
	n -= 32
	x := hi<<n | r.acc>>(64-n)
	r.skip(n)
	return x
}

func (r *bitReader) over() bool { return r.taken > 0 }

// left is the number of bits not read.
func (r *bitReader) left() int { return r.held + 8*len(r.b) }
