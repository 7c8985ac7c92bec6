package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Snapshot is the head of a snapshot: which days it holds and where in its object they lie. The days themselves are read one by one
// ([Store.SnapshotDay]), for a tenant may have years of them. Immutable.
//
// A snapshot is one object, created once, of the live blocks of all days of a tenant with the tombstones that masked them. It needs no catalog to be
// read, so whatever merges, expires or is deleted afterwards does not change what it answers; and collection spares the objects of the blocks that it names.
// The days are read one after another: what was committed before the snapshot was begun is in it, what is committed while it is being made may or may not be.
type Snapshot struct {
	Tenant, Name string
	// ID tells snapshots apart that had the same name one after another.
	ID uint64
	// CreatedMs is when the snapshot was registered; its catalogs were read after that, and until TakenMs.
	CreatedMs, TakenMs int64
	// Days are those that had blocks, ascending.
	Days []SnapshotDay
}

// SnapshotDay is where a day lies in the object, and how much it is.
type SnapshotDay struct {
	Day model.Day
	// Blocks and Bytes are the sums over the day's blocks, rollups included. Samples are those of raw blocks: rollups hold the same ones again.
	Blocks, Samples, Bytes int64
	// offset and length are those of the day's section.
	offset, length int64
}

// Find returns the day, or nil if the snapshot has nothing of it.
func (s *Snapshot) Find(day model.Day) *SnapshotDay {
	at, ok := slices.BinarySearchFunc(s.Days, day, func(d SnapshotDay, day model.Day) int { return cmp.Compare(d.Day, day) })
	if !ok {
		return nil
	}
	return &s.Days[at]
}

// Total sums up the days.
func (s *Snapshot) Total() (blocks, samples, bytes int64) {
	for _, d := range s.Days {
		blocks, samples, bytes = blocks+d.Blocks, samples+d.Samples, bytes+d.Bytes
	}
	return blocks, samples, bytes
}

// Snapshot returns what the root knows of the snapshot of a name. The error wraps model.ErrInvalid if there is none, or if it is not complete.
func (r *Root) Snapshot(name string) (SnapshotRef, error) {
	ref, ok := r.findSnapshot(name)
	switch {
	case !ok:
		return ref, fmt.Errorf("tenant %s has no snapshot %.80q: %w", r.Tenant, name, model.ErrInvalid)
	case !ref.Complete:
		return ref, fmt.Errorf("snapshot %s of tenant %s is not complete: its making was not finished: %w", name, r.Tenant, model.ErrInvalid)
	}
	return ref, nil
}

func (r *Root) findSnapshot(name string) (SnapshotRef, bool) {
	for _, ref := range r.Snapshots {
		if ref.Name == name {
			return ref, true
		}
	}
	return SnapshotRef{}, false
}

// SnapshotPrefix begins the keys of a tenant's snapshots.
func SnapshotPrefix(tenantName string) string { return KeyPrefix + tenantName + "/s/" }

// SnapshotKey is the key of the object of a snapshot. It holds the id, so that no key is used twice: whoever creates or deletes an object late
// cannot hit a later snapshot of the same name.
func SnapshotKey(tenantName string, ref SnapshotRef) string {
	return fmt.Sprintf("%s%s.%016x", SnapshotPrefix(tenantName), ref.Name, ref.ID)
}

// ParseSnapshotKey is the inverse of SnapshotKey. ok is false for any other key.
func ParseSnapshotKey(key string) (tenantName string, ref SnapshotRef, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0] != "t" || parts[2] != "s" || tenant.Check(parts[1]) != nil {
		return "", ref, false
	}
	name, id, ok := strings.Cut(parts[3], ".")
	if _, err := fmt.Sscanf(id, "%016x", &ref.ID); !ok || err != nil || CheckSnapshotName(name) != nil {
		return "", ref, false
	}
	ref.Name = name
	return parts[1], ref, SnapshotKey(parts[1], ref) == key
}

// CheckSnapshotName returns an error that wraps model.ErrInvalid unless the name matches [A-Za-z0-9_-]{1,64}, as names of tenants do.
func CheckSnapshotName(name string) error {
	if err := tenant.Check(name); err != nil {
		return fmt.Errorf("snapshot %w", err)
	}
	return nil
}
