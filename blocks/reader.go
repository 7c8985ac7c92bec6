package blocks

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// RangeReader reads ranges of an object: a bucket, a cache in front of it, or mapped bytes. Result i is
// range i, complete. One call is one stage: its ranges are fetched in parallel. The bytes stay valid
// until the Selection that asked for them is closed, and are not changed. Safe for concurrent use.
type RangeReader interface {
	ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error)
}

// Stored is a RangeReader of blocks in a bucket, with nothing in front of it.
type Stored struct{ Bucket *blob.Bucket }

// ReadRanges implements RangeReader.
func (s Stored) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	return s.Bucket.ReadRanges(ctx, key, ranges, nil)
}

// Bytes is a RangeReader of a block that lies in memory or is mapped; the key is ignored. Results alias b.
type Bytes []byte

// ReadRanges returns slices of b.
func (b Bytes) ReadRanges(_ context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	out := make([][]byte, len(ranges))
	for i, r := range ranges {
		if r.Offset < 0 || r.Length < 0 || r.Offset > int64(len(b)) || r.Length > int64(len(b))-r.Offset {
			return nil, fmt.Errorf("read %s [%d, +%d): block has %d bytes: %w", key, r.Offset, r.Length, len(b), model.ErrCorrupt)
		}
		out[i] = b[r.Offset : r.Offset+r.Length : r.Offset+r.Length]
	}
	return out, nil
}

func readRanges(ctx context.Context, r RangeReader, key string, ranges []blob.Range) ([][]byte, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	out, err := r.ReadRanges(ctx, key, ranges)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	for i, b := range out {
		if int64(len(b)) != ranges[i].Length {
			return nil, corruptAt(key, ranges[i].Offset, fmt.Errorf("read %d of %d bytes: %w", len(b), ranges[i].Length, model.ErrCorrupt))
		}
	}
	return out, nil
}

func readOne(ctx context.Context, r RangeReader, key string, rg blob.Range) ([]byte, error) {
	out, err := readRanges(ctx, r, key, []blob.Range{rg})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// corruptAt names the place of a fault.
func corruptAt(key string, offset int64, err error) error {
	return fmt.Errorf("block %s at %d: %w", key, offset, err)
}
