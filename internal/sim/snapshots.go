package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// keptSnapshot is a snapshot that was completed, with what it answered at once. Whatever happens later, it answers the same.
type keptSnapshot struct {
	tenant, name string
	id           uint64
	want         reading
}

// snapshotNames are few, so that names are used again.
var snapshotNames = []string{"x", "y", "z"}

// snapshot makes, finishes or deletes one, and looks at those that there are.
func (w *world) snapshot() {
	w.counts["snapshot"]++
	switch w.rng.IntN(8) {
	case 0, 1:
		w.checkSnapshots()
	case 2:
		w.deleteSnapshot()
	case 3:
		w.export()
	case 4:
		w.restore()
	default:
		w.makeSnapshot()
	}
}

func (w *world) makeSnapshot() {
	ctx := context.Background()
	m := w.tool("snapshooter", 10)
	tenant, name := tenants[w.rng.IntN(len(tenants))], snapshotNames[w.rng.IntN(len(snapshotNames))]
	do := m.c.Catalog.CreateSnapshot
	if w.rng.IntN(3) == 0 {
		do = m.c.Catalog.FinishSnapshot
	}
	s, err := do(ctx, tenant, name)
	w.note("snapshot %s of %s: %v", name, tenant, err)
	switch {
	case err != nil:
		if m.fate == noFault && !allowed(err) && !errors.Is(err, model.ErrNotFound) && !errors.Is(err, model.ErrInvalid) {
			w.broken("make snapshot: unexpected error: %w", err)
		}
		return
	case slices.ContainsFunc(w.snapshots, func(k keptSnapshot) bool { return k.tenant == tenant && k.name == name }):
		return // FinishSnapshot returns one that is complete
	case w.goingSnapshots[s.ID]:
		return // or one that is being deleted
	}
	got, err := w.readSnapshot(tenant, catalog.SnapshotRef{Name: name, ID: s.ID})
	if errors.Is(err, errGone) {
		return // others deleted it while we stood still
	}
	if err != nil {
		w.broken("read snapshot %s of %s at once: %w", name, tenant, err)
		return
	}
	w.counts["snapshot made"]++
	w.snapshots = append(w.snapshots, keptSnapshot{tenant, name, s.ID, got})
}

func (w *world) deleteSnapshot() {
	if len(w.snapshots) == 0 {
		return
	}
	m := w.tool("snapshooter", 10)
	k := w.snapshots[w.rng.IntN(len(w.snapshots))]
	// From the first call on it may go, and who finishes it meanwhile finds it complete.
	w.goingSnapshots[k.id] = true
	w.snapshots = slices.DeleteFunc(w.snapshots, func(x keptSnapshot) bool { return x.tenant == k.tenant && x.name == k.name })
	err := m.c.Catalog.DeleteSnapshot(context.Background(), k.tenant, k.name)
	w.note("delete snapshot %s of %s: %v", k.name, k.tenant, err)
	if err != nil && m.fate == noFault && !allowed(err) && !errors.Is(err, model.ErrInvalid) {
		w.broken("delete snapshot: unexpected error: %w", err)
	}
}

// errGone: the root does not name the snapshot any more.
var errGone = errors.New("the snapshot is gone")

// readSnapshot reads all that the snapshot holds; a ref without an ID is the one that the root names.
func (w *world) readSnapshot(tenant string, ref catalog.SnapshotRef) (reading, error) {
	ctx := context.Background()
	c, _ := w.components(nil, 0)
	root, err := c.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(root.Snapshots, func(x catalog.SnapshotRef) bool {
		return x.Name == ref.Name && (x.ID == ref.ID || ref.ID == 0) && x.Complete
	})
	if at < 0 {
		return nil, errGone
	}
	s, err := c.Catalog.OpenSnapshot(ctx, tenant, root.Snapshots[at])
	if err != nil {
		return nil, err
	}
	got := reading{}
	for _, d := range s.Days {
		p, err := c.Catalog.SnapshotDay(ctx, s, d.Day)
		if err == nil {
			err = readDay(ctx, c.Bucket, p, got)
		}
		if err != nil {
			return nil, err
		}
	}
	return got, nil
}

// readDay reads all of a partition, its rollups as well.
func readDay(ctx context.Context, bucket *blob.Bucket, p *catalog.Partition, got reading) error {
	if err := readRaw(ctx, bucket, p, got); err != nil {
		return err
	}
	rolled, err := readRollups(ctx, bucket, p)
	for k, v := range rolled {
		for a := range v {
			got[key{k.tenant, fmt.Sprintf("%d %d %s", k.resolutionMs, a, k.series), k.end}] = finding{v[a], 1}
		}
	}
	return err
}

// readRaw reads the live blocks of raw samples, by ascending order.
func readRaw(ctx context.Context, bucket *blob.Bucket, p *catalog.Partition, got reading) error {
	for _, e := range byOrder(p.Blocks) {
		masks, err := catalog.BlockMasks(p.Masks(&e))
		if err != nil {
			return err
		}
		sel, err := blocks.Select(ctx, blocks.Stored{Bucket: bucket}, e.Meta, &blocks.Query{Range: everything, Masks: masks})
		if err == nil {
			err = got.take(p.Tenant, sel)
		}
		if err != nil {
			return fmt.Errorf("read block %s of %s %v: %w", e.ID, p.Tenant, p.Day, err)
		}
	}
	return nil
}

// checkSnapshots demands that each answers what it answered when it was made.
func (w *world) checkSnapshots() {
	for _, k := range w.snapshots {
		got, err := w.readSnapshot(k.tenant, catalog.SnapshotRef{Name: k.name})
		if err != nil {
			w.broken("snapshot %s of %s: %w", k.name, k.tenant, err)
			return
		}
		if err := sameReading(got, k.want); err != nil {
			w.broken("snapshot %s of %s answers otherwise than when it was made: %w", k.name, k.tenant, err)
			return
		}
	}
}

// endSnapshots looks at all of them for the last time, and deletes them.
func (w *world) endSnapshots() {
	w.checkSnapshots()
	w.snapshots = nil
	c, _ := w.components(nil, 0)
	for _, tenant := range tenants {
		if _, err := c.Catalog.ForgetSnapshots(context.Background(), tenant, func(catalog.SnapshotRef) bool { return true }); err != nil {
			w.broken("delete the snapshots of %s without faults: %w", tenant, err)
		}
	}
}
