package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// A snapshot is made in four steps, and may be left or taken up again between any two of them:
//
//	register  it is entered in the root as being made; from here on nothing of the tenant is collected
//	read      the catalogs of all days, after the root
//	write     the object, once; who finds it written goes on with what is there, which was read after the same registration
//	complete  the root says so; from here on only what the object names is spared
//
// It is deleted in two: its entry leaves the root, then the object is deleted. An object that no root names is rubbish, be it that
// a deletion ended half way, or that a maker wrote it after the entry had been deleted.
//
// Why nothing that it names is ever collected: collection reads a catalog, then the root, then commits what it drops to the same catalog. Either the root it
// read has the entry, and it spares; or the entry came later, and then the snapshot has read the catalog later too, in which the block was
// retired already. A block that was retired does not become live again but by Restore, whose snapshot was in the root all the while.

// CreateSnapshot makes a snapshot of the tenant. The error wraps model.ErrConflict if one of the name exists or is being made,
// model.ErrNotFound if there is no such tenant. After any other error the snapshot may be left half made: see FinishSnapshot.
func (s *Store) CreateSnapshot(ctx context.Context, tenantName, name string) (*Snapshot, error) {
	if err := checkNames(tenantName, name); err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	id, err := s.random()
	if err != nil {
		return nil, err
	}
	mine := SnapshotRef{Name: name, ID: id, CreatedMs: s.nowMs()}
	_, err = s.UpdateRoot(ctx, tenantName, func(r *Root) error {
		have, ok := r.findSnapshot(name)
		switch {
		case r.Missing:
			return fmt.Errorf("there is no such tenant: %w", model.ErrNotFound)
		case ok && have.ID == mine.ID:
			return nil
		case ok && have.Complete:
			return fmt.Errorf("snapshot %s exists: %w", name, model.ErrConflict)
		case ok:
			return fmt.Errorf("snapshot %s is being made; if nobody is at it any more, finish or delete it: %w", name, model.ErrConflict)
		}
		r.Snapshots = append(r.Snapshots, mine)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("create snapshot %s: %w", name, err)
	}
	return s.makeSnapshot(ctx, tenantName, mine)
}

// FinishSnapshot completes a snapshot whose making was left, and returns one that is complete as it is.
func (s *Store) FinishSnapshot(ctx context.Context, tenantName, name string) (*Snapshot, error) {
	if err := checkNames(tenantName, name); err != nil {
		return nil, fmt.Errorf("finish snapshot: %w", err)
	}
	root, err := s.Root(ctx, tenantName, nil)
	if err != nil {
		return nil, fmt.Errorf("finish snapshot %s: %w", name, err)
	}
	ref, ok := root.findSnapshot(name)
	if !ok {
		return nil, fmt.Errorf("finish snapshot %s: tenant %s has none of this name: %w", name, tenantName, model.ErrInvalid)
	}
	if ref.Complete {
		return s.OpenSnapshot(ctx, tenantName, ref)
	}
	return s.makeSnapshot(ctx, tenantName, ref)
}

// makeSnapshot does what comes after the registration.
func (s *Store) makeSnapshot(ctx context.Context, tenantName string, ref SnapshotRef) (*Snapshot, error) {
	if err := s.writeSnapshot(ctx, tenantName, ref); err != nil {
		return nil, fmt.Errorf("make snapshot %s: %w", ref.Name, err)
	}
	_, err := s.UpdateRoot(ctx, tenantName, func(r *Root) error {
		at := slices.IndexFunc(r.Snapshots, func(have SnapshotRef) bool { return have.ID == ref.ID && have.Name == ref.Name })
		if at < 0 {
			return errUnregistered
		}
		r.Snapshots[at].Complete = true
		return nil
	})
	switch {
	case errors.Is(err, errUnregistered):
		return nil, errors.Join(fmt.Errorf("make snapshot %s: %w", ref.Name, err), s.bucket.Delete(ctx, SnapshotKey(tenantName, ref)))
	case err != nil:
		return nil, fmt.Errorf("complete snapshot %s: %w", ref.Name, err)
	}
	snap, err := s.OpenSnapshot(ctx, tenantName, ref)
	if errors.Is(err, model.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", err, errUnregistered)
	}
	return snap, err
}

var errUnregistered = fmt.Errorf("it was deleted while it was being made: %w", model.ErrConflict)

// writeSnapshot reads the catalogs and writes the object.
func (s *Store) writeSnapshot(ctx context.Context, tenantName string, ref SnapshotRef) error {
	// This reading comes after the registration, and those of the catalogs after it.
	root, err := s.Root(ctx, tenantName, nil)
	if err != nil {
		return err
	}
	snap := &Snapshot{Tenant: tenantName, Name: ref.Name, ID: ref.ID, CreatedMs: ref.CreatedMs}
	var sections [][]byte
	for days := range slices.Chunk(root.Days, snapshotStride) {
		v, err := s.View(ctx, tenantName, model.TimeRange{MinMs: days[0].Range().MinMs, MaxMs: days[len(days)-1].Range().MaxMs}, nil)
		if err != nil {
			return err
		}
		for _, p := range v.Partitions {
			if p.GravestoneMs != 0 {
				return fmt.Errorf("%s/%v: %w", tenantName, p.Day, ErrGravestone)
			}
			if len(p.Blocks)+len(p.Rollups) == 0 || !root.Has(p.Day) {
				continue
			}
			section, err := s.codec.seal(p.forSnapshot())
			if err != nil {
				return err
			}
			d := SnapshotDay{Day: p.Day}
			for _, e := range p.All() {
				d.Blocks, d.Bytes = d.Blocks+1, d.Bytes+e.Size
				if e.Format.ResolutionMs() == 0 {
					d.Samples += e.Samples
				}
			}
			snap.Days, sections = append(snap.Days, d), append(sections, section)
		}
	}
	snap.TakenMs = s.nowMs()
	data, err := s.codec.sealSnapshot(snap, sections)
	if err != nil {
		return err
	}
	_, err = s.bucket.PutIfAbsent(ctx, SnapshotKey(tenantName, ref), data)
	if errors.Is(err, model.ErrConflict) {
		return nil // an earlier try of ours, or somebody who finishes the same snapshot
	}
	return err
}

// snapshotStride is how many catalogs are held at a time.
const snapshotStride = 31

// DeleteSnapshot deletes a snapshot, complete or not. The objects of blocks that only it kept are collected from then on. The error wraps
// model.ErrInvalid if there is none of the name.
func (s *Store) DeleteSnapshot(ctx context.Context, tenantName, name string) error {
	if err := checkNames(tenantName, name); err != nil {
		return fmt.Errorf("delete snapshot: %w", err)
	}
	root, err := s.Root(ctx, tenantName, nil)
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", name, err)
	}
	ref, ok := root.findSnapshot(name)
	if !ok {
		return fmt.Errorf("delete snapshot %s: tenant %s has none of this name: %w", name, tenantName, model.ErrInvalid)
	}
	_, err = s.ForgetSnapshots(ctx, tenantName, func(r SnapshotRef) bool { return r.ID == ref.ID })
	return err
}

// ForgetSnapshots deletes the snapshots for which due holds, and returns them. One that stops being due while it tries stays.
func (s *Store) ForgetSnapshots(ctx context.Context, tenantName string, due func(SnapshotRef) bool) (gone []SnapshotRef, err error) {
	root, err := s.UpdateRoot(ctx, tenantName, func(r *Root) error {
		r.Snapshots = slices.DeleteFunc(r.Snapshots, func(ref SnapshotRef) bool {
			if !due(ref) {
				return false
			}
			if !slices.ContainsFunc(gone, func(g SnapshotRef) bool { return g.ID == ref.ID }) {
				gone = append(gone, ref)
			}
			return true
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete snapshots: %w", err)
	}
	// gone has those of each try: one whose answer was lost has taken them out, of one that was too late they are there, and may have been completed meanwhile.
	gone = slices.DeleteFunc(gone, func(g SnapshotRef) bool {
		return slices.ContainsFunc(root.Snapshots, func(ref SnapshotRef) bool { return ref.ID == g.ID })
	})
	keys := make([]string, len(gone))
	for i, ref := range gone {
		keys[i] = SnapshotKey(tenantName, ref)
	}
	if len(keys) > 0 {
		if err := s.bucket.Delete(ctx, keys...); err != nil {
			return gone, fmt.Errorf("delete objects of snapshots, which are no longer listed: %w", err)
		}
	}
	return gone, nil
}

func checkNames(tenantName, name string) error {
	if err := tenant.Check(tenantName); err != nil {
		return fmt.Errorf("tenant %w", err)
	}
	return CheckSnapshotName(name)
}
