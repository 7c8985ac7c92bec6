package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count what the caches of a process do.
type Metrics struct {
	memory, disk, parsed tierMetrics

	// parsedBytes tells what the Parsed holds: puts come into effect when it thinks fit.
	parsedBytes *atomic.Pointer[func() float64]

	copies           prometheus.Gauge
	copied, failures prometheus.Counter
	faults           *prometheus.CounterVec
}

// tierMetrics are those of one kind of cache.
type tierMetrics struct {
	hits, misses, evictions prometheus.Counter
	hitBytes                prometheus.Counter // nil for parsed
	bytes                   prometheus.Gauge   // nil for parsed
}

// NewMetrics registers them; a nil registerer takes none.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	name := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "varve", Subsystem: "cache", Name: name, Help: help}
	}
	counters := func(n, help string) *prometheus.CounterVec { return f.NewCounterVec(name(n, help), []string{"tier"}) }
	hits := counters("hits_total", "Ranges, and parsed objects, that were answered without the bucket, by tier: memory, disk or parsed.")
	misses := counters("misses_total", "Ranges, and parsed objects, that were looked for in vain.")
	hitBytes := counters("hit_bytes_total", "Bytes that hits would have read.")
	evictions := counters("evictions_total", "Entries that made room for others.")
	bytes := func(tier string) prometheus.GaugeOpts {
		o := prometheus.GaugeOpts(name("bytes", "Bytes that are held."))
		o.ConstLabels = prometheus.Labels{"tier": tier}
		return o
	}
	tier := func(t string) tierMetrics {
		m := tierMetrics{hits: hits.WithLabelValues(t), misses: misses.WithLabelValues(t), evictions: evictions.WithLabelValues(t)}
		if t != "parsed" {
			m.hitBytes, m.bytes = hitBytes.WithLabelValues(t), f.NewGauge(bytes(t))
		}
		return m
	}
	parsed := &atomic.Pointer[func() float64]{}
	f.NewGaugeFunc(bytes("parsed"), func() float64 {
		if held := parsed.Load(); held != nil {
			return (*held)()
		}
		return 0
	})
	return &Metrics{
		parsedBytes: parsed,
		memory:      tier("memory"), disk: tier("disk"), parsed: tier("parsed"),
		copies:   f.NewGauge(prometheus.GaugeOpts(name("copies", "Blocks of which there is a local copy."))),
		copied:   f.NewCounter(name("copied_bytes_total", "Bytes that were read from the bucket to make local copies.")),
		failures: f.NewCounter(name("copy_failures_total", "Copies that could not be made.")),
		faults:   f.NewCounterVec(name("faults_total", "Local copies that were dropped, by reason: damaged, vanished or unreadable."), []string{"reason"}),
	}
}

func (m *tierMetrics) hit(n int, bytes int64) {
	m.hits.Add(float64(n))
	if m.hitBytes != nil {
		m.hitBytes.Add(float64(bytes))
	}
}

func (m *tierMetrics) missed(n int)     { m.misses.Add(float64(n)) }
func (m *tierMetrics) evicted()         { m.evictions.Inc() }
func (m *tierMetrics) size(bytes int64) { m.bytes.Set(float64(bytes)) }
