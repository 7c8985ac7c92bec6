package blob

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/model"
)

// The operations, as errors and metrics name them.
const (
	opGet         = "get"
	opGetIf       = "get_if"
	opGetRange    = "get_range"
	opGetFirst    = "get_first"
	opPut         = "put"
	opPutIf       = "put_if"
	opPutIfAbsent = "put_if_absent"
	opUpload      = "upload"
	opDelete      = "delete"
	opList        = "list"
)

// metrics count what a Bucket asks of its store, each try as one request. All carry the label scheme.
type metrics struct {
	scheme   string
	requests *prometheus.CounterVec   // op, outcome
	seconds  *prometheus.HistogramVec // op
	read     *prometheus.CounterVec   // op
	written  *prometheus.CounterVec   // op
	retries  *prometheus.CounterVec   // op
	hedgeWon *prometheus.CounterVec   // op
	inFlight *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer, scheme string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		opts := prometheus.CounterOpts{Name: name, Help: help}
		return register(reg, prometheus.NewCounterVec(opts, append([]string{"scheme"}, labels...)))
	}
	return &metrics{
		scheme:   scheme,
		requests: counter("varve_blob_requests_total", "Requests to the object store, each try counted, by operation and outcome.", "op", "outcome"),
		read:     counter("varve_blob_read_bytes_total", "Bytes of object bodies that came from the object store.", "op"),
		written:  counter("varve_blob_written_bytes_total", "Bytes of object bodies that were sent to the object store.", "op"),
		retries:  counter("varve_blob_retries_total", "Tries after the first of an operation.", "op"),
		hedgeWon: counter("varve_blob_hedge_wins_total", "Reads answered by the second request, started because the first was slow.", "op"),
		seconds: register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "varve_blob_request_seconds", Help: "Time of a request to the object store, each try by itself.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"scheme", "op"})),
		inFlight: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "varve_blob_requests_in_flight", Help: "Requests to the object store under way.",
		}, []string{"scheme"})),
	}
}

// register adds the collector, or returns the equal one that another Bucket of the process has added.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var dup prometheus.AlreadyRegisteredError
	if errors.As(err, &dup) {
		if old, ok := dup.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) began() { m.inFlight.WithLabelValues(m.scheme).Inc() }

func (m *metrics) ended(op string, err error, d time.Duration) {
	m.inFlight.WithLabelValues(m.scheme).Dec()
	m.requests.WithLabelValues(m.scheme, op, outcome(err)).Inc()
	m.seconds.WithLabelValues(m.scheme, op).Observe(d.Seconds())
}

func (m *metrics) addRead(op string, n int) { m.read.WithLabelValues(m.scheme, op).Add(float64(n)) }

func (m *metrics) addWritten(op string, n int) {
	m.written.WithLabelValues(m.scheme, op).Add(float64(n))
}
func (m *metrics) retried(op string) { m.retries.WithLabelValues(m.scheme, op).Inc() }

func (m *metrics) hedged(op string, won bool) {
	if won {
		m.hedgeWon.WithLabelValues(m.scheme, op).Inc()
	}
}

// outcome is the label value for how a request ended.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	case errors.Is(err, ErrDenied):
		return "denied"
	case errors.Is(err, model.ErrNotFound):
		return "not_found"
	case errors.Is(err, model.ErrConflict):
		return "conflict"
	case errors.Is(err, model.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, model.ErrInvalid):
		return "invalid"
	}
	return "error"
}
