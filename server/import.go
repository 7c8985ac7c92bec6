package server

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/protocol/text"
	"github.com/varvedb/varve/tenant"
)

// pathImport takes what exporters expose.
const pathImport = "/api/v1/import/prometheus"

const (
	// importChunk is how much text is appended at a time; importMemory is about what that takes in all its forms.
	importChunk  = 1 << 20
	importMemory = 16 << 20
	// maxBadLines end an import, as little of what is sent seems to be meant for here.
	maxBadLines = 10_000
	// importWindow bounds the memory of a zstd decoder.
	importWindow = 8 << 20
)

// importText answers POST /api/v1/import/prometheus: a body of Prometheus' text format, or OpenMetrics by its Content-Type, of any length, plain, gzip or
// zstd. Samples without a time get that of the parameter timestamp (ms), or now. It is appended as it comes: 204 means that all of
// it is durable; 400 that single lines or series were not taken, which the answer names, and all others were; after any other answer a part from the
// beginning may be there, and to send all of it again does no harm.
func (s *Server) importText(w http.ResponseWriter, r *http.Request) error {
	o, err := importOptions(r)
	if err != nil {
		return err
	}
	memory := &reservation{a: s.admission}
	if err := memory.grow(r.Context(), importMemory); err != nil {
		return err
	}
	defer memory.free()
	sent := &arrived{Reader: r.Body}
	// A decompressor waits for its head at once.
	stop := s.bodyDeadline(w, -1)
	body, closeBody, err := plainBody(sent, r.Header.Get("Content-Encoding"))
	stop()
	if err != nil {
		return err
	}
	defer closeBody()
	name := tenant.FromContext(r.Context())
	lines, out := text.NewReader(body, o), imported{}
	for {
		// Each chunk has as long as a whole body of another kind.
		stop := s.bodyDeadline(w, -1)
		c, err := lines.Next()
		stop()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read body: %w, %s", sent.fault(err), out.sofar())
		}
		// Little that was sent may be much to read, with nothing in it to append.
		if err := r.Context().Err(); err != nil {
			return fmt.Errorf("%w, %s", err, out.sofar())
		}
		result, err := s.c.Appender.Append(r.Context(), name, &c.Batch)
		if err != nil {
			return fmt.Errorf("%w, %s", err, out.sofar())
		}
		s.metrics.stored(result)
		out.add(c, result)
		if out.bad > maxBadLines {
			return fmt.Errorf("gave up after %d lines that do not parse, is this the text format? %s: %w", out.bad, out.complaint(), model.ErrInvalid)
		}
	}
	if out.bad+out.refused > 0 {
		s.failWith(w, r, http.StatusBadRequest, out.complaint())
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// importOptions reads what the request says of its body. The query string alone: the body is no form, whatever its Content-Type says.
func importOptions(r *http.Request) (*text.Options, error) {
	o := &text.Options{DefaultMs: time.Now().UnixMilli(), ChunkBytes: importChunk}
	if s := r.URL.Query().Get("timestamp"); s != "" {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("invalid parameter %q: %.40q is no number of milliseconds: %w", "timestamp", s, model.ErrInvalid)
		}
		o.DefaultMs = ms
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil {
		o.OpenMetrics = kind == "application/openmetrics-text"
	}
	return o, nil
}

// plainBody is the body without its compression. Reading it is bounded by the chunks that the caller takes.
func plainBody(sent *arrived, encoding string) (io.Reader, func(), error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return sent, func() {}, nil
	case "gzip":
		z, err := gzip.NewReader(sent)
		if err != nil {
			return nil, nil, fmt.Errorf("read gzip: %w", sent.fault(err))
		}
		return z, func() { _ = z.Close() }, nil
	case "zstd":
		z, err := zstd.NewReader(sent, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(importWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, fmt.Errorf("read zstd: %w", sent.fault(err))
		}
		return z, z.Close, nil
	}
	return nil, nil, fmt.Errorf("content encoding %.40q is not read here, send gzip, zstd or none: %w", encoding, remotewrite.ErrMediaType)
}

// arrived is a body that knows whether its reading failed, or only what was made of it.
type arrived struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (a *arrived) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		a.err = err
	}
	return n, err
}

// fault gives errors of decompressors, which have no kind, that of bad input.
func (a *arrived) fault(err error) error {
	if a.err == nil && !errors.Is(err, model.ErrInvalid) {
		return fmt.Errorf("%w: %w", err, model.ErrInvalid)
	}
	return err
}

// imported adds up what became of the chunks.
type imported struct {
	stored, refused, bad int
	lines                []model.BadLine
	series               []model.Rejection
}

func (i *imported) add(c *text.Chunk, r model.AppendResult) {
	i.stored += r.Samples
	i.refused += r.RejectedSamples
	i.bad += c.BadLines
	i.lines = append(i.lines, c.Bad[:min(len(c.Bad), maxListed-len(i.lines))]...)
	i.series = append(i.series, r.Rejected[:min(len(r.Rejected), maxListed-len(i.series))]...)
}

// sofar is for errors in the middle.
func (i *imported) sofar() string {
	if i.stored == 0 {
		return "nothing was stored"
	}
	return fmt.Sprintf("%d samples before it are stored", i.stored)
}

// complaint names the lines and series that were not taken, the first of them.
func (i *imported) complaint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d lines do not parse and %d samples were refused, %d are stored", i.bad, i.refused, i.stored)
	for _, l := range i.lines {
		fmt.Fprintf(&b, "\nline %d: %s", l.Number, sentence(l.Err))
	}
	for _, x := range i.series {
		fmt.Fprintf(&b, "\nseries %s: %s", x.Series, sentence(x.Err))
	}
	return b.String()
}
