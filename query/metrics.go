package query

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics count what queries touch. What they fetch is counted by the bucket.
type metrics struct {
	selects, labelCalls, blocks, replans, damaged prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Namespace: "varve", Subsystem: "query", Name: name, Help: help})
	}
	return &metrics{
		selects:    counter("selects_total", "Selectors answered, by queries and series calls."),
		labelCalls: counter("label_calls_total", "Calls for label names and values."),
		blocks:     counter("blocks_touched_total", "Blocks that selectors and label calls looked into."),
		replans:    counter("replans_total", "Times that a selector planned anew because a block had gone."),
		damaged:    counter("damaged_total", "Blocks, or parts of them, that were left out of partial answers because they are damaged or missing."),
	}
}
