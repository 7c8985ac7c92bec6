package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// view is one reading of all that says where the data of a tenant and range are. Immutable.
type view struct {
	tenant string
	r      model.TimeRange
	roster *catalog.Roster
	root   *catalog.Root
	// parts holds every partition of the range that was looked for, the missing ones too.
	parts map[model.Day]*catalog.Partition
}

// views reads views.
type views struct {
	catalog      Catalog
	cache        *cache.Parsed[any]
	maxBlindDays int
}

// read makes the first view: everything in parallel if the days of the range can be
// counted up, else the root before the catalogs of the days it names.
func (v *views) read(ctx context.Context, tenant string, r model.TimeRange) (*view, error) {
	w := &view{tenant: tenant, r: r, parts: make(map[model.Day]*catalog.Partition)}
	if r.Empty() {
		return w, nil
	}
	var days []model.Day
	first, last := model.DayOf(r.MinMs), model.DayOf(r.MaxMs)
	if int(last-first) < v.maxBlindDays {
		for d := first; d <= last; d++ {
			days = append(days, d)
		}
		return w, v.fill(ctx, w, nil, nil, days)
	}
	if err := v.fill(ctx, w, nil, nil, nil); err != nil {
		return nil, err
	}
	return w, v.fillDays(ctx, w, daysWithin(w.root, r))
}

// confirm makes a view of the same tenant and range from readings that all begin after the call.
func (v *views) confirm(ctx context.Context, old *view) (*view, error) {
	w := &view{tenant: old.tenant, r: old.r, parts: make(map[model.Day]*catalog.Partition, len(old.parts))}
	if w.r.Empty() {
		return w, nil
	}
	var known []model.Day
	for d, p := range old.parts {
		w.parts[d] = p
		if !p.Missing {
			known = append(known, d)
		}
	}
	if err := v.fill(ctx, w, old.roster, old.root, known); err != nil {
		return nil, err
	}
	// A day that the root did not list by now had no commit before. One that it does list must be there.
	var added []model.Day
	for _, d := range daysWithin(w.root, w.r) {
		if p := w.parts[d]; p == nil || p.Missing {
			added = append(added, d)
		}
	}
	if err := v.fillDays(ctx, w, added); err != nil {
		return nil, err
	}
	for _, d := range added {
		if w.parts[d].Missing {
			return nil, fmt.Errorf("catalog of tenant %s day %s: the root lists the day but the catalog is missing: %w", w.tenant, d, model.ErrUnavailable)
		}
	}
	return w, nil
}

// fill reads roster, root and the partitions of days in parallel into w.
func (v *views) fill(ctx context.Context, w *view, roster *catalog.Roster, root *catalog.Root, days []model.Day) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		w.roster, err = conditional(v.cache, "roster", roster, func(prev *catalog.Roster) (*catalog.Roster, error) {
			return v.catalog.Roster(ctx, prev)
		}, rosterBytes)
		return err
	})
	g.Go(func() (err error) {
		w.root, err = conditional(v.cache, "root/"+w.tenant, root, func(prev *catalog.Root) (*catalog.Root, error) {
			return v.catalog.Root(ctx, w.tenant, prev)
		}, rootBytes)
		return err
	})
	g.Go(func() error { return v.fillDays(ctx, w, days) })
	return g.Wait()
}

func (v *views) fillDays(ctx context.Context, w *view, days []model.Day) error {
	parts := make([]*catalog.Partition, len(days))
	g, ctx := errgroup.WithContext(ctx)
	for i, d := range days {
		prev := w.parts[d]
		if prev != nil && prev.Missing {
			prev = nil
		}
		g.Go(func() (err error) {
			parts[i], err = conditional(v.cache, "c/"+w.tenant+"/"+d.String(), prev, func(prev *catalog.Partition) (*catalog.Partition, error) {
				return v.catalog.Partition(ctx, w.tenant, d, prev)
			}, partitionBytes)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, d := range days {
		w.parts[d] = parts[i]
	}
	return nil
}

// conditional reads a thing on condition that it differs from prev, or from the cached one if prev is nil, and caches it.
func conditional[T any](c *cache.Parsed[any], key string, prev *T, read func(prev *T) (*T, error), size func(*T) int64) (*T, error) {
	if prev == nil {
		if cached, ok := c.Get(key); ok {
			prev = cached.(*T)
		}
	}
	t, err := read(prev)
	if err != nil {
		return nil, err
	}
	if t != prev {
		c.Put(key, t, size(t))
	}
	return t, nil
}

func daysWithin(root *catalog.Root, r model.TimeRange) []model.Day {
	var days []model.Day
	for _, d := range root.Days {
		if d.Range().Overlaps(r) {
			days = append(days, d)
		}
	}
	return days
}

// located is a block of a view.
type located struct {
	*catalog.Entry
	day model.Day
}

// blocks returns the blocks that overlap the range, lowest priority first.
func (w *view) blocks(r model.TimeRange) []located {
	var all []located
	for d, p := range w.parts {
		if p.Missing || p.GravestoneMs != 0 || !d.Range().Overlaps(r) {
			continue
		}
		for i := range p.Blocks {
			e := &p.Blocks[i]
			if r.Overlaps(model.TimeRange{MinMs: e.MinT, MaxMs: e.MaxT}) {
				all = append(all, located{e, d})
			}
		}
	}
	slices.SortFunc(all, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// The sizes of decoded things in memory, roughly.

func rosterBytes(r *catalog.Roster) int64 { return 256 + 200*int64(len(r.Writers)) }

func rootBytes(r *catalog.Root) int64 {
	return 256 + 4*int64(len(r.Days)) + 200*int64(len(r.Settings)+len(r.Snapshots))
}

func partitionBytes(p *catalog.Partition) int64 {
	n := int64(512) + 64*int64(len(p.Flushed)+len(p.Retired)+len(p.Dropped))
	for i := range p.Blocks {
		n += 512 + 64*int64(len(p.Blocks[i].Directory)+len(p.Blocks[i].PostingsFence))
	}
	return n
}
