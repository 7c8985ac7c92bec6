package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// tenantSeen is what is remembered of a tenant between two looks.
type tenantSeen struct {
	name string
	// size, modified and settled are of the root, as in seen.
	size     int64
	modified time.Time
	settled  bool
	present  bool
	// changed: the root may differ from what it was at the last look, so that all partitions are looked at.
	changed bool

	// root is its last reading, and retention what it says, with the default of the worker.
	root      *catalog.Root
	retention *Retention

	// buriedMs is when the last catalog of a deleted tenant became a gravestone, 0 if that is not known; cleanMs when its
	// objects were deleted last.
	buriedMs, cleanMs int64
}

// remember returns what is remembered of the tenant.
func (l *Lifecycle) remember(name string) *tenantSeen {
	t := l.tenants[name]
	if t == nil {
		t = &tenantSeen{name: name, retention: Retention{}.with(l.cfg.Retention, l.cfg.Rollups)}
		l.tenants[name] = t
	}
	return t
}

// tenant reads the tenant's root, only for a change if it is known.
func (l *Lifecycle) tenant(ctx context.Context, name string) (*tenantSeen, error) {
	t := l.remember(name)
	root, err := l.c.Catalog.Root(ctx, name, t.root)
	if err != nil || root == t.root {
		return t, err
	}
	t.root = root
	retention, err := RetentionOf(root)
	t.retention = retention.with(l.cfg.Retention, l.cfg.Rollups)
	if err == nil {
		err = t.retention.Check() // with the defaults it may take too many selectors
	}
	if err != nil {
		// Perhaps a later version wrote it. To keep everything is the only mistake that can be put right.
		l.c.Logger.Error("retention is not understood, nothing of the tenant expires", "tenant", name, "err", err)
		t.retention = &Retention{Raw: Forever} // and rollups with them
	}
	return t, nil
}

// listRoot notes an object of the listing if it is the root of a tenant.
func (l *Lifecycle) listRoot(o blob.Object) {
	name, ok := catalog.ParseRootKey(o.Key)
	if !ok {
		return
	}
	t := l.remember(name)
	same := t.size == o.Size && t.modified.Equal(o.Modified)
	t.changed = !t.settled || !same
	t.settled, t.size, t.modified, t.present = same, o.Size, o.Modified, true
}

// forgetTenants forgets those whose roots the listing did not have.
func (l *Lifecycle) forgetTenants() {
	maps.DeleteFunc(l.tenants, func(_ string, t *tenantSeen) bool { return !t.present })
}

// ofChanged returns the partitions that are due because the settings of their tenant may have changed, besides those that are due anyway.
func (l *Lifecycle) ofChanged(due []*seen) []*seen {
	already := map[*seen]bool{}
	for _, s := range due {
		already[s] = true
	}
	for _, key := range slices.Sorted(maps.Keys(l.seen)) {
		s := l.seen[key]
		if t := l.tenants[s.tenant]; t != nil && t.changed && !already[s] {
			due = append(due, s)
		}
	}
	return due
}

// cleanEvery is how often the objects of a tenant that was deleted are looked for after they were deleted: a writer that was away may upload a
// block, which then nobody commits.
const cleanEvery = 24 * time.Hour

// tidyTenants goes on with the deletion of tenants.
func (l *Lifecycle) tidyTenants(ctx context.Context, r *Report) error {
	for _, name := range slices.Sorted(maps.Keys(l.tenants)) {
		t := l.tenants[name]
		deleted := t.root != nil && t.root.GravestoneMs != 0
		if !t.changed && !deleted {
			continue
		}
		err := l.tidyTenant(ctx, name, r)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.settled = false
			l.metrics.failures.Inc()
			r.Failures = append(r.Failures, err.Error())
		}
	}
	return nil
}

// tidyTenant does what is due of a deleted tenant: the gravestones that are missing, and after the grace, in which
// queries may still go by older catalogs, the deletion of its objects. See catalog/gravestone.go for why no commit has to name them.
func (l *Lifecycle) tidyTenant(ctx context.Context, name string, r *Report) error {
	t, err := l.tenant(ctx, name)
	if err != nil || t.root.GravestoneMs == 0 {
		return err
	}
	if t.buriedMs == 0 {
		last := t.root.GravestoneMs
		for _, day := range t.root.Days {
			p, err := l.c.Catalog.Bury(ctx, t.root, day)
			if err != nil {
				return err
			}
			last = max(last, p.GravestoneMs)
		}
		t.buriedMs = last
	}
	now := l.nowMs()
	if now-t.buriedMs < l.cfg.Grace.Milliseconds() || t.cleanMs != 0 && now-t.cleanMs < cleanEvery.Milliseconds() {
		return nil
	}
	n, bytes, err := DeleteObjects(ctx, l.c.Bucket, t.root)
	r.DeletedObjects += n
	r.DeletedBytes += bytes
	l.metrics.deletedObjects.Add(float64(n))
	if err != nil {
		return err
	}
	t.cleanMs = now
	if n > 0 {
		l.c.Logger.Info("objects of a deleted tenant are deleted", "tenant", name, "objects", n, "bytes", bytes)
	}
	return nil
}

// TenantPrefixes begin the keys of all objects of a tenant but its root, its catalogs, and the logs of writers, which go with their generations.
func TenantPrefixes(name string) []string {
	return []string{"d/tenant=" + name + "/", "r/tenant=" + name + "/", "t/" + name + "/s/", "t/" + name + "/x/", "t/" + name + "/clean"}
}

// DeleteObjects deletes the objects of a tenant whose gravestones stand since the grace: its blocks, snapshots and tombstones. It
// returns how many there were.
func DeleteObjects(ctx context.Context, b *blob.Bucket, root *catalog.Root) (n int, bytes int64, err error) {
	if root.GravestoneMs == 0 {
		return 0, 0, fmt.Errorf("delete the objects of tenant %s: it was not deleted: %w", root.Tenant, model.ErrInvalid)
	}
	var keys []string
	flush := func() error {
		if err := b.Delete(ctx, keys...); err != nil {
			return fmt.Errorf("delete the objects of tenant %s: %w", root.Tenant, err)
		}
		n, keys = n+len(keys), keys[:0]
		return nil
	}
	for _, prefix := range TenantPrefixes(root.Tenant) {
		for o, err := range b.List(ctx, prefix) {
			if err != nil {
				return n, bytes, fmt.Errorf("list the objects of tenant %s: %w", root.Tenant, err)
			}
			keys, bytes = append(keys, o.Key), bytes+o.Size
			if len(keys) == maxCollected {
				if err := flush(); err != nil {
					return n, bytes, err
				}
			}
		}
	}
	if len(keys) > 0 {
		err = flush()
	}
	return n, bytes, err
}
