package query

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
)

// ExemplarQuerier implements storage.ExemplarQueryable. The context is that of the tenant and of all reads. It does not do any I/O.
func (q *Queryable) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return &exemplarQuerier{ctx, q}, nil
}

// exemplarQuerier reads exemplars where samples are read: writers, hot blocks and parquet, as far back as there are raw samples.
type exemplarQuerier struct {
	ctx context.Context //nolint:containedctx // the interface is Prometheus', whose Select has none
	q   *Queryable
}

// Select implements storage.ExemplarQuerier: the exemplars in the closed range of the series that match all matchers of one of the selectors, sorted by labels, then
// by time.
func (e *exemplarQuerier) Select(start, end int64, selectors ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	found := map[string]exemplar.QueryResult{}
	err := e.q.rows(e.ctx, model.TimeRange{MinMs: start, MaxMs: end}, func(read readRows) error {
		for _, selector := range selectors {
			reserved, err := model.SelectExemplars(selector)
			if err != nil {
				return fmt.Errorf("select exemplars: %w", err)
			}
			err = read(reserved, func(ls labels.Labels, c *model.Columns) error {
				series, ok := model.ExemplarsOf(ls)
				key := string(series.Bytes(nil))
				if _, had := found[key]; had || !ok {
					return nil
				}
				list, err := exemplarsOf(c)
				found[key] = exemplar.QueryResult{SeriesLabels: series, Exemplars: list}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(found), func(a, b exemplar.QueryResult) int { return labels.Compare(a.SeriesLabels, b.SeriesLabels) }), nil
}

// exemplarsOf decodes the rows of a series.
func exemplarsOf(c *model.Columns) (out []exemplar.Exemplar, err error) {
	var some []model.Exemplar
	for i, row := range c.H {
		if some, err = model.DecodeExemplars(some[:0], c.T[i], row); err != nil {
			return nil, err
		}
		for _, x := range some {
			out = append(out, exemplar.Exemplar{Labels: x.Labels, Value: x.V, Ts: x.T, HasTs: true})
		}
	}
	return out, nil
}

// readRows calls fn with each reserved series that matches, and its rows, which are valid during the call.
type readRows func(reserved []*labels.Matcher, fn func(labels.Labels, *model.Columns) error) error

// rows opens a querier for reserved series and calls do with what reads them. What is read is counted and limited as in any other query.
func (q *Queryable) rows(ctx context.Context, r model.TimeRange, do func(readRows) error) error {
	opened, err := q.Querier(r.MinMs, r.MaxMs)
	if err != nil {
		return err
	}
	defer func() { _ = opened.Close() }() // it has no error
	one := opened.(*querier)
	var c, scratch model.Columns
	return do(func(reserved []*labels.Matcher, fn func(labels.Labels, *model.Columns) error) error {
		set := one.choose(ctx, nil, reserved)
		for set.Next() {
			s := set.At().(*series)
			c.Reset()
			err := s.decode(&c, &scratch)
			if err == nil {
				err = one.decoded(c.Len())
			}
			if err == nil {
				err = one.memory.Take(rowBytes(&c))
			}
			if err == nil && c.Len() > 0 { // it may have rows, but none in the range
				err = fn(s.labels, &c)
			}
			if err != nil {
				return fmt.Errorf("read rows of %s: %w", s.labels, err)
			}
		}
		return set.Err()
	})
}

// rowBytes is about what rows take when they are decoded.
func rowBytes(c *model.Columns) (n int64) {
	for _, row := range c.H {
		n += 96 + 2*int64(len(row))
	}
	return n
}
