package ingester

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
)

// tablePartitions lists the partitions of a table that have samples, by tenant and day.
func tablePartitions(t *memtable.Table) (keys []partitionKey) {
	for _, d := range t.Days() {
		keys = append(keys, partitionKey{d.Tenant, d.Day})
	}
	return keys
}

// tableSeries yields the series of a partition as a block wants them.
func tableSeries(t *memtable.Table, key partitionKey) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		for ls, c := range t.Iterate(key.tenant, key.day) {
			if !yield(blocks.BuildSeries{Labels: ls, Columns: c}, nil) {
				return
			}
		}
	}
}

// blockSeries yields the series of a block as another block wants them.
func blockSeries(ctx context.Context, m *blocks.Meta, data []byte) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		sel, err := blocks.Select(ctx, blocks.Bytes(data), m, &blocks.Query{Range: m.Day.Range()})
		if err != nil {
			yield(blocks.BuildSeries{}, err)
			return
		}
		defer sel.Close()
		slices.SortFunc(sel.Series, func(a, b model.Series) int { return compareInBlock(a.Labels(), b.Labels()) })
		var c model.Columns
		for _, s := range sel.Series {
			c.Reset()
			err := s.Samples(&c, m.Day.Range())
			if !yield(blocks.BuildSeries{Labels: s.Labels(), Columns: &c}, err) || err != nil {
				return
			}
		}
	}
}

// compareInBlock is the order of series in a block: metric name, then labels.
func compareInBlock(a, b labels.Labels) int {
	const metricName = "__name__"
	return cmp.Or(cmp.Compare(a.Get(metricName), b.Get(metricName)), labels.Compare(a, b))
}

// nextAttempt are the parameters of the same block under another attempt number.
func nextAttempt(m *blocks.Meta, attempt uint32, nowMs int64) *blocks.Params {
	return &blocks.Params{
		Tenant: m.Tenant, Day: m.Day, Writer: m.Writer, Generation: m.Generation, Attempt: attempt, CreatedMs: nowMs,
	}
}
