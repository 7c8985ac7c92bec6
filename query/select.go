package query

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// FuncSeries is the hint of calls that want labels only. They get series without samples.
const FuncSeries = "series"

// Select implements storage.Querier. The series are sorted whether asked for or not: the order in
// which an aggregation sums is part of the answer. The reading starts at once and beside others; the set waits for it.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.choose(ctx, hints, model.HideReserved(matchers))
}

// choose is Select, which reserved series can be asked of too.
func (q *querier) choose(ctx context.Context, hints *storage.SelectHints, matchers []*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{done: make(chan struct{}), r: q.r, q: q}
	limit, lookbackMs := 0, lookbackOf(ctx)
	if hints != nil {
		set.r = set.r.Intersect(model.TimeRange{MinMs: hints.Start, MaxMs: hints.End})
		set.points = pointsOf(hints, lookbackMs)
		limit = hints.Limit
	}
	set.rolling.purpose = purposeOf(hints, lookbackMs)
	asked := ResolutionOf(ctx)
	ctx, end, err := q.begin(ctx)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	q.q.metrics.selects.Inc()
	t := q.expect() // here, so that selections begun together wait for one another
	go func() {
		defer end()
		defer close(set.done)
		g, err := q.gather(ctx, q.selection(set.r, set.rolling.purpose, asked, matchers), t)
		if err != nil {
			set.err = q.failure(ctx, err)
			return
		}
		q.hold(g.answers)
		set.warnings, set.infos, set.windows = g.warnings, g.infos, g.windows
		set.merger, set.left = newMerger(g.answers), limit
		set.limited = limit > 0
	}()
	return set
}

// selection is the question for series.
func (q *querier) selection(r model.TimeRange, p purpose, asked Resolution, matchers []*labels.Matcher) *question {
	return &question{
		r: r, purpose: p, asked: asked,
		source: func(ctx context.Context, tenant string, s model.Source) (*answer, error) {
			sel, err := s.Select(ctx, tenant, r, matchers)
			if err == nil {
				err = q.charge(sel)
			}
			if err != nil {
				return nil, err
			}
			return &answer{selection: sel, warnings: sel.Warnings}, nil
		},
		block: func(ctx context.Context, b liveBlock) (*answer, error) {
			return q.selectBlock(ctx, b, r, p, matchers)
		},
	}
}

// selectBlock answers from one block.
func (q *querier) selectBlock(ctx context.Context, b liveBlock, r model.TimeRange, p purpose, matchers []*labels.Matcher) (*answer, error) {
	masks, err := catalog.BlockMasks(b.tombstones)
	if err != nil {
		return nil, err
	}
	bq := &blocks.Query{Range: r, Matchers: matchers, Speculation: q.budget, LabelsOnly: p.use == useLabels, Masks: masks, Stats: &q.account.selected}
	if b.wide != (model.TimeRange{}) {
		bq.Range = b.wide
	}
	if b.Format.ResolutionMs() > 0 {
		return q.selectWindows(ctx, b, p.use, bq)
	}
	sel, err := blocks.Select(ctx, q.q.c.Blocks, b.Meta, bq)
	if err != nil {
		return nil, err
	}
	if b.heldMs > 0 {
		for i, s := range sel.Series {
			sel.Series[i] = &rolledSeries{s, b.heldMs}
		}
	}
	return &answer{selection: sel, warnings: sel.Warnings}, nil
}

// seriesSet implements storage.SeriesSet over an answer that may still be on its way. Not for concurrent use.
type seriesSet struct {
	r model.TimeRange
	q *querier
	// points is what whoever reads by iterators makes of a series.
	points  int64
	rolling rolling
	done    chan struct{} // closed when the fields below are set
	err     error

	warnings []string
	infos    []error
	windows  bool // some parts of series are windows
	merger   *merger
	limited  bool
	left     int

	at *series
}

func (s *seriesSet) Next() bool {
	<-s.done
	if s.err != nil || s.limited && s.left == 0 {
		return false
	}
	ls, parts := s.merger.next()
	if parts == nil {
		return false
	}
	s.left--
	s.at = &series{labels: ls, r: s.r, q: s.q, points: s.points}
	if s.rolling.purpose.use == useLabels {
		return true // no samples, as in Prometheus: blocks were asked for names alone
	}
	s.at.parts = parts
	if s.windows {
		s.at.rolling = &s.rolling
	}
	return true
}

func (s *seriesSet) At() storage.Series { return s.at }

func (s *seriesSet) Err() error {
	<-s.done
	return s.err
}

func (s *seriesSet) Warnings() annotations.Annotations {
	<-s.done
	return annotate(s.warnings, s.infos...)
}

func annotate(warnings []string, infos ...error) annotations.Annotations {
	var a annotations.Annotations
	for _, w := range warnings {
		a.Add(errors.New(w))
	}
	for _, info := range infos {
		a.Add(info)
	}
	return a
}

// series implements storage.Series.
type series struct {
	labels labels.Labels
	parts  []model.Series
	r      model.TimeRange
	q      *querier // nil for nobody who counts
	points int64
	// rolling is for series some parts of which may be windows, else nil.
	rolling *rolling
}

// decode appends the samples of all parts to dst, ascending.
func (s *series) decode(dst, scratch *model.Columns) error {
	if s.rolling != nil {
		return s.rolling.decode(dst, scratch, s.parts, s.r, s.q.excuse)
	}
	return decode(dst, scratch, s.parts, s.r, s.q.excuse)
}

func (s *series) Labels() labels.Labels { return s.labels }

// Columns implements columnar.Decoder. Where dst.H is not nil afterwards there is a native histogram, and V means nothing.
func (s *series) Columns(dst *model.Columns) error {
	var scratch model.Columns
	if err := s.decode(dst, &scratch); err != nil {
		return fmt.Errorf("decode %s: %w", s.labels, err)
	}
	if s.q != nil {
		if err := s.q.decoded(dst.Len()); err != nil {
			return err
		}
	}
	for i, h := range dst.H {
		if h == nil {
			continue
		}
		rich, err := decodeRich(h)
		if err != nil {
			return fmt.Errorf("%s at %s: %w", s.labels, utc(dst.T[i]), err)
		}
		if rich.isHistogram() {
			return nil
		}
		dst.V[i] = rich.value
	}
	dst.H = nil
	return nil
}

// Iterator reuses the memory of an iterator of ours.
func (s *series) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	i, ok := it.(*iterator)
	if !ok {
		i = &iterator{}
	}
	i.reset(s)
	return i
}
