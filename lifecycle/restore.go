package lifecycle

import (
	"context"
	"fmt"
	"slices"

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
		return nil
	})
	switch {
	case err != nil || opts.DryRun:
		return r, err
	case len(r.Deletes) > 0 && !opts.UndoDeletes:
		return r, fmt.Errorf("restore: series were deleted since snapshot %s (%d deletes, the first %s), and would come back: %w", name, len(r.Deletes), r.Deletes[0], model.ErrInvalid)
	}
	return r, each(func(op catalog.Restore, day model.Day) error {
		_, err := at.Catalog.Commit(ctx, tenant, day, op)
		return err
	})
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
		if !slices.Contains(r.Deletes, id) {
			r.Deletes = append(r.Deletes, id)
		}
	}
}
