package chunk

import (
	"encoding/binary"
	"math"

	"github.com/varvedb/varve/internal/decimal"
)

// decodeDecimal fills v, at least one value, from a decimal chunk.
func decodeDecimal(v []float64, b []byte) error {
	if len(b) < 3 || int(b[1]) > decimal.MaxScale {
		return corrupt("head of a decimal chunk")
	}
	flags, p := b[0]&0xf0, decimal.Pow10(int(b[1]))
	if flags&flagBase != 0 && flags&flagSecond != 0 {
		return unknown(b[0])
	}
	b = b[2:]
	g := int64(1)
	if flags&flagScale != 0 {
		u, w := binary.Uvarint(b)
		if w <= 0 {
			return corrupt("scale of a decimal chunk")
		}
		g, b = int64(u), b[w:]
	}
	var exceptions []byte
	if flags&flagExceptions != 0 {
		var err error
		if exceptions, b, err = splitExceptions(b, len(v)); err != nil {
			return err
		}
	}
	m, w := binary.Varint(b)
	if w <= 0 {
		return corrupt("first value of a decimal chunk")
	}
	b = b[w:]
	v[0] = float64(m) / p
	rest, err := decodeResiduals(v[1:], b, flags, m, g)
	if err != nil {
		return err
	}
	if len(rest) != 0 {
		return corrupt("%d bytes behind a decimal chunk", len(rest))
	}
	if p != 1 {
		for i := range v[1:] {
			v[1+i] /= p
		}
	}
	applyExceptions(v, exceptions)
	return nil
}

// decodeResiduals fills v with scaled values (not yet divided by the power of ten) and returns what is left of b.
func decodeResiduals(v []float64, b []byte, flags byte, m, g int64) ([]byte, error) {
	var ok bool
	switch {
	case flags&flagBase != 0:
		base, w := binary.Varint(b)
		if w <= 0 {
			return nil, corrupt("base of a decimal chunk")
		}
		b, ok = decodeOffsets(v, b[w:], m, g, base)
	case flags&flagSecond != 0:
		if len(v) == 0 {
			return nil, corrupt("second differences of one value")
		}
		d, w := binary.Varint(b)
		if w <= 0 {
			return nil, corrupt("first delta of a decimal chunk")
		}
		d *= g
		m += d
		v[0] = float64(m)
		b, ok = decodeSeconds(v[1:], b[w:], m, d, g)
	default:
		b, ok = decodeDeltas(v, b, m, g)
	}
	if !ok {
		return nil, corrupt("residuals of a decimal chunk")
	}
	return b, nil
}

// The three loops below are the hot path of every query. They differ in one line; a shared loop
// with a function value in it is three times slower.

func decodeDeltas(v []float64, b []byte, m, g int64) ([]byte, bool) {
	for i := range v {
		if len(b) == 0 {
			return nil, false
		}
		u := uint64(b[0])
		if u < 0x80 {
			b = b[1:]
		} else if len(b) > 1 && b[1] < 0x80 {
			u = u&0x7f | uint64(b[1])<<7
			b = b[2:]
		} else {
			x, w := binary.Uvarint(b)
			if w <= 0 {
				return nil, false
			}
			u, b = x, b[w:]
		}
		m += unzigzag(u) * g
		v[i] = float64(m)
	}
	return b, true
}

func decodeOffsets(v []float64, b []byte, m, g, base int64) ([]byte, bool) {
	for i := range v {
		if len(b) == 0 {
			return nil, false
		}
		u := uint64(b[0])
		if u < 0x80 {
			b = b[1:]
		} else if len(b) > 1 && b[1] < 0x80 {
			u = u&0x7f | uint64(b[1])<<7
			b = b[2:]
		} else {
			x, w := binary.Uvarint(b)
			if w <= 0 {
				return nil, false
			}
			u, b = x, b[w:]
		}
		m += (int64(u) + base) * g
		v[i] = float64(m)
	}
	return b, true
}

func decodeSeconds(v []float64, b []byte, m, d, g int64) ([]byte, bool) {
	for i := range v {
		if len(b) == 0 {
			return nil, false
		}
		u := uint64(b[0])
		if u < 0x80 {
			b = b[1:]
		} else if len(b) > 1 && b[1] < 0x80 {
			u = u&0x7f | uint64(b[1])<<7
			b = b[2:]
		} else {
			x, w := binary.Uvarint(b)
			if w <= 0 {
				return nil, false
			}
			u, b = x, b[w:]
		}
		d += unzigzag(u) * g
		m += d
		v[i] = float64(m)
	}
	return b, true
}

// splitExceptions checks the list of exceptions at the start of b for a chunk of n values and returns it and what follows.
func splitExceptions(b []byte, n int) (list, rest []byte, err error) {
	count, w := binary.Uvarint(b)
	if w <= 0 || count == 0 || count > uint64(n) {
		return nil, nil, corrupt("exceptions of a decimal chunk")
	}
	b = b[w:]
	rest = b
	at := uint64(0)
	for i := range count {
		d, w := binary.Uvarint(rest)
		if w <= 0 || len(rest) < w+8 || d > uint64(n) || i > 0 && d == 0 {
			return nil, nil, corrupt("exceptions of a decimal chunk")
		}
		if at += d; at >= uint64(n) {
			return nil, nil, corrupt("exception at %d of %d values", at, n)
		}
		rest = rest[w+8:]
	}
	return b[:len(b)-len(rest)], rest, nil
}

// applyExceptions puts the values of a checked list in their places.
func applyExceptions(v []float64, list []byte) {
	at := uint64(0)
	for len(list) > 0 {
		d, w := binary.Uvarint(list)
		at += d
		v[at] = math.Float64frombits(binary.LittleEndian.Uint64(list[w:]))
		list = list[w+8:]
	}
}
