package prom

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// headChunk is a chunk of a file of chunks that a Prometheus maps into its memory.
type headChunk struct {
	offset       int64 // in the file
	ref          chunks.HeadSeriesRef
	minMs, maxMs int64
	outOfOrder   bool
	encoding     uint8
	data         []byte // valid until the next one is read
}

// Of a chunk in such a file, all numbers big-endian: reference, times of the first and the last sample, encoding with a flag for out-of-order samples, length as uvarint, data, CRC-32
// (Castagnoli) of all of it.
const (
	headChunkFixed  = chunks.SeriesRefSize + 2*chunks.MintMaxtSize + chunks.ChunkEncodingSize
	maxHeadChunk    = 16 << 20 // of 120 samples, so that even histograms of thousands of buckets are far smaller
	headChunkFormat = 1
)

// errHeadChunks: a file of chunks is damaged.
var errHeadChunks = fmt.Errorf("%w", model.ErrCorrupt)

// readHeadChunks gives the chunks of a file to take, one after another, up to its end or to the zeros that it was made larger with. Damage of the file is errHeadChunks and
// comes with the place where the chunk begins that is damaged. The format is that of docs/format/head_chunks.md in Prometheus' tsdb.
func readHeadChunks(f io.Reader, take func(*headChunk) error) (offset int64, err error) {
	in := bufio.NewReaderSize(f, 1<<16)
	var head [chunks.HeadChunkFileHeaderSize]byte
	if n, err := io.ReadFull(in, head[:]); err != nil {
		if atEnd(err) && zeros(head[:n]) {
			return 0, nil
		}
		return 0, shortHeadChunk(err)
	}
	if binary.BigEndian.Uint32(head[:]) != chunks.MagicHeadChunks || head[4] != headChunkFormat {
		return 0, fmt.Errorf("it begins with % x, which is no file of chunks in version %d: %w", head, headChunkFormat, errHeadChunks)
	}
	offset = int64(len(head))
	var record bytes.Buffer
	for {
		record.Reset()
		if _, err := io.CopyN(&record, in, headChunkFixed); err != nil {
			if atEnd(err) && zeros(record.Bytes()) {
				return offset, nil
			}
			return offset, shortHeadChunk(err)
		}
		fixed := record.Bytes()
		if zeros(fixed[:headChunkFixed-chunks.ChunkEncodingSize]) {
			return offset, nil
		}
		c := headChunk{
			offset: offset, ref: chunks.HeadSeriesRef(binary.BigEndian.Uint64(fixed)), minMs: int64(binary.BigEndian.Uint64(fixed[8:])), maxMs: int64(binary.BigEndian.Uint64(fixed[16:])),
			outOfOrder: fixed[24]&chunks.OutOfOrderMask != 0, encoding: fixed[24] &^ chunks.OutOfOrderMask,
		}
		var length uint64
		for n := 0; n == 0 || record.Bytes()[record.Len()-1] >= 0x80; n++ {
			b, err := in.ReadByte()
			if err != nil {
				return offset, shortHeadChunk(err)
			}
			record.WriteByte(b)
			length |= uint64(b&0x7f) << (7 * n)
			if n == chunks.MaxChunkLengthFieldSize || length > maxHeadChunk {
				return offset, fmt.Errorf("its length is more than a chunk has: %w", errHeadChunks)
			}
		}
		begin := record.Len()
		if _, err := io.CopyN(&record, in, int64(length)+chunks.CRCSize); err != nil {
			return offset, shortHeadChunk(err)
		}
		all := record.Bytes()
		sum := all[len(all)-chunks.CRCSize:]
		if got := crc32.Checksum(all[:len(all)-chunks.CRCSize], castagnoli); got != binary.BigEndian.Uint32(sum) {
			return offset, fmt.Errorf("checksum is %08x, stored % x: %w", got, sum, errHeadChunks)
		}
		c.data = all[begin : len(all)-chunks.CRCSize]
		if err := take(&c); err != nil {
			return offset, err
		}
		offset += int64(len(all))
	}
}

func zeros(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// shortHeadChunk makes the end of a file in the middle of a chunk damage; a disk that does not read is none.
func shortHeadChunk(err error) error {
	if atEnd(err) {
		return fmt.Errorf("the file ends within it: %w", errHeadChunks)
	}
	return err
}

// takeHeadChunks takes what lies in the files of chunks. All of it is in the log as well, so they are read only where the log is damaged. For labels the log is needed in any case.
func (l *logReader) takeHeadChunks(ctx context.Context) error {
	dir := filepath.Join(l.t.dir, "chunks_head")
	entries, err := os.ReadDir(dir) // in order of names, which have leading zeros
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 64); err != nil || e.IsDir() {
			continue
		}
		if err := l.takeHeadChunkFile(ctx, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (l *logReader) takeHeadChunkFile(ctx context.Context, path string) (err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a Prometheus that runs deletes those that it does not need any more
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	offset, err := readHeadChunks(f, func(c *headChunk) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.decodeHeadChunk(c); err != nil {
			return l.t.skips.Add(migrate.Skip{Kind: "chunk", Where: path, Offset: c.offset, Reason: err.Error()})
		}
		return l.addHeadChunk(c)
	})
	if errors.Is(err, errHeadChunks) {
		return l.t.skips.Add(migrate.Skip{Kind: "chunk", Where: path, Offset: offset, Reason: err.Error() + "; the rest of the file is left out"})
	}
	return err
}

// decodeHeadChunk brings the samples of a chunk that are wanted into l.columns. Its errors are faults of the chunk.
func (l *logReader) decodeHeadChunk(c *headChunk) error {
	l.columns.Reset()
	_, fromMs := l.placeOf(c)
	r := l.r.Intersect(model.TimeRange{MinMs: max(fromMs, model.MinTimeMs), MaxMs: model.MaxTimeMs})
	if !r.Overlaps(model.TimeRange{MinMs: c.minMs, MaxMs: c.maxMs}) {
		return nil
	}
	if !l.series.known(c.ref) {
		return fmt.Errorf("the log does not name series %d, which it is of: %w", c.ref, model.ErrCorrupt)
	}
	return l.decode.Foreign(&l.columns, c.encoding, c.data, r)
}

// addHeadChunk adds the samples of a chunk that was decoded. Those that the log had too are there already, and the first ones are kept.
func (l *logReader) addHeadChunk(c *headChunk) error {
	fromMs := l.fromMs
	defer func() { l.fromMs = fromMs }()
	l.out, l.fromMs = l.placeOf(c)
	for i, t := range l.columns.T {
		var h []byte
		if l.columns.H != nil {
			h = l.columns.H[i]
		}
		if err := l.add(c.ref, t, l.columns.V[i], h); err != nil {
			return err
		}
	}
	return nil
}

// placeOf is where samples of a chunk go, and from what time on they are taken: those out of order may be older than the blocks.
func (l *logReader) placeOf(c *headChunk) (out *spill.Sorter, fromMs int64) {
	if c.outOfOrder && l.t.late != nil {
		return l.t.late, math.MinInt64
	}
	return l.t.log, l.fromMs
}
