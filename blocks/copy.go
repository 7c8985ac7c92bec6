package blocks

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Copy writes the whole object of a block to w, a few MiB at a time, and checks it against the checksum in its Meta: what was written is good only if
// there is no error, which wraps model.ErrCorrupt where the sum is wrong.
func Copy(ctx context.Context, r RangeReader, m *Meta, w io.Writer) error {
	key := Key(m)
	sum, end := uint32(0), m.Postings.End() // of the sections; behind them come the footer and what the format has behind it
	var tail []byte
	for at := int64(0); at < m.Size; {
		n := min(maxWindow, m.Size-at)
		if at < end {
			n = min(n, end-at)
		}
		b, err := readOne(ctx, r, key, blob.Range{Offset: at, Length: n})
		if err != nil {
			return err
		}
		if at < end {
			sum = crc32.Update(sum, castagnoli(), b)
		} else {
			tail = append(tail, b...)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		at += n
	}
	if sum = sumTail(sum, tail); sum != m.CRC {
		return corruptAt(key, 0, fmt.Errorf("checksum of the block is %08x, and should be %08x: %w", sum, m.CRC, model.ErrCorrupt))
	}
	return nil
}
