package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// spare says which blocks of a partition collection leaves alone though no catalog needs them.
type spare struct {
	all bool
	ids map[string]struct{}
}

func (s *spare) has(id string) bool {
	_, ok := s.ids[id]
	return s.all || ok
}

// spared reads what snapshots keep of the partition, by a root that is read after the catalog p. A snapshot is entered there before it reads catalogs: so one
// that we do not see reads them later than we did, and cannot name what was retired, or not committed, by then. One that is being made may come to
// name anything, so nothing goes meanwhile. Of a deleted tenant nothing is collected one by one.
func (l *Lifecycle) spared(ctx context.Context, p *catalog.Partition) (*spare, error) {
	root := l.planted[p.Tenant]
	if root == nil {
		var err error
		if root, err = l.c.Catalog.Root(ctx, p.Tenant, nil); err != nil {
			return nil, err
		}
	}
	s := &spare{all: root.GravestoneMs != 0, ids: map[string]struct{}{}}
	for _, ref := range root.Snapshots {
		if s.all = s.all || !ref.Complete; s.all {
			return s, nil
		}
	}
	for _, ref := range root.Snapshots {
		ids, err := l.namedBy(ctx, p, ref)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			s.ids[id] = struct{}{}
		}
	}
	return s, nil
}

// plantRoots reads the roots before the catalogs if that bug is planted.
func (l *Lifecycle) plantRoots(ctx context.Context, due []*seen) {
	if !planted.On(planted.RootBeforeCatalog) {
		return
	}
	l.planted = map[string]*catalog.Root{}
	for _, s := range due {
		if l.planted[s.tenant] == nil {
			if root, err := l.c.Catalog.Root(ctx, s.tenant, nil); err == nil {
				l.planted[s.tenant] = root
			}
		}
	}
}

// maxNamed bounds how many days of snapshots are remembered.
const maxNamed = 10_000

// namedBy returns the ids that a snapshot names of the partition's day. A snapshot never changes, so they are remembered.
func (l *Lifecycle) namedBy(ctx context.Context, p *catalog.Partition, ref catalog.SnapshotRef) ([]string, error) {
	key := catalog.SnapshotKey(p.Tenant, ref) + "/" + p.Day.String()
	if ids, ok := l.named[key]; ok {
		return ids, nil
	}
	// Not to be able to read a snapshot is a reason to keep everything: this fails, and is tried again.
	snap, err := l.c.Catalog.OpenSnapshot(ctx, p.Tenant, ref)
	if err != nil {
		return nil, err
	}
	day, err := l.c.Catalog.SnapshotDay(ctx, snap, p.Day)
	if err != nil {
		return nil, err
	}
	var named []string
	if day != nil {
		named = ids(day.All())
	}
	if len(l.named) >= maxNamed {
		clear(l.named)
	}
	l.named[key] = named
	return named, nil
}

// abandonedMs is how long after its registration the making of a snapshot, which takes minutes, is given up for dead: until then it keeps
// everything from being collected. Whoever is at it after all finds it deleted.
const abandonedMs = model.MsPerDay

// tidySnapshots deletes the snapshots of a tenant whose making was abandoned, and the objects that no root names: of deletions that ended half way, and of makers that
// were too late.
func (l *Lifecycle) tidySnapshots(ctx context.Context, tenant string, r *Report) error {
	// The listing comes first: an object whose entry is not in a root read later will never have one again, because no key is used twice.
	var stored []string
	for o, err := range l.c.Bucket.List(ctx, catalog.SnapshotPrefix(tenant)) {
		if err != nil {
			return fmt.Errorf("look for snapshots of tenant %s: %w", tenant, err)
		}
		if _, _, ok := catalog.ParseSnapshotKey(o.Key); ok {
			stored = append(stored, o.Key)
		}
	}
	root, err := l.c.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		return err
	}
	abandoned := func(ref catalog.SnapshotRef) bool { return !ref.Complete && l.nowMs()-ref.CreatedMs >= abandonedMs }
	if slices.ContainsFunc(root.Snapshots, abandoned) {
		gone, err := l.c.Catalog.ForgetSnapshots(ctx, tenant, abandoned)
		for _, ref := range gone {
			r.Abandoned = append(r.Abandoned, tenant+"/"+ref.Name)
			l.c.Logger.Warn("the making of a snapshot was abandoned, it is deleted", "tenant", tenant, "snapshot", ref.Name, "begun_ms", ref.CreatedMs)
		}
		if err != nil && !errors.Is(err, catalog.ErrGravestone) {
			return err
		}
	}
	listed := map[string]bool{}
	for _, ref := range root.Snapshots {
		listed[catalog.SnapshotKey(tenant, ref)] = true
	}
	rubbish := slices.DeleteFunc(stored, func(key string) bool { return listed[key] })
	if len(rubbish) == 0 {
		return nil
	}
	return l.c.Bucket.Delete(ctx, rubbish[:min(len(rubbish), maxCollected)]...)
}
