package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/varvedb/varve/model"
)

// Options are the tunables of a Reader.
type Options struct {
	// OpenMetrics says that the body is OpenMetrics; else it is the text format.
	OpenMetrics bool
	// DefaultMs is the time of samples that have none, in ms.
	DefaultMs int64
	// ChunkBytes is how much text is made one batch; a line may not be longer. Default 1 MiB.
	ChunkBytes int
	// PassLong: a line that is longer is a bad line, and those behind it are read; else it ends the body.
	PassLong bool
	// SeriesBytes is about how much memory keeps series that were met, which makes meeting them again cheaper. Default 0: none are kept.
	SeriesBytes int
}

// Chunk is what one stretch of the body came to. Valid until the next call of Next.
type Chunk struct {
	Batch model.Batch
	// Samples is how many there are in the batch.
	Samples int
	// Known has for each series of the batch what is kept of it, nil for those that are not kept: see Options.SeriesBytes.
	Known []*Known
	// Bad are lines that do not parse, by number in the body, at most the first ten of the chunk; BadLines counts them all.
	Bad      []model.BadLine
	BadLines int
}

// maxBad bad lines of a chunk are named.
const maxBad = 10

// Reader makes batches of a body. For one goroutine.
type Reader struct {
	from  io.Reader
	o     Options
	buf   []byte // what was read and is not decoded yet
	line  int    // number of the last line that was decoded
	ended bool
	// endless: what comes up to the next line end belongs to a line that is too long.
	endless bool
	d       decoder
}

// NewReader returns a Reader of the body.
func NewReader(from io.Reader, o *Options) *Reader {
	r := &Reader{from: from, o: *o}
	if r.o.ChunkBytes <= 0 {
		r.o.ChunkBytes = 1 << 20
	}
	r.d.openMetrics, r.d.defaultMs = o.OpenMetrics, o.DefaultMs
	if !o.OpenMetrics { // where labels depend on the type of the metric as well
		r.d.known.maxBytes = o.SeriesBytes
	}
	return r
}

// Next returns the next chunk, or io.EOF. Another error is that of the body, or wraps model.ErrInvalid for a line that is too long (unless those are passed over) and for what is behind # EOF; what
// came before it was returned.
func (r *Reader) Next() (*Chunk, error) {
	if r.d.eof {
		return nil, r.afterEOF()
	}
	for !r.ended && len(r.buf) < r.o.ChunkBytes {
		if err := r.read(); err != nil {
			return nil, err
		}
	}
	if r.endless {
		r.passEndless()
	}
	if len(r.buf) == 0 && r.ended {
		return nil, io.EOF
	}
	n := len(r.buf)
	if !r.ended {
		n = bytes.LastIndexByte(r.buf, '\n') + 1
	}
	long := n == 0 && len(r.buf) >= r.o.ChunkBytes
	if long && !r.o.PassLong {
		return nil, fmt.Errorf("line %d is longer than %d bytes: %w", r.line+1, r.o.ChunkBytes, model.ErrInvalid)
	}
	c := r.d.decode(r.buf[:n], r.line)
	r.line += bytes.Count(r.buf[:n], []byte{'\n'})
	if long {
		r.d.bad(r.line+1, fmt.Errorf("it is longer than %d bytes: %w", r.o.ChunkBytes, model.ErrInvalid))
		r.endless, n = true, len(r.buf)
	}
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
	return c, nil
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
	if cap(r.buf) < r.o.ChunkBytes {
		r.buf = append(make([]byte, 0, r.o.ChunkBytes), r.buf...)
	}
	n, err := r.from.Read(r.buf[len(r.buf):r.o.ChunkBytes])
	r.buf = r.buf[:len(r.buf)+n]
	if errors.Is(err, io.EOF) {
		r.ended = true
		return nil
	}
	return err
}

// afterEOF says what comes behind # EOF, which should be nothing.
func (r *Reader) afterEOF() error {
	if rest := strings.TrimSpace(string(r.buf[:min(len(r.buf), 80)])); rest != "" {
		return fmt.Errorf("line %d: text after # EOF: %w", r.line+1, model.ErrInvalid)
	}
	return io.EOF
}
