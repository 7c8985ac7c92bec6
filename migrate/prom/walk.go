package prom

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdbindex "github.com/prometheus/prometheus/tsdb/index"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/model"
)

// blockWalk goes through a block for one reader, metric by metric: blocks of Prometheus are sorted by labels.Compare, where a label in capitals comes before the metric name,
// but series of one metric lie in our order. So it holds the labels of one series only; if they are renamed, see renamed.
type blockWalk struct {
	b       *Block
	r       model.TimeRange
	want    migrate.Want
	yield   func(model.Series, error) bool
	builder labels.ScratchBuilder
	chunks  []chunks.Meta
	decode  promchunk.Decoder
	scratch model.Columns
	n       int
}

// errEnough: the reader wants no more.
var errEnough = errors.New("enough")

func (w *blockWalk) walk(ctx context.Context) error {
	names, err := w.b.index.SortedLabelValues(ctx, index.MetricName, nil)
	if err != nil {
		return w.b.corrupt(err)
	}
	// Series without a metric name come first in our order; those are rare.
	key, value := tsdbindex.AllPostingsKey()
	all, err := w.b.index.Postings(ctx, key, value)
	if err != nil {
		return w.b.corrupt(err)
	}
	if err := w.metric(ctx, tsdbindex.Without(all, w.b.index.PostingsForAllLabelValues(ctx, index.MetricName))); err != nil {
		return err
	}
	for _, name := range names {
		p, err := w.b.index.Postings(ctx, index.MetricName, name)
		if err != nil {
			return w.b.corrupt(err)
		}
		if err := w.metric(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// metric yields the series of one metric.
func (w *blockWalk) metric(ctx context.Context, p tsdbindex.Postings) error {
	if w.b.opts.Rename != nil {
		return w.renamed(ctx, p)
	}
	var last labels.Labels
	for first := true; p.Next(); first = false {
		e, ok, err := w.entry(ctx, p.At())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if !first && labels.Compare(last, e.ls) >= 0 {
			return w.b.corrupt(fmt.Errorf("series %.200s stands behind %.200s: %w", e.ls, last, model.ErrCorrupt))
		}
		last = e.ls
		if err := w.hand(&blockSeries{w: w, parts: []entry{e}, loaded: true}); err != nil {
			return err
		}
	}
	return w.ended(p)
}

func (w *blockWalk) ended(p tsdbindex.Postings) error {
	if err := p.Err(); err != nil {
		return w.b.corrupt(err)
	}
	return nil
}

func (w *blockWalk) hand(s *blockSeries) error {
	if !w.yield(s, nil) {
		return errEnough
	}
	return nil
}

// entry is a series of the block that is wanted, under the labels that it is taken over with.
type entry struct {
	ref     storage.SeriesRef
	ls      labels.Labels
	replica string
}

// entry reads a series; not ok if it is not wanted, or damaged.
func (w *blockWalk) entry(ctx context.Context, ref storage.SeriesRef) (e entry, ok bool, err error) {
	if w.n++; w.n%1024 == 0 && ctx.Err() != nil {
		return e, false, ctx.Err()
	}
	if err := w.b.index.Series(ref, &w.builder, &w.chunks); err != nil {
		return e, false, w.b.skips.Add(migrate.Skip{Kind: "series", Where: w.b.name + "/index", Offset: int64(ref) * 16, Reason: err.Error()})
	}
	if !w.overlaps() {
		return e, false, nil
	}
	e = entry{ref: ref, ls: w.builder.Labels()}
	seen := e.ls
	if w.b.opts.Rename != nil {
		seen, e.ls, e.replica = w.b.opts.Rename(e.ls)
	}
	return e, w.want(seen), nil
}

func (w *blockWalk) overlaps() bool {
	return slices.ContainsFunc(w.chunks, func(c chunks.Meta) bool { return c.MinTime <= w.r.MaxMs && c.MaxTime >= w.r.MinMs })
}
