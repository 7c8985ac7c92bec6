package chunk

import (
	"encoding/binary"
	"slices"
)

// appendMixed appends a chunk with at least one histogram.
func (e *Encoder) appendMixed(dst []byte, v []float64, h [][]byte) []byte {
	dst = append(dst, codecMixed)
	e.floats = e.floats[:0]
	for i, x := range h {
		if x == nil {
			e.floats = append(e.floats, v[i])
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(v)-len(e.floats)))
	at := len(dst)
	dst = append(dst, make([]byte, (len(v)+7)/8)...)
	for i, x := range h {
		if x != nil {
			dst[at+i/8] |= 1 << (i % 8)
		}
	}
	if len(e.floats) > 0 {
		e.alt = append(e.alt[:0], e.appendFloats(nil, e.floats)...)
		dst = binary.AppendUvarint(dst, uint64(len(e.alt)))
		dst = append(dst, e.alt...)
	}
	for _, x := range h {
		if x != nil {
			dst = binary.AppendUvarint(dst, uint64(len(x)))
		}
	}
	for _, x := range h {
		dst = append(dst, x...)
	}
	return dst
}

func decodeMixed(v []float64, h [][]byte, b []byte, n int) ([]float64, [][]byte, error) {
	b = b[1:]
	count, w := binary.Uvarint(b)
	size := (n + 7) / 8
	if w <= 0 || count == 0 || count > uint64(n) || len(b) < w+size {
		return v, h, corrupt("head of a mixed chunk")
	}
	bitmap := b[w : w+size]
	b = b[w+size:]
	var floats []float64
	if nf := n - int(count); nf > 0 {
		l, w := binary.Uvarint(b)
		if w <= 0 || l > uint64(len(b)-w) {
			return v, h, corrupt("floats of a mixed chunk")
		}
		floats = make([]float64, nf)
		if err := decodeFloats(floats, b[w:w+int(l)]); err != nil {
			return v, h, err
		}
		b = b[w+int(l):]
	}
	hs, err := splitHistograms(b, int(count))
	if err != nil {
		return v, h, err
	}
	at := len(v)
	v = slices.Grow(v, n)
	if h == nil {
		h = make([][]byte, at, at+n)
	}
	for i := range n {
		isHistogram := bitmap[i/8]>>(i%8)&1 == 1
		switch {
		case isHistogram && len(hs) > 0:
			v, h = append(v, 0), append(h, hs[0])
			hs = hs[1:]
		case !isHistogram && len(floats) > 0:
			v, h = append(v, floats[0]), append(h, nil)
			floats = floats[1:]
		default:
			return v[:at], h[:at], corrupt("bitmap of a mixed chunk")
		}
	}
	return v, h, nil
}

// splitHistograms copies the count histograms that b holds, lengths first.
func splitHistograms(b []byte, count int) ([][]byte, error) {
	if count > len(b) {
		return nil, corrupt("lengths of histograms")
	}
	lengths := make([]int, count)
	total := 0
	for i := range lengths {
		l, w := binary.Uvarint(b)
		if w <= 0 || l > uint64(len(b)) {
			return nil, corrupt("lengths of histograms")
		}
		lengths[i], b = int(l), b[w:]
		if total += int(l); total > len(b) {
			return nil, corrupt("lengths of histograms")
		}
	}
	if total != len(b) {
		return nil, corrupt("%d bytes of histograms, lengths say %d", len(b), total)
	}
	b = slices.Clone(b)
	if b == nil {
		b = []byte{}
	}
	out := make([][]byte, count)
	for i, l := range lengths {
		out[i], b = b[:l:l], b[l:]
	}
	return out, nil
}
