package blocks

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// The end of a block, after the sections (packages native and parquet):
//
//	meta      as AppendMeta writes it, with Size and CRC zero
//	length    u32 LE, of meta
//	crc       u32 LE, CRC-32C of every byte of the object but this field and the magic
//	magic     8 bytes "varveEND"
//	behind    parquet only: the Parquet footer, its length u32 LE, "PAR1", which every reader of Parquet looks for at the end
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
	return openBlock(ctx, r, key, size, footerGuess)
}

func openBlock(ctx context.Context, r RangeReader, key string, size, guess int64) (*Meta, error) {
	if size < int64(len(native.Magic)+trailerSize) {
		return nil, corruptAt(key, 0, fmt.Errorf("block of %d bytes: %w", size, model.ErrCorrupt))
	}
	last := tail{r: r, key: key, guess: guess, end: size}
	b, err := last.read(ctx, guess)
	if err != nil {
		return nil, err
	}
	if behind := parquetEnd(b); behind > 0 {
		if behind > size-int64(len(parquet.Magic)+trailerSize) {
			return nil, corruptAt(key, size, fmt.Errorf("parquet footer of %d bytes in a block of %d: %w", behind, size, model.ErrCorrupt))
		}
		last.cut(behind)
		if b, err = last.read(ctx, int64(trailerSize)); err != nil {
			return nil, err
		}
	}
	n, crc, err := parseTrailer(b)
	if err != nil {
		return nil, corruptAt(key, last.end-int64(trailerSize), err)
	}
	need := n + int64(trailerSize)
	if need > last.end {
		return nil, corruptAt(key, last.end-int64(trailerSize), fmt.Errorf("footer of %d bytes in a block of %d: %w", need, size, model.ErrCorrupt))
	}
	if b, err = last.read(ctx, need); err != nil {
		return nil, err
	}
	m, err := parseFooter(b[int64(len(b))-need:], last.end)
	if err == nil && m.Format.IsParquet() != (last.end < size) {
		err = fmt.Errorf("end of a block of another format: %w", model.ErrCorrupt)
	}
	if err != nil {
		return nil, corruptAt(key, last.end-need, err)
	}
	m.Size, m.CRC = size, crc
	return m, nil
}

// tail reads an object backwards from end.
type tail struct {
	r          RangeReader
	key        string
	guess, end int64
	have       []byte // the bytes before end
}

// read returns the bytes before end, n of them or more. What it has not got it reads, and guess bytes at least.
func (t *tail) read(ctx context.Context, n int64) ([]byte, error) {
	if n > int64(len(t.have)) {
		n = min(max(n, t.guess), t.end)
		b, err := readOne(ctx, t.r, t.key, blob.Range{Offset: t.end - n, Length: n})
		if err != nil {
			return nil, err
		}
		t.have = b
	}
	return t.have, nil
}

// cut takes n bytes off the end.
func (t *tail) cut(n int64) {
	t.have = t.have[:max(0, int64(len(t.have))-n)]
	t.end -= n
}

// parquetEnd returns the length of what a parquet block has behind the trailer, of which b is the end; 0 if it is none.
func parquetEnd(b []byte) int64 {
	const end = 4 + len(parquet.Magic)
	if len(b) < end || string(b[len(b)-len(parquet.Magic):]) != parquet.Magic {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(b[len(b)-end:])) + int64(end)
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
func parseFooter(b []byte, end int64) (*Meta, error) {
	m, rest, err := DecodeMeta(b)
	if err != nil {
		return nil, err
	}
	if len(rest) != trailerSize || m.Postings.End() > end-int64(len(b)) {
		return nil, fmt.Errorf("footer does not fit the block: %w", model.ErrCorrupt)
	}
	return m, nil
}

// Checksum is the checksum of a whole block, Meta.CRC: CRC-32C of all but the 12 bytes of the trailer that are the checksum itself and
// the magic.
func Checksum(data []byte) uint32 {
	const own = trailerSize - 4
	trailer := max(0, int64(len(data))-parquetEnd(data))
	sum := crc32.Checksum(data[:max(0, trailer-int64(own))], castagnoli())
	return crc32.Update(sum, castagnoli(), data[trailer:])
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
	_, crc, err := parseTrailer(data[:max(0, int64(len(data))-parquetEnd(data))])
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
	if string(data[:len(parquet.Magic)]) == parquet.Magic {
		return nil
	}
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
	if m.Format.ResolutionMs() > 0 {
		if err := verifyRollup(ctx, data, m); err != nil {
			return err
		}
		return verifyPostings(data, m)
	}
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
	return verifyPostings(data, m)
}

func verifyPostings(data []byte, m *Meta) (err error) {
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
