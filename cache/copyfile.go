package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// A local copy of an object is a file:
//
//	offset              width
//	0                   size    the object
//	size                4 × n   CRC-32C of each sumBytes of the object, the last one of what is left
//	size + 4 × n        u64     size of the object
//	             + 8    u32     CRC-32C of the object, Object.CRC
//	             + 12   u32     CRC-32C of everything from the table up to here
//	             + 16   8 bytes "varveCP" 0x01, the last one the version
//
// Integers are little endian. Offsets in the file are those in the object. A copy is made once, checked against Object.CRC
// when it is complete, and every read checks the sums of what it touches: a copy that changes on the disk years later is found by the
// first read that meets the change, without ever reading the whole of it again. Other versions and lengths are no copies
// (model.ErrVersion, model.ErrCorrupt) and are removed: everything here can be had from the bucket.
const (
	copyMagic   = "varveCP\x01"
	copyTrailer = 8 + 4 + 4 + len(copyMagic)
	// sumBytes is the unit of checking. Smaller ones make a larger table in memory, larger ones make small reads dear.
	sumBytes = 16 << 10
)

// Object is an immutable object of the bucket.
type Object struct {
	Key  string
	Size int64
	// CRC is its checksum: the CRC-32C of all but the last Tail bytes, as SumTail continues it over these.
	CRC     uint32
	Tail    int64
	SumTail func(crc uint32, tail []byte) uint32
}

// is reports whether o has the bytes of other.
func (o *Object) is(other *Object) bool {
	return o.Key == other.Key && o.Size == other.Size && o.CRC == other.CRC
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// copyBytes is the length of the copy of an object of that size.
func copyBytes(size int64) int64 {
	return size + 4*((size+sumBytes-1)/sumBytes) + int64(copyTrailer)
}

// copyWriter writes a copy.
type copyWriter struct {
	w    io.Writer
	o    *Object
	done int64
	crc  uint32 // of the object up to done, but for its tail
	tail []byte
	sums []byte
}

// write appends bytes of the object. All but the last call take a multiple of sumBytes.
func (c *copyWriter) write(p []byte) error {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), sumBytes)
		c.sums = binary.LittleEndian.AppendUint32(c.sums, crc32.Checksum(rest[:n], castagnoli()))
		rest = rest[n:]
	}
	head := max(0, min(int64(len(p)), c.o.Size-c.o.Tail-c.done))
	c.crc = crc32.Update(c.crc, castagnoli(), p[:head])
	c.tail = append(c.tail, p[head:]...)
	c.done += int64(len(p))
	_, err := c.w.Write(p)
	return err
}

// finish checks the object and appends table and trailer.
func (c *copyWriter) finish() error {
	if c.o.SumTail != nil {
		c.crc = c.o.SumTail(c.crc, c.tail)
	}
	if c.done != c.o.Size || c.crc != c.o.CRC {
		return fmt.Errorf("%d bytes with checksum %08x, want %d with %08x: %w", c.done, c.crc, c.o.Size, c.o.CRC, model.ErrCorrupt)
	}
	b := binary.LittleEndian.AppendUint64(c.sums, uint64(c.o.Size))
	b = binary.LittleEndian.AppendUint32(b, c.o.CRC)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	_, err := c.w.Write(append(b, copyMagic...))
	return err
}

// readSums reads table and trailer of a copy whose file has the given length, and returns the table.
func readSums(r io.ReaderAt, length int64, o *Object) ([]uint32, error) {
	if length != copyBytes(o.Size) {
		return nil, fmt.Errorf("copy of %d bytes, want %d: %w", length, copyBytes(o.Size), model.ErrCorrupt)
	}
	b := make([]byte, length-o.Size)
	if err := readFull(r, b, o.Size); err != nil {
		return nil, err
	}
	t := b[len(b)-copyTrailer:]
	n := len(copyMagic) - 1
	switch magic := t[16:]; {
	case string(magic[:n]) != copyMagic[:n]:
		return nil, fmt.Errorf("copy's magic %q: %w", magic, model.ErrCorrupt)
	case magic[n] != copyMagic[n]:
		return nil, fmt.Errorf("copy of version %d, this program reads %d: %w", magic[n], copyMagic[n], model.ErrVersion)
	}
	if got := crc32.Checksum(b[:len(b)-copyTrailer+12], castagnoli()); got != binary.LittleEndian.Uint32(t[12:]) {
		return nil, fmt.Errorf("checksum of the copy's table: %w", model.ErrCorrupt)
	}
	if size, crc := binary.LittleEndian.Uint64(t), binary.LittleEndian.Uint32(t[8:]); size != uint64(o.Size) || crc != o.CRC {
		return nil, fmt.Errorf("copy of an object of %d bytes with checksum %08x, want %d with %08x: %w", size, crc, o.Size, o.CRC, model.ErrCorrupt)
	}
	sums := make([]uint32, (len(b)-copyTrailer)/4)
	for i := range sums {
		sums[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return sums, nil
}

// readCopy returns the ranges of a copy, checked. Neighbors are read together.
func readCopy(r io.ReaderAt, o *Object, sums []uint32, ranges []blob.Range) ([][]byte, error) {
	out := make([][]byte, len(ranges))
	for i := 0; i < len(ranges); {
		from, to, n := ranges[i].Offset, ranges[i].Offset+ranges[i].Length, i+1
		for n < len(ranges) && ranges[n].Offset >= to && ranges[n].Offset-to < sumBytes {
			to, n = ranges[n].Offset+ranges[n].Length, n+1
		}
		if from < 0 || to < from || to > o.Size {
			return nil, fmt.Errorf("bytes %d to %d of %d: %w", from, to, o.Size, model.ErrInvalid)
		}
		start := from / sumBytes * sumBytes
		b := make([]byte, min((to+sumBytes-1)/sumBytes*sumBytes, o.Size)-start)
		if err := readFull(r, b, start); err != nil {
			return nil, err
		}
		for at := int64(0); at < int64(len(b)); at += sumBytes {
			part := b[at:min(at+sumBytes, int64(len(b)))]
			if crc32.Checksum(part, castagnoli()) != sums[(start+at)/sumBytes] {
				return nil, fmt.Errorf("checksum of the copy at %d: %w", start+at, model.ErrCorrupt)
			}
		}
		for ; i < n; i++ {
			from, to := ranges[i].Offset-start, ranges[i].Offset-start+ranges[i].Length
			out[i] = b[from:to:to]
		}
	}
	return out, nil
}

// readFull reads all of b at off. A file that ends before is damaged.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("copy ends at %d: %w", off+int64(n), model.ErrCorrupt)
	}
	return err
}
