package main

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// workloadOptions shape the generated load.
type workloadOptions struct {
	seed             int64
	targets, metrics int
	batch            int
	span, interval   time.Duration
	// churn is the share of the targets that restart in an hour.
	churn float64
	// Queries are over the end of the load.
	querySpan, queryStep time.Duration
	// wire is how requests are encoded.
	wire *wireForm
}

func (o *workloadOptions) scrapes() int { return int(o.span / o.interval) }

// staleBits is the NaN by which Prometheus marks the end of a series.
const staleBits = 0x7ff0000000000002

// queries are those of dashboards. Those over days have windows and steps to match.
func (o *workloadOptions) queries() []query {
	window := "[5m]"
	if o.querySpan > 24*time.Hour {
		window = "[1h]"
	}
	requests, percent := metricRequests+window, metricPercent+window
	all := []query{
		{name: "sum by (rate)", expr: "sum by (region, code) (rate(" + requests + "))"},
		{name: "histogram_quantile", expr: "histogram_quantile(0.99, sum by (le, job) (rate(" + metricLatency + "_bucket" + window + ")))"},
		{name: "topk(rate)", expr: "topk(10, rate(" + requests + "))"},
		{name: "max_over_time", expr: "max by (region) (max_over_time(" + percent + "))"},
		{name: "avg_over_time", expr: "sum by (region) (avg_over_time(" + percent + "))"},
	}
	for i := range all {
		all[i].name += ", " + short(o.querySpan)
		all[i].span, all[i].step = o.querySpan, o.queryStep
	}
	return all
}

// short is a duration without parts that are zero.
func short(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}

// generatedLoad makes the workload. Each series has one sender, so its samples are sent in order of time.
func generatedLoad(o *workloadOptions, senders int, now time.Time) *load {
	l := &load{
		name: fmt.Sprintf("generated, %d targets × %d series, %s at %s, %g %% of the targets restart in an hour, seed %d",
			o.targets, o.metrics, o.span, o.interval, o.churn*100, o.seed),
		metric:  metricPercent,
		queries: o.queries(),
	}
	begin := now.Add(-time.Duration(o.scrapes()) * o.interval).UnixMilli()
	l.from, l.to = begin, now.UnixMilli()
	made := make([]*encoder, senders)
	restarts := make([]int64, senders)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() { made[i], restarts[i] = generateSender(o, i, senders, begin) })
	}
	wg.Wait()
	l.series = int64(o.targets * o.metrics)
	for i, e := range made {
		l.add(e.requests)
		l.series += restarts[i] * int64(o.metrics)
	}
	return l
}

func generateSender(o *workloadOptions, sender, senders int, begin int64) (e *encoder, restarts int64) {
	e = &encoder{batch: o.batch, wire: newWireEncoder(o.wire)}
	var targets []*target
	for n := sender; n < o.targets; n += senders {
		targets = append(targets, newTarget(o, n))
	}
	restart := o.churn * o.interval.Hours()
	for scrape := range o.scrapes() {
		for _, t := range targets {
			at := begin + int64(scrape)*o.interval.Milliseconds() + t.offset
			if old := t.scrape(o, restart); old != nil && scrape > 0 {
				for i := range old {
					e.series(old[i].labels, sample{at, math.Float64frombits(staleBits)})
				}
				restarts++
			}
			for i := range t.series {
				e.series(t.series[i].labels, sample{at, t.series[i].next()})
			}
		}
		if len(targets)*o.metrics <= o.batch {
			e.cut() // no request has two samples of a series
		}
	}
	e.cut()
	return e, restarts
}
