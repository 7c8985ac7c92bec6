package promchunk

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/model"
)

// maxBuckets bounds the buckets of a foreign native histogram. Prometheus allocates as many as the layout at the beginning of a chunk says, up to 2³² a span.
const maxBuckets = 1 << 16

// checkLayout looks at the layout of a chunk of histograms, before anybody allocates by it:
//
//	samples         2 bytes
//	flags           1 byte
//	zero threshold  1 byte; if it is 255, 8 more
//	schema          varbit
//	spans           varbit, their number, and for each length and offset, varbit; for positive buckets, then for negative ones
//
// What is behind is read by its own length. A layout that breaks off is left to the decoder.
func checkLayout(e chunkenc.Encoding, data []byte) error {
	switch e {
	case chunkenc.EncHistogram, chunkenc.EncFloatHistogram, chunkenc.EncHistogramST, chunkenc.EncFloatHistogramST:
	default:
		return nil
	}
	b := bits{data: data[min(minChunkBytes, len(data)):]}
	if b.read(8) == 255 {
		b.read(64)
	}
	b.varbit()
	buckets := uint64(0)
	for range 2 {
		for n := b.varbit(); n > 0 && !b.short; n-- {
			buckets += uint64(uint32(b.varbit())) // as the decoder takes it
			b.varbit()
			if buckets > maxBuckets {
				return fmt.Errorf("histogram of more than %d buckets: %w", maxBuckets, model.ErrCorrupt)
			}
		}
	}
	return nil
}

// bits reads numbers of bits, the highest first. Behind the end there are zeros.
type bits struct {
	data  []byte
	at    int // bits
	short bool
}

func (b *bits) read(n int) uint64 {
	v := uint64(0)
	for range n {
		v <<= 1
		if i := b.at / 8; i < len(b.data) {
			v |= uint64(b.data[i]>>(7-b.at%8)) & 1
		} else {
			b.short = true
		}
		b.at++
	}
	return v
}

// varbit reads a number whose length is told by the ones before it.
func (b *bits) varbit() uint64 {
	ones := 0
	for ones < 8 && b.read(1) == 1 {
		ones++
	}
	return b.read([...]int{0, 3, 6, 9, 12, 18, 25, 56, 64}[ones])
}
