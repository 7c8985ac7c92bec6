package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// tidyOrphans lists the bucket and deletes what nobody refers to any more: blocks that were uploaded and never
// committed, the log of released generations, and what probes have left.
//
// These are the only listings of blocks. They come first and catalogs are read after them, so that a block that is in a listing and in no
// catalog was never committed, or is already gone from the catalog. What is held of them is that of one tenant.
func (l *Lifecycle) tidyOrphans(ctx context.Context, r *Report) error {
	note := func(err error) {
		if err != nil && ctx.Err() == nil {
			l.metrics.failures.Inc()
			r.Failures = append(r.Failures, err.Error())
		}
	}
	tenants := map[string]bool{}
	for _, s := range l.seen {
		tenants[s.tenant] = true
	}
	for _, tenant := range slices.Sorted(maps.Keys(tenants)) {
		found, err := l.listBlocks(ctx, tenant)
		if err != nil {
			return fmt.Errorf("look for orphans: %w", err)
		}
		for _, day := range slices.Sorted(maps.Keys(found)) {
			note(l.visitOrphans(ctx, partition{tenant, day}, found[day], r))
		}
		note(l.tidySnapshots(ctx, tenant, r))
	}
	note(l.tidyLogs(ctx, r))
	note(l.tidyProbes(ctx))
	return ctx.Err()
}

// listBlocks are the blocks in the bucket of a tenant that may be old enough.
func (l *Lifecycle) listBlocks(ctx context.Context, tenant string) (map[model.Day][]StoredBlock, error) {
	youngest := min(l.cfg.Orphans.Age, l.cfg.Orphans.UnprovenAge).Milliseconds()
	found := map[model.Day][]StoredBlock{}
	for _, prefix := range []string{blocks.TenantPrefix(tenant), blocks.RollupTenantPrefix(tenant)} {
		for o, err := range l.c.Bucket.List(ctx, prefix) {
			if err != nil {
				return nil, err
			}
			_, day, id, format, ok := blocks.ParseKey(o.Key)
			if ok && l.nowMs()-o.Modified.UnixMilli() >= youngest {
				found[day] = append(found[day], StoredBlock{id, format, o.Size, o.Modified.UnixMilli()})
			}
		}
	}
	return found, nil
}

// visitOrphans deletes the orphans of a partition that are old enough.
func (l *Lifecycle) visitOrphans(ctx context.Context, at partition, stored []StoredBlock, r *Report) error {
	p, err := l.c.Catalog.Partition(ctx, at.tenant, at.day, nil)
	if err != nil {
		return err
	}
	var due []StoredBlock
	for _, s := range PlanOrphans(p, stored, 0, l.nowMs()) {
		ok, err := l.expendable(ctx, p, &s)
		if err != nil {
			return fmt.Errorf("%v: look at orphan %s: %w", at, s.ID, err)
		}
		if ok {
			due = append(due, s)
		} else {
			r.OrphansKept++
		}
	}
	if len(due) == 0 {
		return nil
	}
	result, err := l.collectOrphans(ctx, p, due, r)
	if result != "" {
		l.metrics.jobs.WithLabelValues(jobOrphans, result).Inc()
	}
	return err
}

// expendable reads the footer of a candidate and tells whether it is old enough for what it holds.
func (l *Lifecycle) expendable(ctx context.Context, p *catalog.Partition, s *StoredBlock) (bool, error) {
	age := l.nowMs() - s.ModifiedMs
	if age >= l.cfg.Orphans.UnprovenAge.Milliseconds() {
		return true, nil
	}
	m, fault := blocks.Open(ctx, blocks.Stored{Bucket: l.c.Bucket}, blocks.KeyOf(p.Tenant, p.Day, s.ID, s.Format), s.Size)
	switch {
	case errors.Is(fault, model.ErrUnavailable), ctx.Err() != nil:
		return false, fault
	case fault != nil:
		return false, nil //nolint:nilerr // it is damaged, of a later version, or gone: nothing is proven
	}
	return age >= l.cfg.Orphans.Age.Milliseconds() && m.ID == s.ID && m.Tenant == p.Tenant && m.Day == p.Day && Proven(p, m), nil
}

// collectOrphans drops the ids and deletes the objects, in this order: whoever has uploaded one of them and has yet to commit it is refused
// from then on, and makes it anew under another attempt number. If one was committed since, all of it is left for the next look.
func (l *Lifecycle) collectOrphans(ctx context.Context, p *catalog.Partition, due []StoredBlock, r *Report) (result string, err error) {
	spared, err := l.spared(ctx, p)
	if err != nil {
		return resultFailed, err
	}
	due = slices.DeleteFunc(due, func(s StoredBlock) bool { return spared.has(s.ID) })
	if len(due) == 0 {
		return "", nil
	}
	drop := catalog.Drop{Orphans: true}
	var keys []string
	var bytes int64
	for _, s := range due {
		drop.IDs = append(drop.IDs, s.ID)
		keys = append(keys, blocks.KeyOf(p.Tenant, p.Day, s.ID, s.Format))
		bytes += s.Size
	}
	if result, err := l.drop(ctx, p, drop, keys); result != resultDone {
		return result, err
	}
	r.Orphans += len(due)
	r.OrphanBytes += bytes
	l.metrics.orphans.Add(float64(len(due)))
	l.c.Logger.Info("orphans deleted", "tenant", p.Tenant, "day", p.Day.Dashed(), "blocks", len(due), "bytes", bytes)
	return resultDone, nil
}

// drop commits the ids as dropped and then deletes the objects under keys.
func (l *Lifecycle) drop(ctx context.Context, p *catalog.Partition, drop catalog.Drop, keys []string) (result string, err error) {
	if planted.On(planted.DeleteBeforeDrop) {
		if err := l.c.Bucket.Delete(ctx, keys...); err != nil {
			return resultFailed, err
		}
	}
	res, err := l.c.Catalog.Commit(ctx, p.Tenant, p.Day, drop)
	switch {
	case errors.Is(err, model.ErrConflict), errors.Is(err, catalog.ErrGravestone):
		return resultLost, nil
	case err != nil:
		return resultFailed, err
	}
	// Dropped ids may be used again some time. Whoever comes to the delete late, or finds that others dropped them long ago, leaves it.
	for _, d := range res.Partition.Dropped {
		if l.nowMs()-d.AtMs > sweepMs && slices.Contains(drop.IDs, d.ID) {
			return resultLost, nil
		}
	}
	if err := l.c.Bucket.Delete(ctx, keys...); err != nil {
		return resultFailed, err
	}
	for _, id := range drop.IDs {
		l.swept[id] = l.nowMs()
	}
	return resultDone, nil
}

// tidyProbes deletes what the probes of dead processes have left. A probe takes seconds.
func (l *Lifecycle) tidyProbes(ctx context.Context) error {
	var keys []string
	for o, err := range l.c.Bucket.List(ctx, "probe/") {
		if err != nil {
			return fmt.Errorf("look for probes: %w", err)
		}
		if l.nowMs()-o.Modified.UnixMilli() >= model.MsPerDay && strings.Count(o.Key, "/") == 1 && len(keys) < maxCollected {
			keys = append(keys, o.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return l.c.Bucket.Delete(ctx, keys...)
}
