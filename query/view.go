package query

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// view is one reading of all that says where the data of a tenant and range are. Immutable.
type view struct {
	tenant string
	stage  int // the last one of the requests that it took, for the trace
	roster *catalog.Roster
	*catalog.View
	// snapshot is what the view is of, nil for the present.
	snapshot *catalog.SnapshotRef
}

// views reads views. Decoded roots and catalogs are kept between queries, and asked for again every time, on condition
// that they changed.
type views struct {
	catalog Catalog
	cache   *cache.Parsed[any]
	// forget is told of the keys of blocks that have left their catalog.
	forget func(key string)
}

// read makes the first view, everything in parallel.
func (v *views) read(ctx context.Context, tenant string, r model.TimeRange) (*view, error) {
	if name := SnapshotOf(ctx); name != "" {
		return v.snapshot(ctx, tenant, name, r)
	}
	known := v.known(tenant, r)
	roster, _ := cached[catalog.Roster](v.cache, rosterKey)
	return v.together(ctx, tenant, roster, func(ctx context.Context) (*catalog.View, error) {
		return v.catalog.View(ctx, tenant, r, known)
	})
}

// confirm makes a view of the same tenant and range from readings that all begin after the call.
func (v *views) confirm(ctx context.Context, old *view) (*view, error) {
	if old.snapshot != nil {
		return v.confirmSnapshot(ctx, old)
	}
	return v.together(ctx, old.tenant, old.roster, func(ctx context.Context) (*catalog.View, error) {
		confirmed, _, err := v.catalog.Confirm(ctx, old.View)
		return confirmed, err
	})
}

// together reads the roster, if it is not prev any more, beside the root and the catalogs.
func (v *views) together(ctx context.Context, tenant string, prev *catalog.Roster, days func(context.Context) (*catalog.View, error)) (*view, error) {
	w := &view{tenant: tenant}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		w.roster, err = v.catalog.Roster(ctx, prev)
		return err
	})
	g.Go(func() (err error) {
		w.View, err = days(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if w.Root.GravestoneMs != 0 {
		return nil, fmt.Errorf("tenant %s: %w", tenant, catalog.ErrGravestone)
	}
	w.stage = blob.LastStage(ctx)
	v.keep(w)
	return w, nil
}

const rosterKey = "roster"

func rootKey(tenant string) string                     { return "root/" + tenant }
func partitionKey(tenant string, day model.Day) string { return "c/" + tenant + "/" + day.String() }

// known gathers what is cached of a tenant and range.
func (v *views) known(tenant string, r model.TimeRange) *catalog.View {
	root, ok := cached[catalog.Root](v.cache, rootKey(tenant))
	if !ok {
		return nil
	}
	var parts []*catalog.Partition
	for _, d := range root.Days {
		if !d.Range().Overlaps(r) {
			continue // a tenant may have years of days
		}
		if p, ok := cached[catalog.Partition](v.cache, partitionKey(tenant, d)); ok {
			parts = append(parts, p)
		}
	}
	return catalog.Known(tenant, root, parts)
}

// keep caches what is not cached yet.
func (v *views) keep(w *view) {
	keep(v.cache, rosterKey, w.roster, rosterBytes)
	keep(v.cache, rootKey(w.tenant), w.Root, rootBytes)
	for _, p := range w.Partitions {
		if keep(v.cache, partitionKey(w.tenant, p.Day), p, partitionBytes) {
			v.tidy(p)
		}
	}
}

// tidy has caches let go of the blocks of the partition that fresh views do not name any more: nobody will ask for them, and what was
// erased from the bucket must not live on beside it.
func (v *views) tidy(p *catalog.Partition) {
	for _, r := range p.Retired {
		v.forget(blocks.KeyOf(p.Tenant, p.Day, r.ID, r.Format))
	}
	for _, d := range p.Dropped {
		for _, f := range [...]blocks.Format{blocks.Native, blocks.Parquet, blocks.Rollup5m, blocks.Rollup1h} {
			v.forget(blocks.KeyOf(p.Tenant, p.Day, d.ID, f))
		}
	}
}

func cached[T any](c *cache.Parsed[any], key string) (*T, bool) {
	v, ok := c.Get(key)
	if !ok {
		return nil, false
	}
	return v.(*T), true
}

// keep caches t, and reports whether it is new.
func keep[T any](c *cache.Parsed[any], key string, t *T, size func(*T) int64) bool {
	have, ok := cached[T](c, key)
	if ok && have == t {
		return false
	}
	c.Put(key, t, size(t))
	return true
}

// The sizes of decoded things in memory, roughly.

func rosterBytes(r *catalog.Roster) int64 { return 256 + 200*int64(len(r.Writers)) }

func rootBytes(r *catalog.Root) int64 {
	return 256 + 4*int64(len(r.Days)) + 200*int64(len(r.Settings)+len(r.Snapshots))
}

func partitionBytes(p *catalog.Partition) int64 {
	n := int64(512) + 64*int64(len(p.Flushed)+len(p.Retired)+len(p.Dropped))
	for _, list := range [...][]catalog.Entry{p.Blocks, p.Rollups} {
		for i := range list {
			n += 512 + 64*int64(len(list[i].Directory)+len(list[i].PostingsFence))
		}
	}
	return n
}
