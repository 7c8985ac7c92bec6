package model

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A sample with a start timestamp (when its counter began to count, "created" in OpenMetrics) travels as a HistogramSample whose
// bytes are, whether it is a float or a histogram:
//
//	0x00          no protobuf message begins with it, so a plain histogram cannot be meant
//	kind          1 byte: 0 float, 1 histogram
//	start         zigzag varint, milliseconds
//	value         kind 0: 8 bytes, IEEE 754 little-endian; kind 1: the histogram as in HistogramSample
//
// Everything between the sender and the query takes it as it stands.
const (
	startMark      = 0x00
	startFloat     = 0
	startHistogram = 1
	// 2 and 3 are rows of exemplars and metadata, which are no samples.
)

// FloatWithStart returns the bytes of a float sample with a start timestamp.
func FloatWithStart(startMs int64, v float64) []byte { return AppendFloatWithStart(nil, startMs, v) }

// AppendFloatWithStart appends them to dst.
func AppendFloatWithStart(dst []byte, startMs int64, v float64) []byte {
	dst = binary.AppendVarint(append(dst, startMark, startFloat), startMs)
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// IsFloatWithStart reports whether the bytes of a HistogramSample are those of a float.
func IsFloatWithStart(b []byte) bool { return len(b) > 1 && b[0] == startMark && b[1] == startFloat }

// HistogramWithStart returns the bytes of a histogram sample with a start timestamp; h is a plain histogram.
func HistogramWithStart(startMs int64, h []byte) []byte {
	return append(binary.AppendVarint([]byte{startMark, startHistogram}, startMs), h...)
}

// SplitStart takes the bytes of a HistogramSample apart: its start timestamp, 0 if it has none, and either the plain
// histogram or, where that is nil, a float. Other forms are ErrCorrupt.
func SplitStart(b []byte) (startMs int64, v float64, histogram []byte, err error) {
	if len(b) == 0 || b[0] != startMark {
		return 0, 0, b, nil
	}
	if len(b) > 2 {
		startMs, n := binary.Varint(b[2:])
		rest := b[2+max(n, 0):]
		switch {
		case n <= 0:
		case b[1] == startFloat && len(rest) == 8:
			return startMs, math.Float64frombits(binary.LittleEndian.Uint64(rest)), nil, nil
		case b[1] == startHistogram && len(rest) > 0:
			return startMs, 0, rest, nil
		}
	}
	return 0, 0, nil, fmt.Errorf("sample with start timestamp of %d bytes has no known form: %w", len(b), ErrCorrupt)
}
