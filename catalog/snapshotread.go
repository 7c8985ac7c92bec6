package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/model"
)

// snapshotGuess is how much of the object is fetched at once for the head: that of ten years.
const snapshotGuess = 64 << 10

// OpenSnapshot reads the head of a snapshot that a root names. The error wraps model.ErrNotFound if the object is gone, as it is when the
// snapshot was deleted since.
func (s *Store) OpenSnapshot(ctx context.Context, tenantName string, ref SnapshotRef) (*Snapshot, error) {
	snap, err := s.openSnapshot(ctx, tenantName, ref)
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s of tenant %s: %w", ref.Name, tenantName, err)
	}
	return snap, nil
}

func (s *Store) openSnapshot(ctx context.Context, tenantName string, ref SnapshotRef) (*Snapshot, error) {
	key := SnapshotKey(tenantName, ref)
	data, size, err := s.bucket.GetFirst(ctx, key, snapshotGuess)
	if err != nil {
		return nil, err
	}
	n, err := headLength(data)
	if err != nil {
		return nil, err
	}
	end := snapshotPrefix + n
	if end > size {
		return nil, fmt.Errorf("object has %d bytes, its head ends at %d: %w", size, end, model.ErrCorrupt)
	}
	if end > int64(len(data)) {
		rest, err := s.bucket.GetRange(ctx, key, int64(len(data)), end-int64(len(data)))
		if err != nil {
			return nil, err
		}
		data = append(data, rest...)
	}
	return s.codec.openSnapshot(data[snapshotPrefix:end], tenantName, ref, size)
}

// SnapshotDay reads a day of a snapshot as a partition. It returns nil if the snapshot has nothing of the day.
func (s *Store) SnapshotDay(ctx context.Context, snap *Snapshot, day model.Day) (*Partition, error) {
	d := snap.Find(day)
	if d == nil {
		return nil, nil
	}
	p, err := s.snapshotDay(ctx, snap, d)
	if err != nil {
		return nil, fmt.Errorf("read day %s of snapshot %s of tenant %s: %w", day.Dashed(), snap.Name, snap.Tenant, err)
	}
	return p, nil
}

func (s *Store) snapshotDay(ctx context.Context, snap *Snapshot, d *SnapshotDay) (*Partition, error) {
	data, err := s.bucket.GetRange(ctx, SnapshotKey(snap.Tenant, SnapshotRef{Name: snap.Name, ID: snap.ID}), d.offset, d.length)
	if err != nil {
		return nil, err
	}
	dec, err := s.codec.open(data, kindPartition)
	if err != nil {
		return nil, err
	}
	p := dec.partition(snap.Tenant, d.Day)
	if err := dec.finish(); err != nil {
		return nil, err
	}
	p.Bytes = len(data)
	return p, nil
}

// Kept is what a snapshot keeps of one day.
type Kept struct {
	SnapshotRef
	// Partition is the day as the snapshot has it; nil while the snapshot is being made, when it may come to name anything.
	Partition *Partition
}

// SnapshotsOf returns what the snapshots in the root keep of a day: those being made, and those that have blocks of it. Collection spares what they name,
// and an erasure is not complete while they hold the data.
func (s *Store) SnapshotsOf(ctx context.Context, root *Root, day model.Day) ([]Kept, error) {
	var out []Kept
	for _, ref := range root.Snapshots {
		k := Kept{SnapshotRef: ref}
		if ref.Complete {
			snap, err := s.OpenSnapshot(ctx, root.Tenant, ref)
			if err == nil {
				k.Partition, err = s.SnapshotDay(ctx, snap, day)
			}
			if err != nil {
				return nil, s.stillThere(ctx, root, ref, err)
			}
			if k.Partition == nil {
				continue
			}
		}
		out = append(out, k)
	}
	return out, nil
}

// stillThere explains why a snapshot could not be read: one that was deleted since the root was read is no damage.
func (s *Store) stillThere(ctx context.Context, root *Root, ref SnapshotRef, err error) error {
	if !errors.Is(err, model.ErrNotFound) {
		return err
	}
	now, rootErr := s.Root(ctx, root.Tenant, root)
	switch {
	case rootErr != nil:
		return rootErr
	case !now.names(ref):
		return fmt.Errorf("snapshot %s was deleted meanwhile: %w", ref.Name, model.ErrUnavailable)
	}
	return fmt.Errorf("snapshot %s of tenant %s is in the root, but its object is missing or may not be read (%w): %w", ref.Name, root.Tenant, err, model.ErrCorrupt)
}

// names reports whether the root has this very snapshot.
func (r *Root) names(ref SnapshotRef) bool {
	have, ok := r.findSnapshot(ref.Name)
	return ok && have.ID == ref.ID
}

// SnapshotView is the view of a range of a tenant's time as a snapshot has it. known, if not nil, gives days that were read before. The view is
// confirmed: it never changes.
func (s *Store) SnapshotView(ctx context.Context, root *Root, snap *Snapshot, r model.TimeRange, known func(model.Day) *Partition) (*View, error) {
	v := &View{Root: root, Confirmed: true, tenant: snap.Tenant, r: r}
	var jobs []func(context.Context) error
	var days []model.Day
	for _, d := range snap.Days {
		if d.Day.Range().Overlaps(r) {
			days = append(days, d.Day)
		}
	}
	v.Partitions = make([]*Partition, len(days))
	for i, day := range days {
		if known != nil {
			v.Partitions[i] = known(day)
		}
		if v.Partitions[i] == nil {
			jobs = append(jobs, func(ctx context.Context) (err error) {
				v.Partitions[i], err = s.SnapshotDay(ctx, snap, day)
				return err
			})
		}
	}
	return v, s.all(ctx, jobs)
}
