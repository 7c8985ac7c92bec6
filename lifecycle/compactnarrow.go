package lifecycle

import (
	"context"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
)

// A day of many series is several parquet blocks, each some metrics, and what comes late for it may be of few. compactOf leaves those alone that late data
// has nothing to do with: they are not read, not written again, and stay live as they are.
//
// Nothing but work depends on which metrics those are. A compaction may leave out any of its inputs that no other of them lies below: what stays behind was below
// the others before, and is so after they have risen. If it did share series with what was merged, a reader would merge them as it does now.

// compactOf returns the part of a planned compaction that is worth the work: a few requests a block tell which metrics there are. What cannot be read is
// left to the compaction itself, which says whose fault it is.
func (l *Lifecycle) compactOf(ctx context.Context, m *Merge) *Merge {
	if len(m.Inputs)-hotInputs(m.Inputs) < 2 {
		return m
	}
	metrics := func(e *catalog.Entry) ([]string, error) {
		return blocks.LabelValues(ctx, blocks.Stored{Bucket: l.c.Bucket}, e.Meta, index.MetricName, nil, nil)
	}
	var spans metricSpans
	for i := range m.Inputs {
		if e := &m.Inputs[i]; e.Format != blocks.Native {
			names, err := metrics(e)
			if err != nil || len(names) == 0 {
				return m
			}
			spans = append(spans, metricSpan{id: e.ID, first: names[0], last: names[len(names)-1]})
		}
	}
	for i := range m.Inputs {
		// Of the names those of one block are held at a time.
		if e := &m.Inputs[i]; e.Format == blocks.Native && spans.idle() > 0 {
			names, err := metrics(e)
			if err != nil {
				return m
			}
			spans.touch(names)
		}
	}
	return m.without(spans)
}

func hotInputs(inputs []catalog.Entry) (n int) {
	for i := range inputs {
		if inputs[i].Format == blocks.Native {
			n++
		}
	}
	return n
}

// metricSpan are the first and the last metric of a parquet block, and whether late data has to do with them.
type metricSpan struct {
	id, first, last string
	touched         bool
}

type metricSpans []metricSpan

// touch marks the blocks that the metrics belong to: those whose span has one, and for one that is in no span the block with the
// last span before it, or else the first, so that no block is made of what lies between.
func (all metricSpans) touch(metrics []string) {
	for _, name := range metrics {
		within, before, first := false, -1, 0
		for i, s := range all {
			switch {
			case s.first > name:
				if s.first < all[first].first {
					first = i
				}
			case name <= s.last:
				all[i].touched, within = true, true
			case before < 0 || s.last > all[before].last:
				before = i
			}
		}
		switch {
		case within:
		case before >= 0:
			all[before].touched = true
		default:
			all[first].touched = true
		}
	}
}

// idle is how many are not touched.
func (all metricSpans) idle() (n int) {
	for _, s := range all {
		if !s.touched {
			n++
		}
	}
	return n
}

func (all metricSpans) isIdle(id string) bool {
	for _, s := range all {
		if s.id == id {
			return !s.touched
		}
	}
	return false
}

// without returns the compaction without the parquet blocks that are not touched and may stay behind: those of the lowest order, then those of the next as long
// as all below stay behind.
func (m *Merge) without(spans metricSpans) *Merge {
	if len(spans) == spans.idle() {
		return m // nothing is late
	}
	out := &Merge{Format: m.Format, Bytes: m.Bytes}
	for _, e := range m.Inputs {
		lowest := len(out.Inputs) == 0 || out.Inputs[0].Order == e.Order
		if lowest && spans.isIdle(e.ID) {
			out.Bytes -= e.Size
			continue
		}
		out.Inputs = append(out.Inputs, e)
	}
	return out
}
