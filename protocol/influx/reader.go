package influx

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/varvedb/varve/model"
)

// Options are the tunables of a Reader; nil means defaults.
type Options struct {
	// Mapping says what names become; nil is DefaultMapping.
	Mapping *Mapping
	// Unit is that of times: a nanosecond, which it is if it is 0, a microsecond, millisecond, second, minute or hour.
	Unit time.Duration
	// DefaultMs is the time of lines that have none, in ms.
	DefaultMs int64
	// ChunkBytes is how much text is made one batch; a line may not be longer. Default 1 MiB.
	ChunkBytes int
}

// Chunk is what one stretch of the body came to. Valid until the next call of Next.
type Chunk struct {
	Batch model.Batch
	// Samples is how many there are in the batch.
	Samples int
	// Bad are lines that do not parse, by number in the body, at most the first ten of the chunk; BadLines counts them all.
	Bad      []model.BadLine
	BadLines int
}

// Text is a field whose values are text, which is left out.
type Text struct {
	// Measurement and Field are "" for those beyond the first thousand fields.
	Measurement, Field string
	Values             int64
}

// maxBad bad lines of a chunk are named.
const maxBad = 10

// Reader makes batches of a body. For one goroutine.
type Reader struct {
	from    io.Reader
	chunk   int
	buf     []byte // what was read and is not decoded yet
	line    int    // number of the last line that was decoded
	ended   bool
	endless bool // what comes up to the next line end belongs to a line that is too long
	d       decoder
}

// NewReader returns a Reader of the body.
func NewReader(from io.Reader, o *Options) *Reader {
	if o == nil {
		o = &Options{}
	}
	r := &Reader{from: from, chunk: o.ChunkBytes}
	if r.chunk <= 0 {
		r.chunk = 1 << 20
	}
	r.d = decoder{m: DefaultMapping(), unit: max(o.Unit, time.Nanosecond), defaultMs: o.DefaultMs}
	if o.Mapping != nil {
		r.d.m = *o.Mapping
	}
	r.d.database, r.d.policy = r.d.m.Database, r.d.m.Policy
	return r
}

// Next returns the next chunk, or io.EOF. Another error is that of the body; what came before it was returned.
func (r *Reader) Next() (*Chunk, error) {
	for !r.ended && len(r.buf) < r.chunk {
		if err := r.read(); err != nil {
			return nil, err
		}
	}
	if len(r.buf) == 0 {
		return nil, io.EOF
	}
	r.d.reset()
	if r.endless {
		r.passEndless()
	}
	f := &feed{d: &r.d, rest: r.buf, last: r.ended, line: r.line}
	r.decode(f)
	if len(f.rest) == len(r.buf) && len(r.buf) >= r.chunk {
		r.tooLong(f)
	}
	r.line = f.line
	r.buf = r.buf[:copy(r.buf, f.rest)]
	r.d.c.Samples = len(r.d.c.Batch.Samples)
	return &r.d.c, nil
}

// decode takes the lines of the feed.
func (r *Reader) decode(f *feed) {
	p := lineprotocol.NewDecoder(f)
	for p.Next() {
		if err := r.d.line(p); err != nil {
			// The decoder's own number counts what it was given.
			if e := (*lineprotocol.DecodeError)(nil); errors.As(err, &e) {
				err = fmt.Errorf("column %d: %w: %w", e.Column, e.Err, model.ErrInvalid)
			}
			r.d.bad(f.entry, err)
		}
	}
}

// tooLong passes over a line that does not fit a chunk, or whose string does not end within it: of that one, the lines behind it are read as such.
func (r *Reader) tooLong(f *feed) {
	if bytes.IndexByte(f.rest, '\n') >= 0 {
		f.broken()
		return
	}
	r.d.bad(f.line+1, fmt.Errorf("it is longer than %d bytes: %w", r.chunk, model.ErrInvalid))
	f.rest = nil
	r.endless = true
}

// passEndless passes over the rest of a line that is too long.
func (r *Reader) passEndless() {
	n := bytes.IndexByte(r.buf, '\n') + 1
	if n == 0 {
		r.buf = r.buf[:0]
		return
	}
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
	r.line++
	r.endless = false
}

// read adds what comes in one read.
func (r *Reader) read() error {
	if cap(r.buf) < r.chunk+1 {
		r.buf = append(make([]byte, 0, r.chunk+1), r.buf...)
	}
	n, err := r.from.Read(r.buf[len(r.buf):r.chunk])
	r.buf = r.buf[:len(r.buf)+n]
	if errors.Is(err, io.EOF) {
		r.ended = true
		if n := len(r.buf); n > 0 && r.buf[n-1] != '\n' {
			r.buf = append(r.buf, '\n')
		}
		return nil
	}
	return err
}

// Texts are the fields of what was read so far that have text, by name.
func (r *Reader) Texts() []Text {
	out := make([]Text, 0, len(r.d.texts))
	for name, n := range r.d.texts {
		measurement, field, _ := strings.Cut(name, "\x00")
		out = append(out, Text{measurement, field, *n})
	}
	slices.SortFunc(out, func(a, b Text) int {
		return cmp.Or(cmp.Compare(a.Measurement, b.Measurement), cmp.Compare(a.Field, b.Field))
	})
	return out
}
