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
	// only, if not nil, is the one metric whose series are wanted; scans is how often that was needed.
	only  *string
	scans int
}

// errEnough: the reader wants no more.
var errEnough = errors.New("enough")

func (w *blockWalk) walk(ctx context.Context) error {
	names, err := w.b.index.SortedLabelValues(ctx, index.MetricName, nil)
	if err != nil {
		return w.damaged(ctx, err, false, "the block is left out")
	}
	// Series without a metric name come first in our order; those are rare.
	if err := w.named(ctx, ""); err != nil {
		return err
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := w.named(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// named yields the series of the metric, "" for those of none. If their list is damaged they are found in that of all series.
func (w *blockWalk) named(ctx context.Context, name string) error {
	p, err := w.postings(ctx, name)
	if err == nil {
		return w.metric(ctx, p)
	}
	what := fmt.Sprintf("the series of metric %.200q", name)
	if name == "" {
		what = "those without a metric name"
	}
	if w.scans++; w.scans > maxScans {
		return w.damaged(ctx, err, false, what+" are left out")
	}
	if err := w.damaged(ctx, err, true, what+" are looked for among all series"); err != nil {
		return err
	}
	key, value := tsdbindex.AllPostingsKey()
	if p, err = w.b.index.Postings(ctx, key, value); err != nil {
		return w.damaged(ctx, err, false, what+" are left out")
	}
	w.only = &name
	defer func() { w.only = nil }()
	return w.metric(ctx, p)
}

// maxScans is how often all series are gone through for those of one metric.
const maxScans = 16

func (w *blockWalk) postings(ctx context.Context, name string) (tsdbindex.Postings, error) {
	if name != "" {
		return w.b.index.Postings(ctx, index.MetricName, name)
	}
	key, value := tsdbindex.AllPostingsKey()
	all, err := w.b.index.Postings(ctx, key, value)
	if err != nil {
		return nil, err
	}
	with := w.b.index.PostingsForAllLabelValues(ctx, index.MetricName)
	return tsdbindex.Without(all, with), with.Err() // of an error Without would make a list of all series
}

// damaged notes a list of the index that does not decode, unless it is the reader who ended.
func (w *blockWalk) damaged(ctx context.Context, err error, redundant bool, what string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.b.skips.Add(migrate.Skip{Kind: "index", Where: w.b.name + "/index", Reason: fmt.Sprintf("%v; %s", err, what), Redundant: redundant})
}

// metric yields the series of one metric.
func (w *blockWalk) metric(ctx context.Context, p tsdbindex.Postings) error {
	if w.b.opts.Rename != nil {
		return w.renamed(ctx, p)
	}
	var last labels.Labels
	for first := true; p.Next(); {
		e, ok, err := w.entry(ctx, p.At())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if !first && labels.Compare(last, e.ls) >= 0 {
			err := w.b.skips.Add(migrate.Skip{
				Kind: "series", Where: w.b.name + "/index", Offset: int64(e.ref) * 16, Reason: fmt.Sprintf("%.200s stands behind %.200s", e.ls, last),
			})
			if err != nil {
				return err
			}
			continue
		}
		first, last = false, e.ls
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
	if w.only != nil && e.ls.Get(index.MetricName) != *w.only {
		return e, false, nil
	}
	seen := e.ls
	if w.b.opts.Rename != nil {
		seen, e.ls, e.replica = w.b.opts.Rename(e.ls)
	}
	return e, w.want(seen), nil
}

func (w *blockWalk) overlaps() bool {
	return slices.ContainsFunc(w.chunks, func(c chunks.Meta) bool { return c.MinTime <= w.r.MaxMs && c.MaxTime >= w.r.MinMs })
}
