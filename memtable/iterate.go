package memtable

import (
	"context"
	"iter"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Iterate yields the series of a partition with its samples, sorted by metric name, then by labels.Compare: the order of a block. The columns are valid
// until the next step.
func (t *Table) Iterate(tenant string, day model.Day) iter.Seq2[labels.Labels, *model.Columns] {
	return func(yield func(labels.Labels, *model.Columns) bool) {
		d := t.tenant(tenant, false)
		if d == nil {
			return
		}
		r := day.Range()
		pages := *t.pages.Load()
		var c model.Columns
		// One series at a time, so that a building block costs no memory for those that wait.
		for _, ref := range d.names.building.of(t.names, d.names.index.refs()) {
			p := pageOf(pages, ref)
			if !p.has(ref) {
				continue
			}
			p.mu.Lock()
			sn, any := p.series[ref%pageSeries].snap(t, ref, t.names.labels(ref))
			p.mu.Unlock()
			if !any || sn.maxT < r.MinMs || r.MaxMs < sn.minT {
				continue
			}
			c.Reset()
			if sn.read(&c, r); c.Len() == 0 {
				continue
			}
			if !yield(sn.labels, &c) {
				return
			}
		}
	}
}

// LabelNames returns the sorted names of the labels of the series that Select would return.
func (t *Table) LabelNames(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) ([]string, error) {
	return t.labelSet(ctx, tenant, r, matchers, func(ls labels.Labels, add func(string)) {
		ls.Range(func(l labels.Label) { add(l.Name) })
	})
}

// LabelValues returns the sorted values of one label among the series that Select would return.
func (t *Table) LabelValues(ctx context.Context, tenant, name string, r model.TimeRange, matchers []*labels.Matcher) ([]string, error) {
	return t.labelSet(ctx, tenant, r, matchers, func(ls labels.Labels, add func(string)) {
		if v := ls.Get(name); v != "" {
			add(v)
		}
	})
}

func (t *Table) labelSet(ctx context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher,
	each func(labels.Labels, func(string)),
) ([]string, error) {
	d := t.tenant(tenant, false)
	if d == nil {
		return nil, nil
	}
	a := &account{memory: model.MemoryOf(ctx)}
	defer a.close()
	found, err := t.snapshots(ctx, d, matchers, a)
	if err != nil {
		return nil, err
	}
	set := map[string]struct{}{}
	add := func(s string) { set[s] = struct{}{} }
	for i := range found {
		if !found[i].hasIn(r) {
			continue
		}
		each(found[i].labels, add)
	}
	out := make([]string, 0, len(set))
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out, nil
}

// Range returns the times between the first and the last sample of the tenant, empty without samples.
func (t *Table) Range(tenant string) model.TimeRange {
	out := model.TimeRange{MinMs: math.MaxInt64, MaxMs: math.MinInt64}
	d := t.tenant(tenant, false)
	if d == nil {
		return out
	}
	d.dayMu.RLock()
	defer d.dayMu.RUnlock()
	for _, s := range d.days {
		if s.Samples > 0 {
			out.MinMs, out.MaxMs = min(out.MinMs, s.MinT), max(out.MaxMs, s.MaxT)
		}
	}
	return out
}
