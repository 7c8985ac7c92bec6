package ingester

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/model"
)

// metrics are what an ingester counts. They exist unregistered too, so that nothing has to ask.
type metrics struct {
	registerer prometheus.Registerer

	samples, refused            prometheus.Counter
	rejected                    *prometheus.CounterVec
	appendSeconds               prometheus.Histogram
	rotations, replayed, fenced prometheus.Counter
	shippedBytes, builtBytes    prometheus.Counter
	committed                   prometheus.Counter
	failures                    *prometheus.CounterVec
	fsyncSeconds                prometheus.Histogram
	stepSeconds                 *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "varve", Subsystem: "ingester", Name: name, Help: help})
	}
	return &metrics{
		registerer: r,
		samples:    counter("samples_total", "Samples acknowledged, duplicates included."),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "varve", Subsystem: "ingester", Name: "rejected_samples_total",
			Help: "Samples refused for good, within requests that were otherwise accepted.",
		}, []string{"reason"}),
		refused: counter("refused_requests_total", "Requests of which nothing was acknowledged."),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "varve", Subsystem: "ingester", Name: "append_seconds", Help: "Time from request to durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		rotations:    counter("rotations_total", "Generations ended."),
		replayed:     counter("replayed_samples_total", "Samples replayed from the log at start."),
		fenced:       counter("fenced_total", "Times this writer found itself adopted."),
		shippedBytes: counter("shipped_bytes_total", "Bytes of log copied to the bucket."),
		builtBytes:   counter("built_bytes_total", "Bytes of blocks written to the data directory."),
		committed:    counter("committed_blocks_total", "Blocks found or put in their catalogs."),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "varve", Subsystem: "ingester", Name: "step_failures_total", Help: "Steps that failed and are tried again.",
		}, []string{"step"}),
		fsyncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "varve", Subsystem: "ingester", Name: "log_fsync_seconds", Help: "Time of one fsync of a log segment.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14),
		}),
		stepSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "varve", Subsystem: "ingester", Name: "step_seconds", Help: "Time of background steps that got something done or failed.",
			Buckets: prometheus.ExponentialBuckets(0.005, 3, 10),
		}, []string{"step"}),
	}
}

// watch registers the counters, and gauges that look at the ingester.
func (m *metrics) watch(i *Ingester) {
	if m.registerer == nil {
		return
	}
	for _, reason := range model.Reasons() {
		m.rejected.WithLabelValues(string(reason))
	}
	for _, step := range []string{troubleEnter, troubleFence, troubleAdopt, troubleRotate, troubleBuild, troubleShip, troubleCommit, troubleRelease, troubleTenant} {
		m.failures.WithLabelValues(step)
	}
	m.registerer.MustRegister(m.samples, m.rejected, m.refused, m.appendSeconds, m.rotations, m.replayed, m.fenced,
		m.shippedBytes, m.builtBytes, m.committed, m.failures, m.fsyncSeconds, m.stepSeconds)
	for _, c := range []struct {
		name, help string
		value      func(a arrivals) int64
	}{
		{"out_of_order_samples_total", "Samples that came after a later one of their series.", func(a arrivals) int64 { return a.outOfOrder }},
		{"duplicate_samples_total", "Samples that were there already with the same value.", func(a arrivals) int64 { return a.duplicates }},
		{"overwritten_samples_total", "Samples that took the place of another value at the same time.", func(a arrivals) int64 { return a.overwritten }},
	} {
		m.registerer.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Namespace: "varve", Subsystem: "ingester", Name: c.name, Help: c.help},
			func() float64 { return float64(c.value(i.arrivals())) }))
	}
	for _, g := range []struct {
		name, help string
		value      func(s *Status) float64
	}{
		{"memory_bytes", "Bytes held by memtables.", func(s *Status) float64 { return float64(s.MemoryBytes) }},
		{"names_bytes", "Bytes of memory_bytes that hold the names of series, which generations share.", func(s *Status) float64 { return float64(s.NamesBytes) }},
		{"in_flight_bytes", "Bytes of requests being written.", func(s *Status) float64 { return float64(s.InFlightBytes) }},
		{"unshipped_bytes", "About the bytes of log that are not in the bucket.", func(s *Status) float64 { return float64(s.UnshippedBytes) }},
		{"log_bytes", "Bytes of the local log.", func(s *Status) float64 { return float64(s.LogBytes) }},
		{"disk_bytes", "Bytes of log and blocks in the data directory.", func(s *Status) float64 { return float64(s.DiskBytes) }},
		{"disk_limit_bytes", "How many of them there may be until writes are refused, 0 for no limit.", func(s *Status) float64 { return float64(s.DiskLimit) }},
		{"generations", "Generations that are not released.", func(s *Status) float64 { return float64(len(s.Generations)) }},
		{"active_series", "Series of the active generation.", func(s *Status) float64 { return float64(s.Generations[len(s.Generations)-1].Series) }},
		{"uncommitted_block_bytes", "Bytes of local blocks that are not in the catalog.", (*Status).uncommitted},
		{"ready", "1 while writes are accepted.", (*Status).ready},
	} {
		m.registerer.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "varve", Subsystem: "ingester", Name: g.name, Help: g.help},
			func() float64 { s := i.Status(); return g.value(&s) }))
	}
}

func (s *Status) uncommitted() float64 {
	var n int64
	for _, g := range s.Generations {
		for _, b := range g.Days {
			if !b.Committed {
				n += b.Size
			}
		}
	}
	return float64(n)
}

func (s *Status) ready() float64 {
	if s.NotReady == "" {
		return 1
	}
	return 0
}

// appended counts one request.
func (m *metrics) appended(r *model.AppendResult, err error, took time.Duration) {
	if err != nil {
		if !errors.Is(err, model.ErrInvalid) {
			m.refused.Inc()
		}
		return
	}
	m.samples.Add(float64(r.Samples + r.Histograms))
	for reason, n := range r.Reasons {
		m.rejected.WithLabelValues(string(reason)).Add(float64(n))
	}
	m.appendSeconds.Observe(took.Seconds())
}
