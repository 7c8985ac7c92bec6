package parquet

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// DELTA_BINARY_PACKED, in the one shape that most programs write: blocks of 128 deltas in four miniblocks of 32.
const (
	deltaBlock = 128
	deltaMinis = 4
	deltaMini  = deltaBlock / deltaMinis
)

// appendDelta appends the encoding of m, at least one number. The jump back to the next series, one delta far below the others of its block,
// would make all of them wide; then the base of the block is the second least delta, and the jump, taken modulo 2^64, makes only
// its own miniblock wide. With bytes set the widths are whole bytes, and the base stays that of the block before if no width grows by it.
func appendDelta(dst []byte, m []int64, bytes bool) []byte {
	dst = append(dst, deltaBlock&0x7f|0x80, deltaBlock>>7, deltaMinis)
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	dst = binary.AppendVarint(dst, m[0])
	var d [deltaBlock]int64
	prev, base, first := m[0], int64(0), true
	for m = m[1:]; len(m) > 0; {
		n := min(len(m), deltaBlock)
		least, next := int64(math.MaxInt64), int64(math.MaxInt64) // but for one of the least
		for i, x := range m[:n] {
			d[i] = x - prev
			if d[i] < least {
				least, next = d[i], least
			} else {
				next = min(next, d[i])
			}
			prev = x
		}
		m = m[n:]
		w := widths(d[:n], least, bytes)
		if n > 1 && next > least {
			if without := widths(d[:n], next, bytes); sum(without) < sum(w) {
				least, w = next, without
			}
		}
		if bytes && !first && base < least && widths(d[:n], base, bytes) == w {
			least = base
		}
		base, first = least, false
		dst = binary.AppendVarint(dst, least)
		dst = append(dst, w[:]...)
		for i := 0; i < n; i += deltaMini {
			dst = pack(dst, d[i:min(n, i+deltaMini)], least, uint(w[i/deltaMini]))
		}
	}
	return dst
}

// widths returns the bits that each miniblock of deltas takes above base.
func widths(d []int64, base int64, bytes bool) (w [deltaMinis]byte) {
	for k := range w {
		if k*deltaMini >= len(d) {
			break
		}
		or := uint64(0)
		for _, x := range d[k*deltaMini : min(len(d), (k+1)*deltaMini)] {
			or |= uint64(x - base)
		}
		w[k] = byte(bits.Len64(or))
		if bytes {
			w[k] = (w[k] + 7) &^ 7
		}
	}
	return w
}

func sum(w [deltaMinis]byte) (n int) {
	for _, x := range w {
		n += int(x)
	}
	return n
}

// pack appends one miniblock, filled up with zeros: the deltas above base in w bits each, least significant first.
func pack(dst []byte, d []int64, base int64, w uint) []byte {
	if w == 0 {
		return dst
	}
	end := len(dst) + int(w)*deltaMini/8
	dst = slices.Grow(dst, int(w)*deltaMini/8+16)
	if w%8 == 0 {
		// Each store spills zeros over what comes next, which is written later.
		for _, x := range d {
			at := len(dst)
			dst = dst[:at+8]
			binary.LittleEndian.PutUint64(dst[at:], uint64(x-base))
			dst = dst[:at+int(w/8)]
		}
		return fill(dst, end)
	}
	acc, have := uint64(0), uint(0)
	for _, x := range d {
		u := uint64(x - base)
		acc |= u << have
		if have += w; have >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			have -= 64
			acc = u >> (w - have)
		}
	}
	for ; have > 0; have -= min(have, 8) {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return fill(dst, end)
}

// fill brings dst to length end with zeros.
func fill(dst []byte, end int) []byte {
	at := len(dst)
	dst = dst[:end]
	clear(dst[at:])
	return dst
}

// decodeDelta decodes exactly n ≥ 1 numbers into the memory of dst, which grows as needed. No byte may be left over.
func decodeDelta(dst []int64, b []byte, n int) ([]int64, error) {
	d := decoder{b: b}
	block, minis, count, v := d.uvarint(), d.uvarint(), d.uvarint(), d.varint()
	if d.bad || block != deltaBlock || minis != deltaMinis || count != uint64(n) {
		return dst[:0], corrupt("delta page of %d blocks of %d with %d of %d numbers", minis, block, count, n)
	}
	// A block of numbers takes a byte and the widths at least.
	if n > 1 && (n-2)/deltaBlock+1 > len(d.b)/(1+deltaMinis) {
		return dst[:0], corrupt("delta page of %d bytes with %d numbers", len(b), n)
	}
	dst = slices.Grow(dst[:0], n)[:n]
	dst[0] = v
	var err error
	var room [64*deltaMini/8 + 9]byte
	for at := 1; at < n; {
		base := d.varint()
		w := d.take(deltaMinis)
		if d.bad {
			return dst[:0], corrupt("delta page is cut off")
		}
		for k := 0; k < deltaMinis && at < n; k++ {
			to := min(n, at+deltaMini)
			if v, err = unpack(dst[at:to], &d, &room, v, base, uint(w[k])); err != nil {
				return dst[:0], err
			}
			at = to
		}
	}
	if d.bad || len(d.b) != 0 {
		return dst[:0], corrupt("%d bytes behind a delta page", len(d.b))
	}
	return dst, nil
}

// unpack fills dst, at most a miniblock, from v on and returns its last number. room is scratch.
func unpack(dst []int64, d *decoder, room *[64*deltaMini/8 + 9]byte, v, base int64, w uint) (int64, error) {
	size := int(w) * deltaMini / 8
	if w > 64 || size > len(d.b) {
		return 0, corrupt("miniblock of width %d in %d bytes", w, len(d.b))
	}
	src := d.b
	d.b = d.b[size:]
	switch w {
	case 0:
		for i := range dst {
			v += base
			dst[i] = v
		}
		return v, nil
	case 8:
		for i, x := range src[:len(dst)] {
			v += base + int64(x)
			dst[i] = v
		}
		return v, nil
	case 16:
		src = src[:2*len(dst)]
		for i := range dst {
			v += base + int64(binary.LittleEndian.Uint16(src[2*i:]))
			dst[i] = v
		}
		return v, nil
	}
	// Every load of 8 bytes, and the ninth, must lie in src.
	if len(src) < size+9 {
		copy(room[:], src[:size])
		src = room[:]
	}
	src = src[:size+9]
	if w <= 57 {
		return unpackNarrow(dst, src, v, base, w), nil
	}
	mask := ^uint64(0) >> (64 - w)
	for i := range dst {
		bit := uint(i) * w
		x := binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7)
		x |= uint64(src[bit>>3+8]) << (64 - bit&7)
		v += base + int64(x&mask)
		dst[i] = v
	}
	return v, nil
}

// unpackNarrow is unpack for widths of which a load of 8 bytes holds one whatever bit it begins at; of small widths it holds four, or two.
func unpackNarrow(dst []int64, src []byte, v, base int64, w uint) int64 {
	mask := uint64(1)<<w - 1
	i := 0
	load := func() uint64 {
		bit := uint(i) * w
		return binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7)
	}
	for ; w <= 14 && i+4 <= len(dst); i += 4 {
		x := load()
		four := dst[i : i+4 : i+4]
		v += base + int64(x&mask)
		four[0] = v
		v += base + int64(x>>w&mask)
		four[1] = v
		v += base + int64(x>>(2*w)&mask)
		four[2] = v
		v += base + int64(x>>(3*w)&mask)
		four[3] = v
	}
	for ; w <= 28 && i+2 <= len(dst); i += 2 {
		x := load()
		two := dst[i : i+2 : i+2]
		v += base + int64(x&mask)
		two[0] = v
		v += base + int64(x>>w&mask)
		two[1] = v
	}
	for ; i < len(dst); i++ {
		v += base + int64(load()&mask)
		dst[i] = v
	}
	return v
}
