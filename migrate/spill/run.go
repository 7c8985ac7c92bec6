package spill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// run is a file of sorted series of a sorter, read by the process that wrote it and by nobody else. It has a section for each day, an S2 stream, which has
// checksums of its own, of one record a series:
//
//	labels     uvarint length of what follows of them; name and value of each, uvarint length and bytes
//	samples    number uvarint
//	kind       1 byte: 1 if there are histograms among them
//	times      varint each, the difference to the one before
//	values     8 bytes each, IEEE 754 little-endian
//	histograms if there are any: uvarint length + 1 and bytes of each, 0 for a float
type run struct {
	f    *os.File
	days map[model.Day]section
	// level is how often its samples were merged.
	level int
}

// section is a stretch of a file, with so many series.
type section struct{ offset, length, series int64 }

// runBlock is the size of what is compressed at a time: many runs are read at once.
const runBlock = 64 << 10

// remove closes and removes the file.
func (r *run) remove() error { return errors.Join(r.f.Close(), os.Remove(r.f.Name())) }

// read are the series of a section.
func (r *run) read(at section) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		z := s2.NewReader(io.NewSectionReader(r.f, at.offset, at.length), s2.ReaderMaxBlockSize(runBlock))
		in := &recordReader{r: bufio.NewReaderSize(z, 4<<10), b: labels.NewScratchBuilder(16)}
		for n := int64(0); ; n++ {
			s, err := in.next()
			if errors.Is(err, io.EOF) {
				if n == at.series {
					return
				}
				err = fmt.Errorf("it ends after %d of %d series: %w", n, at.series, model.ErrCorrupt)
			}
			if err != nil {
				yield(nil, fmt.Errorf("read sorted run %s: %w", r.f.Name(), err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// recordReader reads records. Only io.EOF itself is the end: within a record it is io.ErrUnexpectedEOF. A series is valid until the next one is read. Memory grows with what was
// read, not with what a number says.
type recordReader struct {
	r   *bufio.Reader
	b   labels.ScratchBuilder
	buf []byte
	c   model.Columns
	err error
}

func (r *recordReader) next() (*series, error) {
	if _, err := r.r.Peek(1); errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	r.err = nil
	r.b.Reset()
	r.labels(r.text(r.uvarint()))
	n := r.uvarint()
	rich := r.bytes(1)
	if r.err != nil {
		return nil, r.err
	}
	hasRich := rich[0] == 1
	c := &r.c
	c.Reset()
	at := int64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		at += r.varint()
		c.T = append(c.T, at)
	}
	for i := uint64(0); i < n && r.err == nil; i++ {
		if v := r.bytes(8); r.err == nil {
			c.V = append(c.V, math.Float64frombits(binary.LittleEndian.Uint64(v)))
		}
	}
	if hasRich && r.err == nil {
		r.histograms(n)
	}
	if r.err != nil {
		return nil, r.err
	}
	return &series{labels: r.b.Labels(), columns: c}, nil
}

// labels takes labels apart; all are parts of one string.
func (r *recordReader) labels(all string) {
	next := func() string {
		n, rest, ok := cutUvarint(all)
		if !ok || n > uint64(len(rest)) {
			r.fail(errors.New("labels are cut off"))
			all = ""
			return ""
		}
		s := rest[:n]
		all = rest[n:]
		return s
	}
	for len(all) > 0 && r.err == nil {
		name := next()
		r.b.Add(name, next())
	}
}

func cutUvarint(s string) (v uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return v, s[i+1:], true
		}
	}
	return 0, "", false
}

func (r *recordReader) histograms(n uint64) {
	any := false
	var all [][]byte
	for i := uint64(0); i < n && r.err == nil; i++ {
		var h []byte
		if k := r.uvarint(); k > 0 {
			h = []byte(r.text(k - 1))
			any = true
		}
		all = append(all, h)
	}
	if any {
		r.c.H = all
	}
}

func (r *recordReader) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", model.ErrCorrupt, err)
	}
}

// uvarint reads from what is buffered if that does.
func (r *recordReader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	if b, _ := r.r.Peek(binary.MaxVarintLen64); len(b) > 0 {
		if v, n := binary.Uvarint(b); n > 0 {
			_, _ = r.r.Discard(n) // it is there
			return v
		}
	}
	v, err := binary.ReadUvarint(r.r)
	r.fail(err)
	return v
}

func (r *recordReader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *recordReader) text(n uint64) string { return string(r.bytes(n)) }

// bytes returns the next n bytes, valid until the next call; nil after an error.
func (r *recordReader) bytes(n uint64) []byte {
	r.buf = r.buf[:0]
	const most = 64 << 10 // at a time
	for r.err == nil && uint64(len(r.buf)) < n {
		k, had := int(min(n-uint64(len(r.buf)), most)), len(r.buf)
		r.buf = slices.Grow(r.buf, k)[:had+k]
		_, err := io.ReadFull(r.r, r.buf[had:])
		r.fail(err)
	}
	if r.err != nil {
		return nil
	}
	return r.buf
}
