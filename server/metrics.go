package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

// metrics are what the server tells of itself.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter

	series   prometheus.Counter
	samples  *prometheus.CounterVec
	rejected *prometheus.CounterVec
	skipped  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, arriving, decoding *admission) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_http_requests_total", Help: "Requests answered."}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "varve_http_request_duration_seconds", Help: "Time from the headers of a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "varve_http_requests_in_flight", Help: "Requests being answered."}),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "varve_http_panics_total", Help: "Requests whose handler panicked. Each is a bug."}),
		series:   prometheus.NewCounter(prometheus.CounterOpts{Name: "varve_write_series_total", Help: "Series in write requests that were decoded, each as often as it occurred."}),
		samples:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_write_samples_total", Help: "Samples and exemplars accepted by write requests."}, []string{"type"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_write_samples_rejected_total", Help: "Samples refused for a permanent fault of their series."}, []string{"reason"}),
		skipped:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "varve_write_skipped_total", Help: "Exemplars and metadata in write requests that were not kept: of unknown series, too long or too many."}, []string{"type"}),
	}
	for _, reason := range model.Reasons() {
		m.rejected.WithLabelValues(string(reason))
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.duration, m.inFlight, m.panics, m.series, m.samples, m.rejected, m.skipped,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_write_memory_bytes", Help: "Memory reserved by writes being received and decoded."},
				func() float64 { return float64(arriving.used.Load() + decoding.used.Load()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_write_waiting", Help: "Writes waiting for memory."},
				func() float64 { return float64(arriving.waiting.Load() + decoding.waiting.Load()) }))
	}
	return m
}

// begin counts a request in; the returned function counts it out.
func (m *metrics) begin() (done func(route string, code int, took time.Duration)) {
	m.inFlight.Inc()
	return func(route string, code int, took time.Duration) {
		m.inFlight.Dec()
		m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

func (m *metrics) received(r *remotewrite.Request) {
	m.series.Add(float64(len(r.Batch.Series)))
	m.skipped.WithLabelValues("exemplar").Add(float64(r.DroppedExemplars))
}

func (m *metrics) stored(r model.AppendResult) {
	m.samples.WithLabelValues("float").Add(float64(r.Samples))
	if r.Histograms > 0 {
		m.samples.WithLabelValues("histogram").Add(float64(r.Histograms))
	}
	if r.Exemplars > 0 {
		m.samples.WithLabelValues("exemplar").Add(float64(r.Exemplars))
	}
	m.skipped.WithLabelValues("exemplar").Add(float64(r.DroppedExemplars))
	m.skipped.WithLabelValues("metadata").Add(float64(r.DroppedMetadata))
	m.refused(r.Reasons)
}

func (m *metrics) refused(reasons map[model.Reason]int) {
	for reason, n := range reasons {
		m.rejected.WithLabelValues(string(reason)).Add(float64(n))
	}
}
