package model

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Exemplar is one example of what a series measures, with a time of its own: mostly the trace of one observation.
type Exemplar struct {
	T      int64
	V      float64
	Labels labels.Labels
}

// ExemplarRow are the exemplars of one series at one millisecond, as decoders make them and as they are stored. Key is that of the
// series, in the form of its Batch. Row is opaque to all but [AppendExemplar] and [DecodeExemplars]:
//
//	0x00, 0x02    no form that HistogramSample knows begins so
//	exemplar      repeated:
//	  value       8 bytes, IEEE 754 little-endian
//	  labels      number uvarint, then name and value of each, uvarint length and bytes
type ExemplarRow struct {
	Key []byte
	T   int64
	Row []byte
	// Count is how many there are in the row.
	Count int
}

const rowExemplars = 2

// BeginExemplars appends the head of a row of exemplars to dst.
func BeginExemplars(dst []byte) []byte { return append(dst, startMark, rowExemplars) }

// AppendExemplar appends an exemplar of n labels to a row; the caller appends the labels by AppendText, names and values in turn.
func AppendExemplar(dst []byte, v float64, n int) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	return binary.AppendUvarint(dst, uint64(n))
}

// AppendText appends the length of a text and the text.
func AppendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// DecodeExemplars appends the exemplars of a row, which are those of time t, to dst. A row of another form is ErrCorrupt.
func DecodeExemplars(dst []Exemplar, t int64, row []byte) ([]Exemplar, error) {
	if len(row) < 2 || row[0] != startMark || row[1] != rowExemplars {
		return dst, fmt.Errorf("row of %d bytes at %d holds no exemplars: %w", len(row), t, ErrCorrupt)
	}
	b := labels.NewScratchBuilder(2)
	for row = row[2:]; len(row) > 0; {
		if len(row) < 8 {
			return dst, cutOff(t)
		}
		e := Exemplar{T: t, V: math.Float64frombits(binary.LittleEndian.Uint64(row))}
		n, k := binary.Uvarint(row[8:])
		if k <= 0 || n > uint64(len(row)) {
			return dst, cutOff(t)
		}
		row = row[8+k:]
		b.Reset()
		for range n {
			var name, value string
			var ok bool
			if name, row, ok = text(row); !ok {
				return dst, cutOff(t)
			}
			if value, row, ok = text(row); !ok {
				return dst, cutOff(t)
			}
			b.Add(name, value)
		}
		b.Sort()
		e.Labels = b.Labels()
		dst = append(dst, e)
	}
	return dst, nil
}

func cutOff(t int64) error { return fmt.Errorf("row at %d is cut off: %w", t, ErrCorrupt) }

// text splits what AppendText appended from what follows it.
func text(b []byte) (s string, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return "", nil, false
	}
	return string(b[k : k+int(n)]), b[k+int(n):], true
}
