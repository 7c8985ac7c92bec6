package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// tenantHeader names the tenant of a request.
const tenantHeader = "X-Scope-OrgID"

const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}

// outermost recovers, gives the request its id, counts and logs it.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get(requestIDHeader)
		if tenant.Check(id) != nil { // the same harmless letters
			id = strconv.FormatInt(start.UnixMicro(), 36) + "-" + strconv.FormatUint(s.requests.Add(1), 36)
		}
		w.Header().Set(requestIDHeader, id)
		rec := &recorder{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		done := s.metrics.begin()
		defer func() {
			elapsed := time.Since(start)
			done(routeName(r), rec.code(), elapsed)
			s.logRequest(rec, r, id, elapsed)
		}()
		// Runs before the above and may panic again, to abort the connection.
		defer func() { s.recovered(rec, r, recover()) }()
		next.ServeHTTP(rec, r)
	})
}

// recovered answers a request whose handler panicked. A panic is our bug; it must not take the process with it.
func (s *Server) recovered(w *recorder, r *http.Request, p any) {
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // a sentinel value, compared as net/http does
		w.note = "answer aborted"
		if w.status == 0 {
			w.status = http.StatusInternalServerError
		}
		panic(p)
	}
	s.metrics.panics.Inc()
	s.log.Error("handler panicked; this is a bug in Varve", "path", r.URL.Path, "request", requestID(r), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status == 0 {
		answerError(w, r, http.StatusInternalServerError, "internal", "internal error; the server's log has it under request "+requestID(r))
	}
}

func (s *Server) logRequest(w *recorder, r *http.Request, id string, elapsed time.Duration) {
	level := slog.LevelDebug
	if c := w.code(); c >= 400 && c != statusClientGone {
		level = slog.LevelWarn
	}
	// A sender that sends rubbish sends it often: warnings are thinned out, the count is in the metrics.
	if !s.log.Enabled(r.Context(), level) || level == slog.LevelWarn && !s.quiet.allow(time.Now()) {
		return
	}
	s.log.Log(r.Context(), level, "request", "method", r.Method, "path", r.URL.Path, "status", w.code(), "tenant", cutText(r.Header.Get(tenantHeader), tenant.MaxLen),
		"took", elapsed, "request", id, "reason", cutText(w.reason(), 300))
}

func cutText(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// quietLog allows ten lines a second. The zero value is ready.
type quietLog struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

func (q *quietLog) allow(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) > time.Second {
		q.since, q.n = now, 0
	}
	q.n++
	return q.n <= 10
}

// withForm reads the body, up to the limit for forms and within the time for bodies, before its handler runs.
func (s *Server) withForm(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
			return next(w, r)
		}
		stop := s.bodyDeadline(w, r.ContentLength)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.opts.MaxFormBytes))
		stop()
		if err != nil {
			return bodyError(err, s.opts.MaxFormBytes)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		return next(w, r)
	}
}

// slowestBody is how many bytes of a body have to arrive in a second, on the average and after the first ten seconds: what has arrived holds memory.
const slowestBody = 32 << 10

// bodyDeadline limits the time to read a body of the length, -1 if that isn't known; the returned function lifts the limit.
func (s *Server) bodyDeadline(w http.ResponseWriter, length int64) (stop func()) {
	limit := s.opts.BodyTimeout
	if length >= 0 {
		limit = min(limit, 10*time.Second+time.Duration(length/slowestBody)*time.Second)
	}
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return func() {} // no connection beneath: a test, or the self-scrape
	}
	return func() { _ = c.SetReadDeadline(time.Time{}) }
}

func bodyError(err error, limit int64) error {
	var maxBytes *http.MaxBytesError
	if errors.As(err, &maxBytes) {
		return fmt.Errorf("the body is over the limit of %d bytes: %w", limit, errTooLarge)
	}
	return fmt.Errorf("read body: %w", err)
}

// withTenant puts the tenant of the request into its context.
func (s *Server) withTenant(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		name, err := tenantOf(r)
		if err != nil {
			return err
		}
		return next(w, r.WithContext(tenant.NewContext(r.Context(), name)))
	}
}

func tenantOf(r *http.Request) (string, error) {
	switch values := r.Header.Values(tenantHeader); {
	case len(values) == 0:
		return tenant.Default, nil
	case len(values) > 1 || strings.Contains(values[0], "|"):
		return "", fmt.Errorf("header %s names several tenants, want one: %w", tenantHeader, model.ErrInvalid)
	default:
		if err := tenant.Check(values[0]); err != nil {
			return "", fmt.Errorf("header %s: %w", tenantHeader, err)
		}
		return values[0], nil
	}
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	// note is the reason of a refusal, for the log.
	note string
	// refusal is the beginning of the body of a refusal without a note.
	refusal []byte
}

// maxRefusal is how much of a refusal's body is looked at for its reason.
const maxRefusal = 1 << 10

// reason is why the request was refused: the note, or what the answer says, which handlers of Prometheus write without a note. "" if there is nothing.
func (w *recorder) reason() string {
	if w.note != "" || len(w.refusal) == 0 {
		return w.note
	}
	var envelope struct{ Error string }
	if json.Unmarshal(w.refusal, &envelope) == nil && envelope.Error != "" {
		return envelope.Error
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(w.refusal)), "�")
}

func (w *recorder) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.status >= 400 && w.note == "" && w.Header().Get("Content-Encoding") == "" {
		w.refusal = append(w.refusal, p[:min(len(p), maxRefusal-len(w.refusal))]...)
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (w *recorder) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// note leaves the reason of a refusal for the log.
func note(w http.ResponseWriter, text string) {
	if rec, ok := w.(*recorder); ok {
		rec.note = text
	}
}
