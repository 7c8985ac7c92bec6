package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// Options are the settings of a Server; nil and zero values mean the defaults.
type Options struct {
	// Write are the limits of one write request.
	Write remotewrite.Options
	// MaxInFlightBytes bounds the memory of all writes being received (a quarter of it) and decoded. An operator lowers it
	// on a small machine. Default 512 MiB.
	MaxInFlightBytes int64
	// QueueTimeout is how long a write waits for its part of MaxInFlightBytes. Default 2 s.
	QueueTimeout time.Duration
	// MaxFormBytes bounds the body of any other request. Default 1 MiB.
	MaxFormBytes int64
	// BodyTimeout is how long a body may take to arrive. Default 1 min.
	BodyTimeout time.Duration
	// AnswerTimeout is how long an answer may take to be computed and sent. Default 10 min.
	AnswerTimeout time.Duration
	// FlushTimeout is how long a flush request waits. Default 5 min.
	FlushTimeout time.Duration
	// ShutdownTimeout is how long Serve waits for requests in flight after its context ended. Default 30 s.
	ShutdownTimeout time.Duration
	// Profiling mounts /debug/pprof.
	Profiling bool
}

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	setDefault(&r.MaxInFlightBytes, 512<<20)
	setDefault(&r.QueueTimeout, 2*time.Second)
	setDefault(&r.MaxFormBytes, 1<<20)
	setDefault(&r.BodyTimeout, time.Minute)
	setDefault(&r.AnswerTimeout, 10*time.Minute)
	setDefault(&r.FlushTimeout, 5*time.Minute)
	setDefault(&r.ShutdownTimeout, 30*time.Second)
	return r
}

func setDefault[T int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Flusher commits everything that was acknowledged.
type Flusher interface {
	Flush(ctx context.Context) error
}

// Check is one thing that must hold for the server to be ready.
type Check struct {
	Name string
	// Run returns nil or the reason, quickly. Called from any goroutine.
	Run func(ctx context.Context) error
}

// Components are what the server serves. A nil one leaves its routes out.
type Components struct {
	Appender model.Appender
	// API answers below /api/v1 what is not mounted by the server itself.
	API     http.Handler
	Source  model.Source
	Flusher Flusher
	Deleter Deleter
	// Snapshots makes, lists and deletes snapshots.
	Snapshots Snapshots
	Checks    []Check
	// Gatherer is what /metrics shows, Registerer where the server's own metrics go. Nil: none.
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer
	// Logger; nil discards.
	Logger *slog.Logger
}

// Server serves the components. Safe for concurrent use.
type Server struct {
	opts      Options
	c         Components
	log       *slog.Logger
	decoder   *remotewrite.Decoder
	arriving  *admission // of bodies being read
	admission *admission // of requests being decoded and appended
	metrics   *metrics
	handler   http.Handler
	requests  atomic.Uint64
	stopping  atomic.Bool
	quiet     quietLog
}

// New makes a server. It starts nothing.
func New(opts *Options, c Components) *Server {
	s := &Server{opts: opts.withDefaults(), c: c, log: c.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.decoder = remotewrite.NewDecoder(&s.opts.Write)
	s.opts.Write = s.decoder.Options()
	arriving := max(1, s.opts.MaxInFlightBytes/4)
	s.arriving = newAdmission(arriving, s.opts.QueueTimeout)
	s.admission = newAdmission(max(1, s.opts.MaxInFlightBytes-arriving), s.opts.QueueTimeout)
	s.metrics = newMetrics(c.Registerer, s.arriving, s.admission)
	s.handler = s.outermost(s.routes())
	return s
}

// Handler returns the whole server as a handler.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve answers requests on the listener, which it closes, until ctx ends and the requests in flight are answered or
// Options.ShutdownTimeout has passed; then it returns nil. To answer before there is a server, use a [Door].
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	d := NewDoor(s.log)
	d.Open(s)
	return d.Serve(ctx, ln)
}
