package wire

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/varvedb/varve/model"
)

// ContentType of an answer.
const ContentType = "application/x-varve-select"

// HandlerOptions are the settings of a handler; nil means the defaults.
type HandlerOptions struct {
	// WriteTimeout is how long one write to a slow reader may take. Default 30 s.
	WriteTimeout time.Duration
	// CheckTenant refuses a tenant's name. Default: none is refused.
	CheckTenant func(name string) error
	// WriteError answers an error before the first byte. Default: status 400, 429, 503 or 500 and the error's text.
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
}

// NewHandler answers select requests from the source.
func NewHandler(source model.Source, opts *HandlerOptions) http.Handler {
	h := &handler{source: source}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.WriteTimeout <= 0 {
		h.opts.WriteTimeout = 30 * time.Second
	}
	if h.opts.CheckTenant == nil {
		h.opts.CheckTenant = func(string) error { return nil }
	}
	if h.opts.WriteError == nil {
		h.opts.WriteError = writeError
	}
	return h
}

type handler struct {
	source model.Source
	opts   HandlerOptions
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q, matchers, err := decodeRequest(r.Body)
	if err == nil {
		err = h.opts.CheckTenant(q.Tenant)
	}
	if err != nil {
		h.opts.WriteError(w, r, err)
		return
	}
	// The id is taken before the selection: should the source turn into another writer in between, the client sees
	// the old one and asks again, instead of missing what the new one holds.
	writer := h.source.Writer()
	within := model.TimeRange{MinMs: q.MinMs, MaxMs: q.MaxMs}
	selection, err := h.source.Select(r.Context(), q.Tenant, within, matchers)
	if err != nil {
		h.opts.WriteError(w, r, err)
		return
	}
	defer selection.Close()
	w.Header().Set("Content-Type", ContentType)
	e := newEncoder(&deadlineWriter{w: w, c: http.NewResponseController(w), timeout: h.opts.WriteTimeout}, writer)
	if err := h.answer(r, e, selection, within); err != nil && e.err == nil {
		// The status has gone out: the error travels in the stream.
		_ = e.frame(frameError, kindOf(err), err.Error())
	}
	if e.err != nil {
		// The stream is broken; abort, so that the reader sees it cut off and not merely silent.
		panic(http.ErrAbortHandler)
	}
}

func (h *handler) answer(r *http.Request, e *encoder, s *model.Selection, within model.TimeRange) error {
	for _, warning := range s.Warnings {
		if err := e.frame(frameWarning, warning); err != nil {
			return err
		}
	}
	var c model.Columns
	n := 0
	for _, series := range s.Series {
		if err := r.Context().Err(); err != nil {
			return err
		}
		c.Reset()
		if err := series.Samples(&c, within); err != nil {
			return fmt.Errorf("read series %s: %w", series.Labels(), err)
		}
		if c.Len() == 0 {
			continue
		}
		if err := e.series(series.Labels(), &c); err != nil {
			return err
		}
		n++
	}
	return e.end(n)
}

// deadlineWriter gives each write its own deadline, so that a long answer may take long and a stuck reader may not.
type deadlineWriter struct {
	w       http.ResponseWriter
	c       *http.ResponseController
	timeout time.Duration
}

func (d *deadlineWriter) Write(p []byte) (int, error) {
	// A recorder in a test has no deadlines; then there is nothing to set.
	_ = d.c.SetWriteDeadline(time.Now().Add(d.timeout))
	return d.w.Write(p)
}

func writeError(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, model.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, model.ErrLimit):
		status = http.StatusTooManyRequests
	case errors.Is(err, model.ErrUnavailable):
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}
