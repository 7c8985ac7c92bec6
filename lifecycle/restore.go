package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// RestoreOptions say how a snapshot is restored.
type RestoreOptions struct {
	// Days bounds the days; nil takes all of the snapshot.
	Days *model.TimeRange
	// Exact and UndoDeletes are those of catalog.Restore.
	Exact, UndoDeletes bool
	// DryRun changes nothing.
	DryRun bool
}

// RestoreReport is what a restore changed, or would change.
type RestoreReport struct {
	Tenant   string `json:"tenant"`
	Snapshot string `json:"snapshot"`
	Days     int    `json:"days"`
	Changed  int    `json:"changed_days"`
	// Revived are blocks that became live again, Retired those that went out of use, Lost the ones among these with samples that the snapshot does not
	// have, and LostSamples how many there are at most.
	Revived     int   `json:"revived_blocks"`
	Retired     int   `json:"retired_blocks"`
	Lost        int   `json:"lost_blocks"`
	LostSamples int64 `json:"lost_samples"`
	// Deletes are the ids of deletes made since the snapshot, which are undone.
	Deletes []string `json:"undone_deletes"`
	DryRun  bool     `json:"dry_run"`
}

// Restore makes the blocks of a snapshot live again, day by day, each in one commit: see catalog.Restore for what happens to what came since. It looks at all days
// before it changes the first, and refuses, with model.ErrInvalid, when series were deleted since and opts does not say that they may come back.
// Ended half way it is called again.
func Restore(ctx context.Context, at Place, tenant, name string, opts RestoreOptions) (r RestoreReport, err error) {
	r = RestoreReport{Tenant: tenant, Snapshot: name, Deletes: []string{}, DryRun: opts.DryRun}
	root, err := at.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	ref, err := root.Snapshot(name)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	snap, err := at.Catalog.OpenSnapshot(ctx, tenant, ref)
	if err != nil {
		return r, fmt.Errorf("restore: %w", err)
	}
	each := func(do func(catalog.Restore, model.Day) error) error {
		for _, d := range snap.Days {
			if opts.Days != nil && !d.Day.Range().Overlaps(*opts.Days) {
				continue
			}
			p, err := at.Catalog.SnapshotDay(ctx, snap, d.Day)
			if err == nil {
				err = do(catalog.Restore{Day: p, Exact: opts.Exact, UndoDeletes: opts.UndoDeletes}, d.Day)
			}
			if err != nil {
				return fmt.Errorf("restore %s of snapshot %s: %w", d.Day.Dashed(), name, err)
			}
		}
		return nil
	}
	var revived []*catalog.Partition
	err = each(func(op catalog.Restore, day model.Day) error {
		p, err := at.Catalog.Partition(ctx, tenant, day, nil)
		if err != nil {
			return err
		}
		plan, err := op.Plan(p)
		if err != nil {
			return err
		}
		r.add(&plan)
		if len(plan.Revive) > 0 {
			revived = append(revived, op.Day)
		}
		return nil
	})
	if err == nil && len(revived) > 0 {
		err = r.addRequests(ctx, at, snap, catalog.SnapshotKey(tenant, ref), revived)
	}
	deletes := catalog.Asked(r.Deletes)
	switch {
	case err != nil || opts.DryRun:
		return r, err
	case len(deletes) > 0 && !opts.UndoDeletes:
		return r, fmt.Errorf("restore: series were deleted since snapshot %s (%d deletes, the first %s), and would come back: %w", name, len(deletes), deletes[0], model.ErrInvalid)
	}
	return r, each(func(op catalog.Restore, day model.Day) error {
		_, err := at.Catalog.Commit(ctx, tenant, day, op)
		return err
	})
}

// addRequests adds the deletes that were made since the snapshot and masked samples of the days, which are those of the snapshot of which blocks come back. The catalogs need not know
// them any more: a tombstone is forgotten some days after it was applied, and where nothing was left no block tells of it either. But the requests are kept. What is compared
// are times of the bucket.
func (r *RestoreReport) addRequests(ctx context.Context, at Place, snap *catalog.Snapshot, key string, days []*catalog.Partition) error {
	sinceMs := int64(0)
	for o, err := range at.Bucket.List(ctx, key) {
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if o.Key == key {
			// Its catalogs were read before it was written.
			sinceMs = o.Modified.UnixMilli() - (snap.TakenMs - snap.CreatedMs)
		}
	}
	prefix := catalog.DeletionPrefix(r.Tenant)
	var made []string
	for o, err := range at.Bucket.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("restore: look for deletes: %w", err)
		}
		if o.Modified.UnixMilli() >= sinceMs {
			made = append(made, strings.TrimPrefix(o.Key, prefix))
		}
	}
	for _, id := range made {
		d, err := at.Catalog.Deletion(ctx, r.Tenant, id)
		if err != nil {
			return fmt.Errorf("restore: look for deletes: %w", err)
		}
		if slices.ContainsFunc(days, func(p *catalog.Partition) bool { return d.DayOf(p.Day) != nil && !knows(p, d.ID) }) {
			r.addDelete(d.ID)
		}
	}
	return nil
}

// knows reports whether the delete is in the partition, in force or applied to a block.
func knows(p *catalog.Partition, id string) bool {
	return slices.ContainsFunc(p.Tombstones, func(t catalog.Tombstone) bool { return t.ID == id }) ||
		slices.ContainsFunc(p.All(), func(e catalog.Entry) bool { return slices.Contains(e.Tombstones, id) })
}

func (r *RestoreReport) addDelete(id string) {
	if !slices.Contains(r.Deletes, id) {
		r.Deletes = append(r.Deletes, id)
	}
}

func (r *RestoreReport) add(p *catalog.RestorePlan) {
	r.Days++
	if !p.None() {
		r.Changed++
	}
	r.Revived, r.Retired, r.Lost = r.Revived+len(p.Revive), r.Retired+len(p.Retire), r.Lost+len(p.Newer)
	for _, e := range p.Newer {
		r.LostSamples += e.Samples
	}
	for _, id := range p.Deletes {
		r.addDelete(id)
	}
}
