package lifecycle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The kinds of jobs, in metrics and claims.
const (
	jobMerge   = "merge"
	jobCompact = "compact"
	jobErase   = "erase"
	jobRollup  = "rollup"
	jobForget  = "forget"
	jobCollect = "collect"
	// jobRetention also bears the claim under which a partition's retention is done.
	jobRetention = "retention"
	jobOrphans   = "orphans"
)

// metrics are what a worker counts. They exist unregistered too, so that nothing has to ask.
type metrics struct {
	jobs                               *prometheus.CounterVec
	failures                           prometheus.Counter
	inputBytes, outputBytes, samples   *prometheus.CounterVec
	collected, orphans, segments       prometheus.Counter
	expired, expiredBytes, masked      prometheus.Counter
	deletedObjects                     prometheus.Counter
	jobSeconds, lookSeconds            prometheus.Histogram
	partitions, mostBlocks, quarantine prometheus.Gauge
	snapshots, oldestSnapshot          prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "varve", Subsystem: "lifecycle", Name: name, Help: help})
	}
	byJob := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "varve", Subsystem: "lifecycle", Name: name, Help: help}, []string{"job"})
		c.WithLabelValues(jobMerge)
		c.WithLabelValues(jobCompact)
		c.WithLabelValues(jobErase)
		c.WithLabelValues(jobRollup)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "varve", Subsystem: "lifecycle", Name: name, Help: help})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "varve", Subsystem: "lifecycle", Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.05, 2, 14),
		})
	}
	m := &metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "varve", Subsystem: "lifecycle", Name: "jobs_total",
			Help: "Jobs by kind and result: done, lost (to another worker or a newer state), quarantined (inputs were put aside), failed (is tried again).",
		}, []string{"job", "result"}),
		failures:       counter("failures_total", "Partitions, or looks at the whole bucket, that failed and are tried again."),
		inputBytes:     byJob("merge_input_bytes_total", "Bytes of blocks that were merged, by kind: merge (to hot blocks), compact (to parquet), erase (one block without what was deleted) or rollup (5m and 1h windows of a day)."),
		outputBytes:    byJob("merge_output_bytes_total", "Bytes of blocks made by merges, by kind."),
		samples:        byJob("merge_samples_total", "Samples read by merges that were committed, by kind."),
		collected:      counter("collected_blocks_total", "Retired blocks whose objects were deleted."),
		orphans:        counter("orphan_blocks_total", "Blocks that no catalog named and whose objects were deleted."),
		segments:       counter("deleted_segments_total", "Shipped segments of released generations that were deleted."),
		expired:        counter("expired_blocks_total", "Blocks that were retired because all their samples had expired."),
		expiredBytes:   counter("expired_bytes_total", "Bytes of the blocks that were retired because all their samples had expired."),
		masked:         counter("expired_partitions_total", "Times that series of a partition were masked because they had expired and others had not."),
		deletedObjects: counter("deleted_tenant_objects_total", "Objects of deleted tenants that were deleted."),
		jobSeconds:     seconds("job_seconds", "Time of a job that was committed."),
		lookSeconds:    seconds("look_seconds", "Time of one look at all partitions, jobs included."),
		partitions:     gauge("partitions", "Partitions in the bucket at the last look."),
		mostBlocks:     gauge("most_hot_blocks", "Live hot blocks of the partition that has most of them, at the last look."),
		quarantine:     gauge("quarantined_blocks", "Quarantined blocks of all partitions at the last look; varve inspect names them."),
		snapshots:      gauge("snapshots", "Snapshots of all tenants at the last look. Each keeps the blocks that it names."),
		oldestSnapshot: gauge("oldest_snapshot_age_seconds", "Age of the oldest snapshot at the last look, 0 if there is none."),
	}
	for _, result := range []string{resultDone, resultLost, resultQuarantined, resultFailed} {
		m.jobs.WithLabelValues(jobMerge, result)
		m.jobs.WithLabelValues(jobCompact, result)
		m.jobs.WithLabelValues(jobErase, result)
		m.jobs.WithLabelValues(jobRollup, result)
		if result != resultQuarantined {
			m.jobs.WithLabelValues(jobCollect, result)
			m.jobs.WithLabelValues(jobRetention, result)
			m.jobs.WithLabelValues(jobOrphans, result)
		}
	}
	if r != nil {
		r.MustRegister(m.jobs, m.failures, m.inputBytes, m.outputBytes, m.samples, m.collected, m.expired, m.expiredBytes, m.masked, m.deletedObjects, m.orphans, m.segments, m.jobSeconds, m.lookSeconds, m.partitions, m.mostBlocks, m.quarantine, m.snapshots, m.oldestSnapshot)
	}
	return m
}

func (m *metrics) merged(kind string, in, out, samples int64, took time.Duration) {
	m.inputBytes.WithLabelValues(kind).Add(float64(in))
	m.outputBytes.WithLabelValues(kind).Add(float64(out))
	m.samples.WithLabelValues(kind).Add(float64(samples))
	m.jobSeconds.Observe(took.Seconds())
}

func (m *metrics) looked(all map[string]*seen, took time.Duration) {
	most, quarantined := 0, 0
	for _, s := range all {
		most = max(most, s.hot)
		quarantined += s.quarantined
	}
	m.partitions.Set(float64(len(all)))
	m.mostBlocks.Set(float64(most))
	m.quarantine.Set(float64(quarantined))
	m.lookSeconds.Observe(took.Seconds())
}

// kept tells of the snapshots that the roots name which were read.
func (m *metrics) kept(tenants map[string]*tenantSeen, nowMs int64) {
	n, oldest := 0, nowMs
	for _, t := range tenants {
		if t.root == nil {
			continue
		}
		n += len(t.root.Snapshots)
		for _, s := range t.root.Snapshots {
			oldest = min(oldest, s.CreatedMs)
		}
	}
	m.snapshots.Set(float64(n))
	m.oldestSnapshot.Set(float64(nowMs-oldest) / 1000)
}
