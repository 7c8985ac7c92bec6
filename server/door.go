package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Door is what answers on a listener from its first moment on, while the log is still being read: /-/healthy with 200, anything else with
// 503 and Retry-After, so that senders and load balancers learn at once what they would otherwise wait for. Once there is a
// server, Open lets requests through to it. Safe for concurrent use.
type Door struct {
	log         *slog.Logger
	connections *connections
	server      atomic.Pointer[Server]
}

// NewDoor returns a closed door; a nil logger discards.
func NewDoor(log *slog.Logger) *Door {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Door{log: log, connections: newConnections(maxConnections)}
}

// maxConnections is the default of Limit.
const maxConnections = 10_000

// Limit bounds the connections that there are at one time. Call it before Serve. Default 10,000.
func (d *Door) Limit(connections int) { d.connections = newConnections(connections) }

// Open has the server answer all requests from now on.
func (d *Door) Open(s *Server) { d.server.Store(s) }

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s := d.server.Load(); s != nil {
		s.handler.ServeHTTP(w, r)
		return
	}
	const why = "the server is starting and reads its log, send again later"
	h := w.Header()
	switch r.URL.Path {
	case "/-/healthy":
		h.Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("Varve is starting.\n"))
		return
	case "/-/ready":
		h.Set("Content-Type", "application/json")
		h.Set("Retry-After", strconv.Itoa(startingRetryAfter))
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(readiness{Checks: []checkResult{{Name: "running", Reason: why}}})
		return
	}
	h.Set("Retry-After", strconv.Itoa(startingRetryAfter))
	answerError(w, r, http.StatusServiceUnavailable, "unavailable", why)
}

// startingRetryAfter, in seconds, is short: a start takes seconds.
const startingRetryAfter = 2

// Serve answers requests on the listener, which it closes, until ctx ends and the requests in flight are answered or
// the server's Options.ShutdownTimeout has passed; then it returns nil.
func (d *Door) Serve(ctx context.Context, ln net.Listener) error {
	// Requests outlive ctx, to be answered; they end with base.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	hs := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    1 << 20,
		ConnState:         d.connections.changed,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	limit := time.Second
	if s := d.server.Load(); s != nil {
		s.stopping.Store(true)
		limit = s.opts.ShutdownTimeout
	}
	timeout, stop := context.WithTimeout(base, limit)
	defer stop()
	err := hs.Shutdown(timeout)
	if err != nil {
		d.log.Warn("requests in flight were cut off", "after", limit)
		cancel()
		err = hs.Close()
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
