package verify

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// Limited is the bucket as a job of cfg could have filled it: samples of its range, and unless it changes labels only what its matchers match. What the bucket has beside must not make another answer of
// a query than the source gives, of which no more is read.
func Limited(q storage.Queryable, cfg *migrate.Config) storage.Queryable {
	l := &limited{q: q, r: model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}}
	if cfg.Range != nil {
		l.r = *cfg.Range
	}
	if len(cfg.Relabel) == 0 {
		l.ms = cfg.Matchers
	}
	return l
}

// limited implements storage.Queryable.
type limited struct {
	q  storage.Queryable
	r  model.TimeRange
	ms []*labels.Matcher
}

// Querier implements storage.Queryable.
func (l *limited) Querier(mint, maxt int64) (storage.Querier, error) {
	r := l.r.Intersect(model.TimeRange{MinMs: mint, MaxMs: maxt})
	if r.Empty() {
		return storage.NoopQuerier(), nil
	}
	q, err := l.q.Querier(r.MinMs, r.MaxMs)
	if err != nil {
		return nil, err
	}
	return &limitedQuerier{q, r, l.ms}, nil
}

// limitedQuerier implements storage.Querier.
type limitedQuerier struct {
	storage.Querier
	r  model.TimeRange
	ms []*labels.Matcher
}

// Select implements storage.Querier.
func (q *limitedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if hints != nil {
		h := *hints
		r := q.r.Intersect(model.TimeRange{MinMs: h.Start, MaxMs: h.End})
		if r.Empty() {
			return storage.EmptySeriesSet()
		}
		h.Start, h.End = r.MinMs, r.MaxMs
		hints = &h
	}
	return q.Querier.Select(ctx, sorted, hints, append(ms[:len(ms):len(ms)], q.ms...)...)
}
