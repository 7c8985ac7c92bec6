package blocks

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// RollupReader streams the series of a block of rollups in the order of the block, each with all its windows. Memory does not grow with the
// block, and each byte of the columns is read once, from front to back. Everything read is checked as in Select, and at the end that the block
// held what its Meta says.
//
// Not safe for concurrent use. Close waits for requests on their way.
type RollupReader struct {
	m   *Meta
	err error
}

// NewRollupReader returns a reader of the block, of which the masks hide every window that they overlap. It reads nothing yet. ctx is that of all its requests.
// Of the options, nil means all defaults, it takes ReadBytes, MaxSeriesSamples and Sequential.
func NewRollupReader(_ context.Context, _ RangeReader, m *Meta, _ Masks, _ *MergeOptions) *RollupReader {
	return &RollupReader{m: m}
}

// Next goes to the next series that has windows left. It returns false at the end and at an error.
func (r *RollupReader) Next() bool {
	r.err = fmt.Errorf("read rollup %s: not written yet: %w", r.m.ID, model.ErrInvalid)
	return false
}

// Labels are those of the series at hand.
func (r *RollupReader) Labels() labels.Labels { return labels.EmptyLabels() }

// Rollup are the windows of the series at hand, valid until Next.
func (r *RollupReader) Rollup() *model.Rollup { return &model.Rollup{} }

// Err is why Next returned false, nil at the end of the block.
func (r *RollupReader) Err() error { return r.err }

// Close ends the use of the reader.
func (r *RollupReader) Close() {}
