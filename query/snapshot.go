package query

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Queries at a snapshot read what the snapshot names and nothing else: no writer is asked, no log is read, and no catalog either. The root, which is asked
// for again each time, says whether the snapshot is still there; its head and days never change, and are kept like catalogs. So the first query
// takes two stages more than one of the present, and later ones as many.

type snapshotKey struct{}

// WithSnapshot returns a context whose queries are answered from the tenant's snapshot of the name. A query fails with model.ErrInvalid if there is none.
func WithSnapshot(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, snapshotKey{}, name)
}

// SnapshotOf returns the name of the snapshot that queries in the context are answered from, "" for the present.
func SnapshotOf(ctx context.Context) string {
	name, _ := ctx.Value(snapshotKey{}).(string)
	return name
}

// snapshot reads the view of a snapshot.
func (v *views) snapshot(ctx context.Context, tenant, name string, r model.TimeRange) (*view, error) {
	w, err := v.readSnapshot(ctx, tenant, name, r)
	if err != nil && errors.Is(err, model.ErrNotFound) {
		// The root named it a moment ago.
		return nil, fmt.Errorf("snapshot %s was deleted meanwhile, or may not be read: %w: %w", name, err, model.ErrUnavailable)
	}
	return w, err
}

func (v *views) readSnapshot(ctx context.Context, tenant, name string, r model.TimeRange) (*view, error) {
	if err := catalog.CheckSnapshotName(name); err != nil {
		return nil, err
	}
	known, _ := cached[catalog.Root](v.cache, rootKey(tenant))
	root, err := v.catalog.Root(ctx, tenant, known)
	if err != nil {
		return nil, err
	}
	keep(v.cache, rootKey(tenant), root, rootBytes)
	ref, err := root.Snapshot(name)
	if err != nil {
		return nil, err
	}
	key := catalog.SnapshotKey(tenant, ref)
	snap, ok := cached[catalog.Snapshot](v.cache, key)
	if !ok {
		if snap, err = v.catalog.OpenSnapshot(blob.AfterStage(ctx, blob.LastStage(ctx)), tenant, ref); err != nil {
			return nil, err
		}
		keep(v.cache, key, snap, snapshotBytes)
	}
	dayKey := func(day model.Day) string { return key + "/" + strconv.Itoa(int(day)) }
	cv, err := v.catalog.SnapshotView(blob.AfterStage(ctx, blob.LastStage(ctx)), root, snap, r, func(day model.Day) *catalog.Partition {
		p, _ := cached[catalog.Partition](v.cache, dayKey(day))
		return p
	})
	if err != nil {
		return nil, err
	}
	for _, p := range cv.Partitions {
		keep(v.cache, dayKey(p.Day), p, partitionBytes)
	}
	return &view{tenant: tenant, stage: blob.LastStage(ctx), roster: &catalog.Roster{}, View: cv, snapshot: &ref}, nil
}

// confirmSnapshot finds out whether the snapshot is still there: until it is deleted none of its blocks goes.
func (v *views) confirmSnapshot(ctx context.Context, old *view) (*view, error) {
	root, err := v.catalog.Root(ctx, old.tenant, old.Root)
	if err != nil {
		return nil, err
	}
	ref, err := root.Snapshot(old.snapshot.Name)
	if err == nil && ref.ID != old.snapshot.ID {
		err = fmt.Errorf("snapshot %s was deleted meanwhile, and made anew: %w", ref.Name, model.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	w := *old
	w.stage = blob.LastStage(ctx)
	return &w, nil
}

func snapshotBytes(s *catalog.Snapshot) int64 { return 256 + 48*int64(len(s.Days)) }
