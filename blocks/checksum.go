package blocks

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// ReadChecksum reads a whole object of the size and returns its checksum, as Checksum does of bytes in memory. It holds a few MiB.
func ReadChecksum(ctx context.Context, r RangeReader, key string, size int64) (uint32, error) {
	last, err := readOne(ctx, r, key, blob.Range{Offset: size - min(size, 8), Length: min(size, 8)})
	if err != nil {
		return 0, err
	}
	trailer := max(0, size-parquetEnd(last))
	own := max(0, trailer-int64(trailerSize-4))
	sum := uint32(0)
	for _, part := range []blob.Range{{Offset: 0, Length: own}, {Offset: trailer, Length: size - trailer}} {
		for at := part.Offset; at < part.Offset+part.Length; {
			n := min(maxWindow, part.Offset+part.Length-at)
			b, err := readOne(ctx, r, key, blob.Range{Offset: at, Length: n})
			if err != nil {
				return 0, err
			}
			sum = crc32.Update(sum, castagnoli(), b)
			at += n
		}
	}
	return sum, nil
}

// SameBlock returns an error that wraps model.ErrCorrupt unless both describe one block: catalog is its entry in a catalog, where tombstones may have
// been added, footer what the block itself says.
func SameBlock(catalog, footer *Meta) error {
	a, b := *catalog, *footer
	a.Tombstones, b.Tombstones = nil, nil
	if a.Size != b.Size || a.CRC != b.CRC || !bytes.Equal(AppendMeta(nil, &a), AppendMeta(nil, &b)) {
		return fmt.Errorf("block %s: its footer and the catalog differ: %w", catalog.ID, model.ErrCorrupt)
	}
	return nil
}
