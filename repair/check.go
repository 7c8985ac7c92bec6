package repair

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// partition names one.
type partition struct {
	tenant string
	day    model.Day
}

// What to do about it, where several findings say the same.
const (
	doRebuild = "run `varve rebuild`, which makes it anew from blocks and keeps a copy"
	doRestore = "restore the object from a backup or an earlier version of it; else the samples are lost, and `varve quarantine discard` gives the block up"
	doReadmit = "restore the object from a backup or an earlier version of it, then `varve quarantine readmit`; else `varve quarantine discard` gives the block up"
	doUpgrade = "use the version of varve that wrote it, or a later one"
	doRetry   = "look at the rights and the state of the bucket, and run this again"
)

// checker is one Check under way.
type checker struct {
	c Components
	o Options
	notes
	roster *catalog.Roster // nil if it cannot be read
}

// Check looks for everything that is wrong. The error is one of the bucket as a whole, or of ctx; what is found comes in the report in any case.
func Check(ctx context.Context, c Components, opts *Options) (*Report, error) {
	k := &checker{c: c, o: opts.withDefaults()}
	err := k.run(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("check: %w", err)
	}
	return k.report(), err
}

func (k *checker) run(ctx context.Context) error {
	var err error
	if k.roster, err = k.c.Catalog.Roster(ctx, nil); err != nil {
		k.unreadable(place{object: "w/roster"}, err)
	}
	days, err := listPartitions(ctx, &k.c, &k.o)
	if err != nil {
		return err
	}
	todo := map[partition]bool{}
	for _, tenant := range slices.Sorted(maps.Keys(days)) {
		k.count(func(r *Report) { r.Tenants++ })
		for _, day := range k.tenant(ctx, tenant, days[tenant]) {
			todo[partition{tenant, day}] = true
		}
	}
	if err := k.partitions(ctx, todo); err != nil {
		return err
	}
	if k.o.Tenant == "" && k.o.Day == nil {
		return k.logs(ctx)
	}
	return nil
}

func (k *checker) partitions(ctx context.Context, todo map[partition]bool) error {
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(k.o.Parallel)
	for at := range todo {
		g.Go(func() error {
			k.partition(ctx, at)
			if k.o.Progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				k.o.Progress(done, len(todo))
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// found is where a day was met.
type found struct{ catalog, blocks bool }

// listPartitions lists catalogs and blocks.
func listPartitions(ctx context.Context, c *Components, o *Options) (map[string]map[model.Day]found, error) {
	days := map[string]map[model.Day]found{}
	meet := func(tenant string, day model.Day, f func(*found)) {
		if o.Day != nil && day != *o.Day {
			return
		}
		if days[tenant] == nil {
			days[tenant] = map[model.Day]found{}
		}
		have := days[tenant][day]
		f(&have)
		days[tenant][day] = have
	}
	catalogs, prefixes := catalog.KeyPrefix, []string{blocks.KeyPrefix, blocks.RollupKeyPrefix}
	if o.Tenant != "" {
		catalogs, prefixes = catalogs+o.Tenant+"/", tenantPrefixes(o.Tenant)
	}
	for x, err := range c.Bucket.List(ctx, catalogs) {
		if err != nil {
			return nil, err
		}
		if tenant, day, ok := catalog.ParsePartitionKey(x.Key); ok {
			meet(tenant, day, func(f *found) { f.catalog = true })
		} else if tenant, rest, _ := strings.Cut(strings.TrimPrefix(x.Key, catalog.KeyPrefix), "/"); rest == "root" && days[tenant] == nil {
			days[tenant] = map[model.Day]found{}
		}
	}
	for _, prefix := range prefixes {
		for x, err := range c.Bucket.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			if tenant, day, _, _, ok := blocks.ParseKey(x.Key); ok {
				meet(tenant, day, func(f *found) { f.blocks = true })
			}
		}
	}
	return days, nil
}

// tenantPrefixes begin the keys of a tenant's blocks, raw ones and rollups.
func tenantPrefixes(tenant string) []string {
	return []string{blocks.TenantPrefix(tenant), blocks.RollupTenantPrefix(tenant)}
}

// tenant compares the root with the days that were met, and returns all of them.
func (k *checker) tenant(ctx context.Context, tenant string, days map[model.Day]found) []model.Day {
	at := place{tenant: tenant, object: "t/" + tenant + "/root"}
	root, err := k.c.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		k.unreadable(at, err)
		return slices.Sorted(maps.Keys(days))
	}
	if root.GravestoneMs != 0 {
		return nil // the tenant was deleted: what is left is on its way out
	}
	if root.Missing && len(days) > 0 {
		k.add(at, Lost, KindMissing, doRebuild, "the root is missing, and there are %d days of data", len(days))
	}
	for _, day := range root.Days {
		if k.o.Day != nil && day != *k.o.Day {
			continue
		}
		if f := days[day]; !f.catalog {
			p, err := k.c.Catalog.Partition(ctx, tenant, day, nil)
			if err == nil && p.Missing {
				k.add(place{tenant, day, catalogKey(tenant, day)}, Lost, KindMissing, doRebuild+"; a writer that has just begun the day creates it in a moment",
					"the root names the day, and its catalog is missing: queries of it fail")
			}
			days[day] = f
		}
	}
	for day, f := range days {
		if f.catalog && !root.Missing && !root.Has(day) {
			if again, err := k.c.Catalog.Root(ctx, tenant, root); err == nil && !again.Has(day) {
				k.add(at, Wrong, KindDays, doRebuild, "the root does not name %s, which has a catalog: queries without a range do not find it", day.Dashed())
			}
		}
		if !f.catalog && f.blocks && !root.Has(day) {
			k.add(place{tenant, day, catalogKey(tenant, day)}, Lost, KindMissing, doRebuild+"; or leave it: the first block of a day is uploaded before its catalog is made",
				"there are blocks of the day, and no catalog")
		}
	}
	if k.o.Day == nil && k.o.Depth != Quick {
		k.deletions(ctx, tenant)
	}
	return slices.Sorted(maps.Keys(days))
}

// deletions reads the records of deletes: nothing but a rebuild and a report needs them, which would find out too late.
func (k *checker) deletions(ctx context.Context, tenant string) {
	prefix := catalog.DeletionPrefix(tenant)
	for o, err := range k.c.Bucket.List(ctx, prefix) {
		at := place{tenant: tenant, object: o.Key}
		if err == nil {
			_, err = k.c.Catalog.Deletion(ctx, tenant, strings.TrimPrefix(o.Key, prefix))
		} else {
			at.object = prefix
		}
		switch {
		case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrInvalid):
			k.add(at, Wrong, KindDamaged, "restore the object from a backup or an earlier version of it; without it a rebuild cannot hide again what the delete has hidden", "%v", err)
		case err != nil && !errors.Is(err, model.ErrNotFound) && !ctxEnded(err):
			k.unreadable(at, err)
		}
	}
}

func catalogKey(tenant string, day model.Day) string {
	return catalog.KeyPrefix + tenant + "/c/" + day.String()
}

// unreadable notes an object of the catalog's room that cannot be read.
func (k *checker) unreadable(at place, err error) {
	switch {
	case errors.Is(err, model.ErrVersion):
		k.add(at, Wrong, KindVersion, doUpgrade, "%v", err)
	case errors.Is(err, model.ErrCorrupt):
		k.add(at, Lost, KindCatalog, doRebuild, "%v", err)
	default:
		k.add(at, Wrong, KindRefused, doRetry, "%v", err)
	}
}
