package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// SourceQueryable is the source, as a job would take it over, behind Prometheus' interface for selectors: what an engine needs, and nothing for label calls. Each selection is read
// from the source and held in memory; one that is larger than the bound is refused.
type SourceQueryable struct {
	cfg      migrate.Config
	c        Components
	maxBytes int64

	mu sync.Mutex // one selection is read at a time: a source that has to fetch has one place for a day
	// days are those of the source, by its Days.
	days []migrate.Extent
}

// DefaultSelectBytes is how much of the source one query may hold by default.
const DefaultSelectBytes = 192 << 20

// NewSourceQueryable returns the source of a comparison that was run, with its report: by that its days are known, and Days, which may be called once, is not called again. maxBytes 0 is
// DefaultSelectBytes.
func NewSourceQueryable(cfg *Config, c Components, r *Report, maxBytes int64) *SourceQueryable {
	if maxBytes <= 0 {
		maxBytes = DefaultSelectBytes
	}
	return &SourceQueryable{cfg: cfg.Job, c: c, days: r.sourceDays, maxBytes: maxBytes}
}

// Querier implements storage.Queryable.
func (q *SourceQueryable) Querier(mint, maxt int64) (storage.Querier, error) {
	return &sourceQuerier{q: q, r: model.TimeRange{MinMs: mint, MaxMs: maxt}}, nil
}

// sourceQuerier implements storage.Querier. held are the bytes of all its selections.
type sourceQuerier struct {
	q    *SourceQueryable
	r    model.TimeRange
	held int64 // guarded by q.mu
}

var errNoLabelCalls = errors.New("a source answers selectors only")

// LabelValues implements storage.LabelQuerier.
func (s *sourceQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errNoLabelCalls
}

// LabelNames implements storage.LabelQuerier.
func (s *sourceQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errNoLabelCalls
}

// Close implements storage.Querier.
func (s *sourceQuerier) Close() error { return nil }

// Select implements storage.Querier.
func (s *sourceQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	r := s.r
	if hints != nil {
		r = r.Intersect(model.TimeRange{MinMs: hints.Start, MaxMs: hints.End})
	}
	all, err := s.read(ctx, r, ms)
	if err != nil {
		return storage.ErrSeriesSet(fmt.Errorf("read source: %w", err))
	}
	return &columnsSet{all: all, at: -1}
}

// read gathers what matches, day after day.
func (s *sourceQuerier) read(ctx context.Context, r model.TimeRange, ms []*labels.Matcher) ([]*columnsSeries, error) {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	cfg := s.q.cfg
	if cfg.Range != nil {
		r = r.Intersect(*cfg.Range)
	}
	if r.Empty() {
		return nil, nil
	}
	cfg.Range = &r
	if len(cfg.Relabel) == 0 {
		// Labels are those of the source, which then need not hand out the rest.
		cfg.Matchers = append(slices.Clone(cfg.Matchers), ms...)
	}
	sel, err := migrate.Select(&cfg, s.q.c.Now, s.q.c.Source, s.q.c.Skips)
	if err != nil {
		return nil, err
	}
	found := map[string]*columnsSeries{}
	for _, day := range s.q.days {
		if !day.Day.Range().Overlaps(r) {
			continue
		}
		if err := s.day(ctx, sel, day, ms, found); err != nil {
			return nil, fmt.Errorf("day %s: %w", day.Day.Dashed(), err)
		}
	}
	all := slices.Collect(maps.Values(found))
	slices.SortFunc(all, func(a, b *columnsSeries) int { return labels.Compare(a.labels, b.labels) })
	return all, nil
}

func (s *sourceQuerier) day(ctx context.Context, sel *migrate.Selection, day migrate.Extent, ms []*labels.Matcher, found map[string]*columnsSeries) error {
	var key []byte
	for b, err := range sel.Series(ctx, day) {
		if err != nil {
			return err
		}
		if model.Reserved(b.Labels) || !matches(b.Labels, ms) {
			continue
		}
		key = b.Labels.Bytes(key)
		to := found[string(key)]
		if to == nil {
			to = &columnsSeries{labels: b.Labels.Copy()}
			found[string(key)] = to
			s.held += 200 + 2*int64(len(key))
		}
		for i := range b.Columns.T {
			to.columns.AppendAt(b.Columns, i)
			s.held += 16 + int64(len(histogramAt(b.Columns, i)))
		}
		if s.held > s.q.maxBytes {
			return fmt.Errorf("the query needs more than %d MiB of the source; ask a smaller one, or the source's own server: %w", s.q.maxBytes>>20, model.ErrLimit)
		}
	}
	return nil
}
