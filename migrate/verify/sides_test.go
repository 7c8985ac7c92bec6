package verify

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// at is a time of the first day.
func at(seconds int64) int64 { return migratetest.FirstDay.Range().MinMs + seconds*1000 }

// side is one of the two: a source in memory.
type side struct {
	series []*plain
	// failAt ends Series with err before that series; -1 never.
	failAt int
	err    error
	// failOn, if not 0, is the only day on which it fails.
	failOn model.Day
	// unsorted leaves the order as it is.
	unsorted bool
}

// plain is a series in memory.
type plain struct {
	ls labels.Labels
	c  model.Columns
}

func (p *plain) Labels() labels.Labels { return p.ls }

func (p *plain) Samples(dst *model.Columns, r model.TimeRange) error {
	for i, t := range p.c.T {
		if r.Contains(t) {
			dst.AppendAt(&p.c, i)
		}
	}
	return nil
}

func newSide() *side { return &side{failAt: -1} }

// of returns the series with the labels, a new one if there is none.
func (s *side) of(ls ...string) *plain {
	want := labels.FromStrings(ls...)
	for _, p := range s.series {
		if labels.Equal(p.ls, want) {
			return p
		}
	}
	s.series = append(s.series, &plain{ls: want})
	return s.series[len(s.series)-1]
}

func (s *side) clone() *side {
	out := newSide()
	for _, p := range s.series {
		c := model.Columns{T: slices.Clone(p.c.T), V: slices.Clone(p.c.V)}
		for _, h := range p.c.H {
			c.H = append(c.H, slices.Clone(h))
		}
		out.series = append(out.series, &plain{p.ls, c})
	}
	return out
}

// drop removes the i-th sample.
func (p *plain) drop(i int) {
	p.c.T, p.c.V = slices.Delete(p.c.T, i, i+1), slices.Delete(p.c.V, i, i+1)
	if p.c.H != nil {
		p.c.H = slices.Delete(p.c.H, i, i+1)
	}
}

func (s *side) Days(_ context.Context, r model.TimeRange, _ migrate.Want) ([]migrate.Extent, error) {
	days := map[model.Day]*migrate.Extent{}
	for _, p := range s.series {
		for _, t := range p.c.T {
			if d := model.DayOf(t); r.Contains(t) {
				if days[d] == nil {
					days[d] = &migrate.Extent{Day: d}
				}
				days[d].Samples++
			}
		}
	}
	return migrate.InOrder(days), nil
}

func (s *side) Series(_ context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	all := slices.Clone(s.series)
	if !s.unsorted {
		slices.SortFunc(all, func(a, b *plain) int {
			return cmp.Or(cmp.Compare(a.ls.Get(index.MetricName), b.ls.Get(index.MetricName)), labels.Compare(a.ls, b.ls))
		})
	}
	return func(yield func(model.Series, error) bool) {
		for i, p := range all {
			if i == s.failAt && (s.failOn == 0 || s.failOn == model.DayOf(r.MinMs)) {
				yield(nil, s.err)
				return
			}
			if want(p.ls) && !yield(p, nil) {
				return
			}
		}
	}
}

func (s *side) Close() error { return nil }

// compare runs a comparison of two sides.
func compare(t *testing.T, cfg *Config, source, target migrate.Source) (*Report, error) {
	t.Helper()
	cfg.Job.Tenant = "t"
	return Run(context.Background(), cfg, Components{
		Source: source, Skips: migrate.NewSkips(false), Target: target, TargetSkips: migrate.NewSkips(false),
		Now: func() time.Time { return time.UnixMilli((migratetest.FirstDay + 9).Range().MinMs) },
	})
}

// mustCompare is a comparison that comes to its end.
func mustCompare(t *testing.T, cfg *Config, source, target migrate.Source) *Report {
	t.Helper()
	r, err := compare(t, cfg, source, target)
	require.NoError(t, err)
	require.True(t, r.Complete)
	return r
}
