package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// A deleted tenant keeps its root and its catalogs as gravestones: the time of the deletion and no more than it takes to refuse.
//
//   - The root comes first. From its commit on no day can be entered, so the set of days, which the gravestone keeps, is final.
//   - Then each of these days gets a gravestone, whether it had a catalog or not: a writer may have entered the day and be about to create
//     the catalog, and finds its key taken. A catalog that was not buried yet takes commits as before, and they are buried with it.
//
// From the last of them on no block of the tenant can become live, whoever uploads what, and however late: each commit reads a state
// that refuses, or is conditional on a version that is gone for ever. That is more than the list of dropped ids gives, which refuses some ids
// for a week; so the objects of a deleted tenant are deleted without a commit that names them.
//
// Gravestones have no end: a name is not given to anybody again. A writer that was away for a year may still hold records of the tenant in
// its log, and nothing but the gravestone keeps them out of the data of a namesake. It costs some 60 bytes a day of the tenant.

// DeleteTenant makes the tenant's root a gravestone and returns it; one that is a gravestone already stays as it is. [Store.Bury] has to
// follow for each of its days, which any lifecycle worker does too. The error wraps model.ErrNotFound if there is no such tenant, model.ErrConflict
// if it has snapshots, which have to be deleted first.
func (s *Store) DeleteTenant(ctx context.Context, tenantName string) (*Root, error) {
	if err := tenant.Check(tenantName); err != nil {
		return nil, fmt.Errorf("delete tenant %w", err)
	}
	out, err := update(ctx, s, rootObject(tenantName), func(r *Root) (bool, error) {
		switch {
		case r.GravestoneMs != 0:
			return false, nil
		case r.Missing:
			return false, fmt.Errorf("no tenant of this name has data or settings: %w", model.ErrNotFound)
		case len(r.Snapshots) > 0:
			return false, fmt.Errorf("it has snapshots, which keep its blocks; delete them first: %s: %w", snapshotNames(r), model.ErrConflict)
		}
		r.GravestoneMs, r.Settings = max(s.nowMs(), 1), nil
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete tenant %s: %w", tenantName, err)
	}
	return out.state, nil
}

func snapshotNames(r *Root) string {
	names := make([]string, len(r.Snapshots))
	for i, s := range r.Snapshots {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

// Bury makes the catalog of a day of a deleted tenant a gravestone, also where there is none. The root must be a gravestone and name the day:
// the error wraps model.ErrInvalid otherwise.
func (s *Store) Bury(ctx context.Context, root *Root, day model.Day) (*Partition, error) {
	if root.GravestoneMs == 0 || !root.Has(day) {
		return nil, fmt.Errorf("bury %s: the root is no gravestone that names the day: %w", partitionKey(root.Tenant, day), model.ErrInvalid)
	}
	out, err := update(ctx, s, partitionObject(root.Tenant, day), func(p *Partition) (bool, error) {
		if p.GravestoneMs != 0 {
			return false, nil
		}
		*p = Partition{
			Tenant: p.Tenant, Day: p.Day, Head: p.Head, Flushed: map[string]uint64{}, GravestoneMs: max(s.nowMs(), 1),
			Version: p.Version, Missing: p.Missing, Bytes: p.Bytes,
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("bury %s: %w", partitionKey(root.Tenant, day), err)
	}
	return out.state, nil
}

// IsDeleted reports whether the tenant was deleted, as far as its root can be read. A root that may be missing or forbidden counts as one that is
// missing: a caller that may not read it learns from the next commit.
func (s *Store) IsDeleted(ctx context.Context, tenantName string) (bool, error) {
	r, err := read(ctx, s, rootObject(tenantName), nil)
	if err != nil && !errors.Is(err, model.ErrNotFound) && !blob.IsDenied(err) {
		return false, err
	}
	return err == nil && r.GravestoneMs != 0, nil
}
