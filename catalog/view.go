package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// View is one reading of a tenant's root and of the catalogs of a range of days, as a query needs it. Immutable.
//
// A view straight from [Store.View] may call a day empty that is not: its catalog may have been created after we
// found it missing and while we read the root. [Store.Confirm] excludes that. A query confirms anyway, once it has the
// answers of the ingesters, so that nothing falls between them and the catalogs.
type View struct {
	Root *Root
	// Partitions are the catalogs that exist, ascending by day.
	Partitions []*Partition
	// Confirmed: every day of the range that is not among Partitions has no data.
	Confirmed bool

	tenant string
	r      model.TimeRange
}

// maxBlindDays is the number of days up to which catalogs are asked for without looking into the root first.
const maxBlindDays = 62

// missingTries is how often a catalog that the root names and the bucket does not have is asked for before that is an error: its
// writer is about to create it.
const missingTries = 4

// View reads the root and the catalogs of the range, in one stage of parallel reads unless the range is longer than about two
// months, which takes the root's days in a second. With prev, a view of the same tenant, it asks only for changes.
// A catalog that is missing though the root names its day is model.ErrUnavailable, after some retries.
func (s *Store) View(ctx context.Context, tenant string, r model.TimeRange, prev *View) (*View, error) {
	r = r.Intersect(model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs})
	v := &View{tenant: tenant, r: r}
	var known []*Partition
	if prev != nil && prev.tenant == tenant {
		v.Root, known = prev.Root, prev.Partitions
	}
	if r.Empty() {
		return v, s.readView(ctx, v, nil, nil)
	}
	first, last := model.DayOf(r.MinMs), model.DayOf(r.MaxMs)
	var days []model.Day
	if last-first < maxBlindDays {
		for d := first; d <= last; d++ {
			days = append(days, d)
		}
	}
	if err := s.readView(ctx, v, days, known); err != nil {
		return nil, err
	}
	if err := s.settle(ctx, v, known); err != nil {
		return nil, err
	}
	return v, nil
}

// Confirm reads again what the view was made of, asking only for changes. If nothing changed it returns v with Confirmed set and
// false; else a newer view, confirmed too, and true: plan again then.
func (s *Store) Confirm(ctx context.Context, v *View) (*View, bool, error) {
	next := &View{tenant: v.tenant, r: v.r, Root: v.Root}
	days := make([]model.Day, 0, len(v.Partitions))
	for _, p := range v.Partitions {
		days = append(days, p.Day)
	}
	if err := s.readView(ctx, next, days, v.Partitions); err != nil {
		return nil, false, err
	}
	// The days without a catalog were found missing before this call; the root was read during it.
	if err := s.settle(ctx, next, nil); err != nil {
		return nil, false, err
	}
	next.Confirmed = true
	changed := !slices.Equal(v.Partitions, next.Partitions)
	return next, changed, nil
}

// readView reads the catalogs of the days and the root, and puts what exists into v. v.Root and known are earlier readings.
func (s *Store) readView(ctx context.Context, v *View, days []model.Day, known []*Partition) error {
	parts := make([]*Partition, len(days))
	jobs := make([]func(context.Context) error, 0, len(days)+1)
	for i, day := range days {
		jobs = append(jobs, func(ctx context.Context) (err error) {
			parts[i], err = s.Partition(ctx, v.tenant, day, find(known, day))
			return err
		})
	}
	jobs = append(jobs, func(ctx context.Context) error {
		root, err := s.Root(ctx, v.tenant, v.Root)
		if err == nil {
			v.Root = root
		}
		return err
	})
	if err := s.all(ctx, jobs); err != nil {
		return err
	}
	v.Partitions = slices.DeleteFunc(parts, func(p *Partition) bool { return p.Missing })
	return nil
}

// all runs the jobs in parallel and waits for them.
func (s *Store) all(ctx context.Context, jobs []func(context.Context) error) error {
	if s.opts.Sequential {
		for _, job := range jobs {
			if err := job(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, job := range jobs {
		g.Go(func() error { return job(ctx) })
	}
	return g.Wait()
}

// find returns the partition of the day, or nil.
func find(parts []*Partition, day model.Day) *Partition {
	at, ok := slices.BinarySearchFunc(parts, day, func(p *Partition, d model.Day) int { return int(p.Day) - int(d) })
	if !ok {
		return nil
	}
	return parts[at]
}

// settle fetches the catalogs of days that the root names and the view lacks.
func (s *Store) settle(ctx context.Context, v *View, known []*Partition) error {
	for try := 1; ; try++ {
		lacking := v.lacking()
		if len(lacking) == 0 {
			return nil
		}
		if try > missingTries {
			return fmt.Errorf("catalog %s: the root names the day but the catalog is missing, or may not be read (permission denied): %w", partitionKey(v.tenant, lacking[0]), model.ErrUnavailable)
		}
		if try > 1 {
			if err := s.c.Sleep(ctx, s.opts.BackoffBase*time.Duration(try)); err != nil {
				return err
			}
		}
		ctx := blob.AfterStage(ctx, blob.LastStage(ctx))
		more := &View{tenant: v.tenant, Root: v.Root}
		if err := s.readView(ctx, more, lacking, known); err != nil {
			return err
		}
		v.Root = more.Root
		v.Partitions = append(slices.Clone(v.Partitions), more.Partitions...)
		slices.SortFunc(v.Partitions, func(a, b *Partition) int { return int(a.Day) - int(b.Day) })
	}
}

// lacking lists the root's days within the range that have no catalog in the view.
func (v *View) lacking() []model.Day {
	var out []model.Day
	for _, day := range v.Root.Days {
		if !day.Range().Overlaps(v.r) {
			continue
		}
		if find(v.Partitions, day) == nil {
			out = append(out, day)
		}
	}
	return out
}
