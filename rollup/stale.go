package rollup

import (
	"encoding/binary"
	"math"

	"github.com/prometheus/prometheus/model/value"
)

// sumField is that of prometheus.Histogram's sum, a double, which says that a histogram is a stale marker.
const sumField = 3

// staleHistogram reports whether the histogram, a protobuf message as in model.HistogramSample, is a stale marker. Only its sum is
// looked at. What is no such message is none.
func staleHistogram(h []byte) (stale bool) {
	for len(h) > 0 {
		tag, n := binary.Uvarint(h)
		if n <= 0 {
			return false
		}
		h = h[n:]
		size := 0
		switch tag & 7 {
		case 0: // varint
			_, size = binary.Uvarint(h)
			if size <= 0 {
				return false
			}
		case 1:
			size = 8
		case 2: // bytes
			length, n := binary.Uvarint(h)
			if n <= 0 || length > uint64(len(h)-n) {
				return false
			}
			size = n + int(length)
		case 5:
			size = 4
		default:
			return false
		}
		if size > len(h) {
			return false
		}
		if tag == sumField<<3|1 {
			stale = value.IsStaleNaN(math.Float64frombits(binary.LittleEndian.Uint64(h)))
		}
		h = h[size:]
	}
	return stale
}
