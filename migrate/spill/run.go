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
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// run is a file of sorted series of a sorter, read by the process that wrote it and by nobody else. It has a section for each day, an S2 stream, which has
// checksums of its own, of one record a series:
//
//	labels     number uvarint, then name and value of each, uvarint length and bytes
//	samples    number uvarint
//	kind       1 byte: 1 if there are histograms among them
//	times      varint each, the difference to the one before
//	values     8 bytes each, IEEE 754 little-endian
//	histograms if there are any: uvarint length + 1 and bytes of each, 0 for a float
type run struct {
	f    *os.File
	days map[model.Day]section
}

// section is a stretch of a file.
type section struct{ offset, length int64 }

// runBlock is the size of what is compressed at a time: many runs are read at once.
const runBlock = 64 << 10

// writeRun writes the series, which are in order, as are their samples.
func writeRun(dir string, n int, all []*Open) (r *run, err error) {
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("run-%06d", n)))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	r = &run{f: f, days: map[model.Day]section{}}
	w := &countWriter{w: f}
	z := s2.NewWriter(nil, s2.WriterBlockSize(runBlock), s2.WriterConcurrency(1))
	var days []model.Day
	seen := map[model.Day]bool{}
	for _, o := range all {
		for _, t := range o.columns.T {
			if d := model.DayOf(t); !seen[d] {
				seen[d] = true
				days = append(days, d)
			}
		}
	}
	slices.Sort(days)
	// at is how far each series was written.
	at := make([]int, len(all))
	var b []byte
	for _, day := range days {
		begin := w.n
		z.Reset(w)
		last := day.Range().MaxMs
		for i, o := range all {
			from := at[i]
			for at[i] < o.columns.Len() && o.columns.T[at[i]] <= last {
				at[i]++
			}
			if from == at[i] {
				continue
			}
			b = appendRecord(b[:0], o.labels, &o.columns, from, at[i])
			if _, err := z.Write(b); err != nil {
				return nil, err
			}
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		r.days[day] = section{begin, w.n - begin}
	}
	return r, nil
}

// countWriter counts what goes through it.
type countWriter struct {
	w io.Writer
	n int64
}

func (w *countWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}

// appendRecord appends the samples [from, to) of a series.
func appendRecord(b []byte, ls labels.Labels, c *model.Columns, from, to int) []byte {
	b = binary.AppendUvarint(b, uint64(ls.Len()))
	ls.Range(func(l labels.Label) { b = model.AppendText(model.AppendText(b, l.Name), l.Value) })
	b = binary.AppendUvarint(b, uint64(to-from))
	rich := byte(0)
	if c.H != nil {
		rich = 1
	}
	b = append(b, rich)
	before := int64(0)
	for _, t := range c.T[from:to] {
		b = binary.AppendVarint(b, t-before)
		before = t
	}
	for _, v := range c.V[from:to] {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	if rich == 0 {
		return b
	}
	for _, h := range c.H[from:to] {
		if h == nil {
			b = append(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(h))+1), h...)
	}
	return b
}

// read are the series of a section.
func (r *run) read(at section) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		z := s2.NewReader(io.NewSectionReader(r.f, at.offset, at.length), s2.ReaderMaxBlockSize(runBlock))
		in := &recordReader{r: bufio.NewReaderSize(z, 4<<10), b: labels.NewScratchBuilder(16)}
		for {
			s, err := in.next()
			if errors.Is(err, io.EOF) {
				return
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

// recordReader reads records. Only io.EOF itself is the end: within a record it is io.ErrUnexpectedEOF.
type recordReader struct {
	r   *bufio.Reader
	b   labels.ScratchBuilder
	buf []byte
	err error
}

func (r *recordReader) next() (*series, error) {
	if _, err := r.r.Peek(1); err != nil {
		return nil, err
	}
	r.err = nil
	r.b.Reset()
	for range r.uvarint() {
		name := r.text(r.uvarint())
		r.b.Add(name, r.text(r.uvarint()))
		if r.err != nil {
			return nil, r.err
		}
	}
	n := int(r.uvarint())
	rich := r.bytes(1)
	if r.err != nil {
		return nil, r.err
	}
	c := &model.Columns{}
	at := int64(0)
	for i := 0; i < n && r.err == nil; i++ {
		d, err := binary.ReadVarint(r.r)
		r.fail(err)
		at += d
		c.T = append(c.T, at)
	}
	hasRich := len(rich) > 0 && rich[0] == 1
	for i := 0; i < n && r.err == nil; i++ {
		if v := r.bytes(8); r.err == nil {
			c.V = append(c.V, math.Float64frombits(binary.LittleEndian.Uint64(v)))
		}
	}
	if hasRich && r.err == nil {
		r.histograms(c, n)
	}
	if r.err != nil {
		return nil, r.err
	}
	return &series{labels: r.b.Labels(), columns: c}, nil
}

func (r *recordReader) histograms(c *model.Columns, n int) {
	any := false
	c.H = make([][]byte, n)
	for i := 0; i < n && r.err == nil; i++ {
		if k := r.uvarint(); k > 0 {
			c.H[i] = []byte(r.text(k - 1))
			any = true
		}
	}
	if !any {
		c.H = nil
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

func (r *recordReader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(r.r)
	r.fail(err)
	return v
}

func (r *recordReader) text(n uint64) string { return string(r.bytes(n)) }

// bytes returns the next n bytes, valid until the next call; nil after an error.
func (r *recordReader) bytes(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > 1<<30 {
		r.fail(fmt.Errorf("text of %d bytes", n))
		return nil
	}
	if uint64(cap(r.buf)) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	_, err := io.ReadFull(r.r, r.buf)
	r.fail(err)
	if r.err != nil {
		return nil
	}
	return r.buf
}
