package promchunk

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/model"
)

// minChunkBytes is what the code of Prometheus reads of a chunk without looking: the number of samples and, of histograms, the flags.
const minChunkBytes = 3

// Foreign appends the samples of the range of a chunk whose bytes come from somebody else. Like Chunk it leaves dst as it was after an error, which wraps model.ErrCorrupt. The bytes
// are not kept.
func (d *Decoder) Foreign(dst *model.Columns, encoding uint8, data []byte, r model.TimeRange) error {
	e := chunkenc.Encoding(encoding)
	if !chunkenc.IsValidEncoding(e) || len(data) < minChunkBytes {
		return fmt.Errorf("chunk of %d bytes with encoding %d: %w", len(data), encoding, model.ErrCorrupt)
	}
	c, err := chunkenc.FromData(e, data)
	if err == nil {
		err = d.Chunk(dst, c, r, nil)
	}
	if err != nil {
		return fmt.Errorf("chunk of %d bytes with encoding %s: %w: %w", len(data), e, model.ErrCorrupt, err)
	}
	return nil
}

// Truncate lets go of the samples from the n-th on.
func Truncate(c *model.Columns, n int) {
	c.T, c.V = c.T[:n], c.V[:n]
	if c.H != nil {
		c.H = c.H[:min(n, len(c.H))]
	}
}
