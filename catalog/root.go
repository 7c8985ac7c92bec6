package catalog

import (
	"maps"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Root is one reading of a tenant's root. Immutable once returned by a Store.
type Root struct {
	Tenant string
	Head
	// Days are the days that have, or are about to get, a catalog; ascending.
	Days []model.Day
	// Settings are the tenant's stored settings. None are defined yet; unknown ones are kept as they are.
	Settings map[string]string
	// Snapshots are the snapshots that exist or are being made.
	Snapshots []SnapshotRef
	// GravestoneMs is when the tenant was deleted, 0 for a living one.
	GravestoneMs int64

	// Version is the version of the object; it and Missing are not stored.
	Version blob.Version
	// Missing: there is no object, so the tenant has never been written to.
	Missing bool
	bytes   int
}

// SnapshotRef is a snapshot as the root knows it.
type SnapshotRef struct {
	Name string
	// ID tells it apart from earlier and later ones of the name.
	ID        uint64
	CreatedMs int64
	// Complete is false while catalogs are still being read; collection then spares everything.
	Complete bool
}

// Has reports whether the day is in the root.
func (r *Root) Has(day model.Day) bool {
	_, ok := slices.BinarySearch(r.Days, day)
	return ok
}

// addDay enters the day.
func (r *Root) addDay(day model.Day) {
	if at, ok := slices.BinarySearch(r.Days, day); !ok {
		r.Days = slices.Insert(r.Days, at, day)
	}
}

func (r *Root) clone() *Root {
	c := *r
	c.Days = slices.Clone(r.Days)
	c.Settings = maps.Clone(r.Settings)
	c.Snapshots = slices.Clone(r.Snapshots)
	return &c
}
