package catalog

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Deletion is a request to delete series as the bucket keeps it: an object created once, before the first tombstone of the request is committed. It
// makes a repeated request the same request, tells the erasure report what to look for, and lets a rebuild of catalogs mask again what was
// masked. Immutable.
type Deletion struct {
	Tenant, ID string
	CreatedMs  int64
	Range      model.TimeRange
	// Matchers are as in Tombstone.
	Matchers string
	// Days are those with a catalog within the range, ascending, with the generations that were in it just before the tombstone was: those that are
	// masked. A generation that a writer committed in between is masked as well, by the catalog's order, but not named here; it holds
	// only what was written while the request ran, or by a writer that was not reached.
	Days []DeletionDay
	// Unreached are the active writers that could not be asked to flush: what they held in their logs is not masked. Of a repeat, those that are left.
	Unreached []string
	// Of is the id of the first call if this is a repeat that completes it, else "".
	Of string
	// Known are all writers of the roster at the time. One that came later and goes on for one that was adopted brings what
	// that had not flushed. nil in deletions of the first version of the format.
	Known []string
}

// DeletionDay is one day of a Deletion.
type DeletionDay struct {
	Day model.Day
	// Flushed holds the highest masked generation by writer.
	Flushed map[string]uint64
	// Since holds the generations that earlier calls have masked. nil for a first call.
	Since map[string]uint64
}

// Tombstone is the tombstone of one day.
func (d *Deletion) Tombstone() Tombstone {
	return Tombstone{ID: d.ID, CreatedMs: d.CreatedMs, Range: d.Range, Matchers: d.Matchers}
}

// Same reports whether both ask for the same.
func (d *Deletion) Same(o *Deletion) bool {
	return d.Tenant == o.Tenant && d.ID == o.ID && d.Range == o.Range && d.Matchers == o.Matchers
}

// DayOf returns the day of the deletion, or nil.
func (d *Deletion) DayOf(day model.Day) *DeletionDay {
	at, ok := slices.BinarySearchFunc(d.Days, day, func(x DeletionDay, day model.Day) int { return cmp.Compare(x.Day, day) })
	if !ok {
		return nil
	}
	return &d.Days[at]
}

// DeletionPrefix begins the keys of a tenant's deletions.
func DeletionPrefix(tenantName string) string { return "t/" + tenantName + "/x/" }

func deletionKey(tenantName, id string) string { return DeletionPrefix(tenantName) + id }

// CreateDeletion stores the deletion unless one of its id exists, and returns the one that is stored.
func (s *Store) CreateDeletion(ctx context.Context, d *Deletion) (*Deletion, error) {
	if err := tenant.Check(d.ID); err != nil {
		return nil, fmt.Errorf("deletion id: %w", err)
	}
	data, err := s.codec.sealVersion(kindDeletion, d.version(), d.appendPayload(nil))
	if err != nil {
		return nil, fmt.Errorf("create deletion %s: %w", d.ID, err)
	}
	_, err = s.bucket.PutIfAbsent(ctx, deletionKey(d.Tenant, d.ID), data)
	switch {
	case errors.Is(err, model.ErrConflict):
		return s.Deletion(ctx, d.Tenant, d.ID)
	case err != nil:
		return nil, fmt.Errorf("create deletion %s: %w", d.ID, err)
	}
	return d, nil
}

// Deletion reads a deletion. The error wraps model.ErrNotFound if there is none of the id.
func (s *Store) Deletion(ctx context.Context, tenantName, id string) (*Deletion, error) {
	if err := tenant.Check(id); err != nil {
		return nil, fmt.Errorf("deletion id: %w", err)
	}
	data, _, err := s.bucket.Get(ctx, deletionKey(tenantName, id))
	switch {
	case errors.Is(err, model.ErrNotFound) && !blob.IsDenied(err):
		return nil, fmt.Errorf("tenant %s has no deletion %s: %w", tenantName, id, model.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("read deletion %s: %w", id, err)
	}
	d, err := s.codec.open(data, kindDeletion)
	if err != nil {
		return nil, fmt.Errorf("read deletion %s: %w", id, err)
	}
	out := d.deletion(tenantName, id)
	if err := d.finish(); err != nil {
		return nil, fmt.Errorf("read deletion %s: %w", id, err)
	}
	return out, nil
}

// appendPayload encodes the deletion. It has no head: it never changes.
//
//	string   tenant
//	string   id
//	varint   created ms
//	varint   min ms, varint max ms: the range, both ends included
//	string   matchers
//	list     days:      varint difference to the day before (the first to 0), ascending;
//	                    list of flushed: string writer, uvarint generation; sorted by writer
//	list     unreached: string writer
//	string   of                                           (version 2, as what follows)
//	list     known:     string writer
//	list     since:     one for each day of a repeat, and none for a first call: list of flushed
func (d *Deletion) appendPayload(b []byte) []byte {
	b = appendString(appendString(b, d.Tenant), d.ID)
	b = binary.AppendVarint(b, d.CreatedMs)
	b = binary.AppendVarint(b, d.Range.MinMs)
	b = binary.AppendVarint(b, d.Range.MaxMs)
	b = appendString(b, d.Matchers)
	before := int64(0)
	b = appendList(b, d.Days, func(b []byte, x DeletionDay) []byte {
		b = binary.AppendVarint(b, int64(x.Day)-before)
		before = int64(x.Day)
		return appendFlushed(b, x.Flushed)
	})
	b = appendList(b, d.Unreached, appendString)
	if d.version() < versionRepeats {
		return b
	}
	b = appendString(b, d.Of)
	b = appendList(b, d.Known, appendString)
	if d.Of == "" {
		return appendList(b, nil, func(b []byte, _ DeletionDay) []byte { return b })
	}
	return appendList(b, d.Days, func(b []byte, x DeletionDay) []byte { return appendFlushed(b, x.Since) })
}

// version is the lowest version of the payload that can say what d is.
func (d *Deletion) version() byte {
	if d.Of == "" && len(d.Known) == 0 {
		return versionFirst
	}
	return versionRepeats
}

func (d *decoder) deletion(tenantName, id string) *Deletion {
	out := &Deletion{
		Tenant: d.name(tenantName), ID: d.name(id), CreatedMs: d.varint(),
		Range: model.TimeRange{MinMs: d.varint(), MaxMs: d.varint()}, Matchers: d.string(),
	}
	day := int64(0)
	out.Days = list(d, 2, func() DeletionDay {
		day += d.varint()
		return DeletionDay{Day: model.Day(day), Flushed: d.flushed()}
	})
	for i := 1; i < len(out.Days); i++ {
		if out.Days[i-1].Day >= out.Days[i].Day {
			d.failf("days are not ascending")
		}
	}
	out.Unreached = list(d, 1, d.string)
	if d.version < versionRepeats {
		return out
	}
	out.Of, out.Known = d.string(), list(d, 1, d.string)
	since := list(d, 1, d.flushed)
	switch {
	case out.Of == "" && len(since) == 0:
	case out.Of == "" || len(since) != len(out.Days):
		d.failf("%d vectors of earlier calls for %d days", len(since), len(out.Days))
	default:
		for i := range since {
			out.Days[i].Since = since[i]
		}
	}
	return out
}
