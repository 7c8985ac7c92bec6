package columnar

import (
	"context"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// queryable is the storage of one query as the engine sees it.
type queryable struct {
	storage.Queryable
	work *work // nil as long as there are no parts
}

// Querier implements storage.Queryable. Its range is that of the whole query, which the engine no longer knows.
func (q *queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	if q.work == nil {
		return q.Queryable.Querier(mint, maxt)
	}
	inner, err := q.Queryable.Querier(q.work.minMs, q.work.maxMs)
	if err != nil {
		return nil, err
	}
	return &querier{Querier: inner, work: q.work}, nil
}

// querier answers the selectors that stand for parts; others go through.
type querier struct {
	storage.Querier
	work *work
}

// Select implements storage.Querier. The storage begins to read at once, the evaluation begins with the first Next.
func (q *querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var p *part
	if len(matchers) == 1 {
		p = q.work.parts[matchers[0]]
	}
	if p == nil {
		return q.Querier.Select(ctx, sorted, hints, matchers...)
	}
	h := *p.hints
	inner := q.Querier.Select(ctx, sorted, &h, p.selector.LabelMatchers...)
	return &answer{ctx: ctx, work: q.work, part: p, inner: inner, at: -1}
}

// answer implements storage.SeriesSet: what a part evaluates to.
type answer struct {
	ctx   context.Context //nolint:containedctx // it is that of the Select, and the evaluation is a part of that
	work  *work
	part  *part
	inner storage.SeriesSet

	begun    bool
	results  []result
	warnings annotations.Annotations
	at       int
}

// Next implements storage.SeriesSet.
func (a *answer) Next() bool {
	if !a.begun {
		a.begun = true
		a.evaluate()
	}
	a.at++
	return a.at < len(a.results)
}

func (a *answer) evaluate() {
	e := &evaluation{part: a.part, grid: a.work.grid, meter: &a.work.meter}
	results, err := e.run(a.ctx, a.inner)
	a.warnings.Merge(a.inner.Warnings())
	a.warnings.Merge(e.annotations)
	switch {
	case a.inner.Err() != nil:
	case err != nil:
		a.work.err = err
	default:
		a.finish(e, results)
	}
}

// finish hands the results to the engine, or makes those of the query of them.
func (a *answer) finish(e *evaluation, results []result) {
	points := pointsOf(results)
	if w := a.work.whole; w != nil {
		a.work.value, a.work.err = w.value(a.ctx, results, points)
		if a.work.err != nil {
			return
		}
	}
	if a.work.value != nil {
		a.work.stats.UpdatePeak(int(points))
		a.account(e, 0)
		return
	}
	a.results = results
	a.account(e, points)
}

func pointsOf(results []result) (n int64) {
	for _, r := range results {
		for _, f := range r.values {
			if !isAbsent(f) {
				n++
			}
		}
	}
	return n
}

// account counts what was done, as the engine would have; the points that are handed to it it will count itself, and should not.
func (a *answer) account(e *evaluation, handed int64) {
	for _, shape := range a.part.shapes() {
		a.work.engine.metrics.shapes.WithLabelValues(shape).Inc()
	}
	s := a.work.stats
	s.IncrementSamplesAtStep(0, e.samples-handed)
	s.IncrementSamplesReadAtStep(0, e.fresh-handed)
	s.UpdatePeak(int(a.work.meter.peak.Load()))
}

// At implements storage.SeriesSet.
func (a *answer) At() storage.Series {
	return &resultSeries{result: a.results[a.at], grid: a.work.grid}
}

// Err implements storage.SeriesSet.
func (a *answer) Err() error {
	if err := a.inner.Err(); err != nil {
		return err
	}
	return a.work.err
}

// Warnings implements storage.SeriesSet.
func (a *answer) Warnings() annotations.Annotations { return a.warnings }

// resultSeries implements storage.Series: a sample at each step, a staleness marker where there is no value.
type resultSeries struct {
	result
	grid grid
}

// Labels implements storage.Series.
func (r *resultSeries) Labels() labels.Labels { return r.labels }

// Iterator implements storage.Series.
func (r *resultSeries) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	i, ok := it.(*resultIterator)
	if !ok {
		i = &resultIterator{}
	}
	*i = resultIterator{series: r, at: r.from - 1}
	return i
}

// resultIterator implements chunkenc.Iterator. One marker follows the last value.
type resultIterator struct {
	series *resultSeries
	at     int // step
}

func (i *resultIterator) valueType() chunkenc.ValueType {
	if r := i.series; i.at >= r.grid.n || i.at > r.from+len(r.values) {
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

// Next implements chunkenc.Iterator.
func (i *resultIterator) Next() chunkenc.ValueType {
	if i.at < i.series.grid.n {
		i.at++
	}
	return i.valueType()
}

// Seek implements chunkenc.Iterator.
func (i *resultIterator) Seek(t int64) chunkenc.ValueType { //nolint:govet // the name is the interface's, not io.Seeker's
	g := i.series.grid
	i.at = max(i.at, i.series.from)
	if t > g.startMs {
		i.at = max(i.at, int(min((t-g.startMs+g.stepMs-1)/g.stepMs, int64(g.n))))
	}
	return i.valueType()
}

// At implements chunkenc.Iterator.
func (i *resultIterator) At() (int64, float64) {
	if n := i.at - i.series.from; n < len(i.series.values) {
		return i.AtT(), i.series.values[n]
	}
	return i.AtT(), absent
}

// AtT implements chunkenc.Iterator.
func (i *resultIterator) AtT() int64 { return i.series.grid.startMs + int64(i.at)*i.series.grid.stepMs }

// AtST implements chunkenc.Iterator.
func (*resultIterator) AtST() int64 { return 0 }

// AtHistogram implements chunkenc.Iterator.
func (*resultIterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	panic("columnar: a result is no histogram")
}

// AtFloatHistogram implements chunkenc.Iterator.
func (*resultIterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	panic("columnar: a result is no histogram")
}

// Err implements chunkenc.Iterator.
func (*resultIterator) Err() error { return nil }
