package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/internal/decimal"
	"github.com/varvedb/varve/model"
)

// MaxSamples is the largest number of samples in a chunk or a run.
const MaxSamples = 1 << 16

// Codecs, the low four bits of the first byte of a chunk.
const (
	codecConstant = 0x00
	codecDecimal  = 0x01
	codecXOR      = 0x02
	codecMixed    = 0x03

	flagDecimalConstant = 0x10 // of constant

	flagBase       = 0x10 // of decimal
	flagSecond     = 0x20
	flagScale      = 0x40
	flagExceptions = 0x80
)

// Encoder encodes chunks. It keeps scratch memory between calls; the zero value is ready.
type Encoder struct {
	m          []int64 // scaled values, then their deltas
	exceptions []exception
	floats     []float64
	alt        []byte
}

type exception struct {
	index int
	bits  uint64
}

// Append appends the encoding of the values to dst. h is nil or as long as v; where h[i] is not nil the sample is that
// histogram. There must be 1 to MaxSamples values.
func (e *Encoder) Append(dst []byte, v []float64, h [][]byte) []byte {
	for _, x := range h {
		if x != nil {
			return e.appendMixed(dst, v, h)
		}
	}
	return e.appendFloats(dst, v)
}

func (e *Encoder) appendFloats(dst []byte, v []float64) []byte {
	if constant(v) {
		return appendConstant(dst, v[0])
	}
	start := len(dst)
	dst, ok := e.appendDecimal(dst, v)
	if !ok {
		return appendXOR(dst[:start], v)
	}
	// Decimals of many digits may be longer than what XOR makes of them.
	if len(dst)-start > 4*len(v) {
		e.alt = appendXOR(e.alt[:0], v)
		if len(e.alt) < len(dst)-start {
			dst = append(dst[:start], e.alt...)
		}
	}
	return dst
}

func constant(v []float64) bool {
	first := math.Float64bits(v[0])
	for _, x := range v[1:] {
		if math.Float64bits(x) != first {
			return false
		}
	}
	return true
}

func appendConstant(dst []byte, v float64) []byte {
	if k, ok := decimal.LeastScale(v); ok {
		m, _ := decimal.Scale(v, k)
		dst = append(dst, codecConstant|flagDecimalConstant, byte(k))
		return binary.AppendVarint(dst, m)
	}
	dst = append(dst, codecConstant)
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// Decode appends the n values of chunk b to v and h. h grows only if the chunk holds histograms; then it has an element for
// each element of v, nil where the sample is a float. Histograms are copied out of b. Errors wrap model.ErrCorrupt or model.ErrVersion.
func Decode(v []float64, h [][]byte, b []byte, n int) ([]float64, [][]byte, error) {
	if n < 1 || n > MaxSamples {
		return v, h, corrupt("chunk of %d samples", n)
	}
	if len(b) > 0 && b[0] == codecMixed {
		return decodeMixed(v, h, b, n)
	}
	at := len(v)
	v = slices.Grow(v, n)[:at+n]
	if err := decodeFloats(v[at:], b); err != nil {
		return v[:at], h, err
	}
	if h != nil {
		h = append(h, make([][]byte, n)...)
	}
	return v, h, nil
}

// decodeFloats fills v from chunk b, which must have no byte too many.
func decodeFloats(v []float64, b []byte) error {
	if len(b) == 0 {
		return corrupt("empty chunk")
	}
	switch first := b[0]; first & 0x0f {
	case codecConstant:
		return decodeConstant(v, b)
	case codecDecimal:
		return decodeDecimal(v, b)
	case codecXOR:
		if first != codecXOR {
			return unknown(first)
		}
		return decodeXOR(v, b[1:])
	default:
		return unknown(first)
	}
}

func decodeConstant(v []float64, b []byte) error {
	var x float64
	switch b[0] {
	case codecConstant:
		if len(b) != 9 {
			return corrupt("constant of %d bytes", len(b))
		}
		x = math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))
	case codecConstant | flagDecimalConstant:
		if len(b) < 3 || int(b[1]) > decimal.MaxScale {
			return corrupt("constant decimal")
		}
		m, w := binary.Varint(b[2:])
		if w <= 0 || w != len(b)-2 {
			return corrupt("constant decimal")
		}
		x = float64(m) / decimal.Pow10(int(b[1]))
	default:
		return unknown(b[0])
	}
	for i := range v {
		v[i] = x
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, model.ErrCorrupt)...)
}

func unknown(codec byte) error {
	return fmt.Errorf("chunk codec 0x%02x, a newer version may have written it: %w", codec, model.ErrVersion)
}
