package blocks

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// The end of a block, after the sections (package native):
//
//	meta      as AppendMeta writes it, with Size and CRC zero
//	length    u32 LE, of meta
//	crc       u32 LE, CRC-32C of every byte of the object before this field
//	magic     8 bytes "varveEND"
//
// The Meta has a checksum of its own, so that the footer can be trusted without the rest. A reader of the footer
// first reads the last footerGuess bytes, and once more if the Meta is longer than that.
const (
	trailerMagic = "varveEND"
	trailerSize  = 4 + 4 + len(trailerMagic)
	footerGuess  = 64 << 10
	maxFooter    = 64 << 20
)

// Open reads the Meta of the block under key from its footer; size is the length of the object, as a listing tells it. For
// tools and rebuilding; queries take the Meta from the catalog.
func Open(ctx context.Context, r RangeReader, key string, size int64) (*Meta, error) {
	tail := min(size, footerGuess)
	if size < int64(len(native.Magic)+trailerSize) {
		return nil, corruptAt(key, 0, fmt.Errorf("block of %d bytes: %w", size, model.ErrCorrupt))
	}
	b, err := readOne(ctx, r, key, blob.Range{Offset: size - tail, Length: tail})
	if err != nil {
		return nil, err
	}
	n, crc, err := parseTrailer(b)
	if err != nil {
		return nil, corruptAt(key, size-int64(trailerSize), err)
	}
	need := n + int64(trailerSize)
	if need > size {
		return nil, corruptAt(key, size-int64(trailerSize), fmt.Errorf("footer of %d bytes in a block of %d: %w", need, size, model.ErrCorrupt))
	}
	if need > tail {
		if b, err = readOne(ctx, r, key, blob.Range{Offset: size - need, Length: need}); err != nil {
			return nil, err
		}
	}
	m, err := parseFooter(b[int64(len(b))-need:], size, crc)
	if err != nil {
		return nil, corruptAt(key, size-need, err)
	}
	return m, nil
}

// parseTrailer reads the trailer at the end of b.
func parseTrailer(b []byte) (metaLen int64, crc uint32, err error) {
	if len(b) < trailerSize {
		return 0, 0, fmt.Errorf("trailer is cut off: %w", model.ErrCorrupt)
	}
	t := b[len(b)-trailerSize:]
	if !bytes.Equal(t[8:], []byte(trailerMagic)) {
		return 0, 0, fmt.Errorf("trailer magic %q: %w", t[8:], model.ErrCorrupt)
	}
	metaLen = int64(binary.LittleEndian.Uint32(t))
	if metaLen > maxFooter {
		return 0, 0, fmt.Errorf("footer of %d bytes: %w", metaLen, model.ErrCorrupt)
	}
	return metaLen, binary.LittleEndian.Uint32(t[4:]), nil
}

// parseFooter decodes a footer from meta to trailer.
func parseFooter(b []byte, size int64, crc uint32) (*Meta, error) {
	m, rest, err := DecodeMeta(b)
	if err != nil {
		return nil, err
	}
	if len(rest) != trailerSize || m.Postings.End() > size-int64(len(b)) {
		return nil, fmt.Errorf("footer does not fit the block: %w", model.ErrCorrupt)
	}
	m.Size, m.CRC = size, crc
	return m, nil
}

// Checksum is the checksum of a whole block, Meta.CRC: CRC-32C of all but its last 12 bytes, which are the checksum itself and
// the magic.
func Checksum(data []byte) uint32 {
	const end = trailerSize - 4
	return crc32.Checksum(data[:max(0, len(data)-end)], castagnoli())
}

// Verify checks a whole block: magic, checksum, footer, every page, every chunk. Errors wrap model.ErrCorrupt or
// model.ErrVersion.
func Verify(data []byte) error {
	if len(data) < len(native.Magic)+trailerSize {
		return fmt.Errorf("verify block of %d bytes: %w", len(data), model.ErrCorrupt)
	}
	if err := checkMagic(data); err != nil {
		return fmt.Errorf("verify block: %w", err)
	}
	_, crc, err := parseTrailer(data)
	if err != nil {
		return fmt.Errorf("verify block: %w", err)
	}
	if got := Checksum(data); got != crc {
		return fmt.Errorf("verify block: checksum %08x, trailer says %08x: %w", got, crc, model.ErrCorrupt)
	}
	ctx := context.Background() //nolint:forbidigo // nothing here waits: the block is in memory
	m, err := Open(ctx, Bytes(data), "block", int64(len(data)))
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return verifySeries(ctx, data, m)
}

func checkMagic(data []byte) error {
	n := len(native.Magic) - 1
	if string(data[:n]) != native.Magic[:n] {
		return fmt.Errorf("magic %q: %w", data[:n], model.ErrCorrupt)
	}
	if v := data[n]; v != native.Magic[n] {
		return fmt.Errorf("block layout version %d, this program reads %d: %w", v, native.Magic[n], model.ErrVersion)
	}
	return nil
}

// verifySeries decodes every series and every page of postings and counts.
func verifySeries(ctx context.Context, data []byte, m *Meta) error {
	sel, err := Select(ctx, Bytes(data), m, &Query{Range: m.Range()})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer sel.Close()
	var samples, histograms int64
	var c model.Columns
	for _, s := range sel.Series {
		c.Reset()
		if err := s.Samples(&c, m.Range()); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		samples += int64(len(c.T))
		for _, h := range c.H {
			if h != nil {
				histograms++
			}
		}
	}
	if int64(len(sel.Series)) != m.Series || samples != m.Samples || histograms != m.Histograms {
		return fmt.Errorf("verify block: %d series, %d samples, %d histograms, footer says %d, %d, %d: %w",
			len(sel.Series), samples, histograms, m.Series, m.Samples, m.Histograms, model.ErrCorrupt)
	}
	var raw []byte
	kind := page.Head
	for at := m.Postings.Offset; at < m.Postings.End(); {
		var n int
		if raw, n, err = page.Decode(raw, data[at:m.Postings.End()], kind); err != nil {
			return fmt.Errorf("verify: %w", corruptAt(Key(m), at, err))
		}
		at, kind = at+int64(n), page.Postings
	}
	return nil
}
