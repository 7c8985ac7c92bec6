package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// Roster is one reading of the list of writers. Immutable once returned by a Store.
type Roster struct {
	Head
	// Writers are ascending by ID.
	Writers []Writer

	// Version is the version of the object; it and Missing are not stored.
	Version blob.Version
	// Missing: there is no object, so nothing was ever acknowledged on this bucket.
	Missing bool
	bytes   int
}

// WriterState says what becomes of a writer's log.
type WriterState uint8

// The states of a writer.
const (
	// Active: the writer may have acknowledged samples that are in no catalog. A query must reach it.
	Active WriterState = 1
	// Clean: everything was flushed before it stopped. It may become active again.
	Clean WriterState = 2
	// Adopted: its log was fenced and flushed by somebody else. The id is never used again.
	Adopted WriterState = 3
)

// String returns the state in lower case.
func (s WriterState) String() string {
	switch s {
	case Active:
		return "active"
	case Clean:
		return "clean"
	case Adopted:
		return "adopted"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Writer is one entry of the roster: one data directory.
type Writer struct {
	ID string
	// Address is where other processes reach its recent samples, host:port, "" if they cannot.
	Address string
	// Mode is its durability mode: "fsync" or "object".
	Mode string
	// Shipping tells whether its log is shipped to the bucket.
	Shipping bool
	// Released is the highest generation with every generation up to it complete. Generations begin at 1; 0 is none.
	Released  uint64
	State     WriterState
	StartedMs int64
}

// Find returns the entry of the id, or nil.
func (r *Roster) Find(id string) *Writer {
	at, ok := slices.BinarySearchFunc(r.Writers, id, func(w Writer, id string) int { return cmp.Compare(w.ID, id) })
	if !ok {
		return nil
	}
	return &r.Writers[at]
}

// set enters or replaces the writer.
func (r *Roster) set(w Writer) {
	at, ok := slices.BinarySearchFunc(r.Writers, w.ID, func(w Writer, id string) int { return cmp.Compare(w.ID, id) })
	if ok {
		r.Writers[at] = w
		return
	}
	r.Writers = slices.Insert(r.Writers, at, w)
}

func (r *Roster) clone() *Roster {
	c := *r
	c.Writers = slices.Clone(r.Writers)
	return &c
}

// UpdateRoster commits what fn makes of the roster. fn gets a copy that it may change, may be called several times
// with different states, and must reach its aim from any of them; if it leaves the copy as it was, nothing is written. Its error ends the update and is returned.
func (s *Store) UpdateRoster(ctx context.Context, fn func(*Roster) error) (*Roster, error) {
	out, err := update(ctx, s, rosterObject(), func(r *Roster) (bool, error) {
		before := slices.Clone(r.Writers)
		if err := fn(r); err != nil {
			return false, err
		}
		slices.SortFunc(r.Writers, func(a, b Writer) int { return cmp.Compare(a.ID, b.ID) })
		return !slices.Equal(before, r.Writers), nil
	})
	if err != nil {
		return nil, fmt.Errorf("update roster: %w", err)
	}
	return out.state, nil
}

// Register enters the writer as active, or brings the address, mode, shipping and start of its entry up to date. It must have
// returned before the writer's first acknowledgement. Released is never lowered. The error wraps model.ErrConflict if the writer was
// adopted: it must take a new id then.
func (s *Store) Register(ctx context.Context, w Writer) (*Roster, error) {
	if err := tenant.Check(w.ID); err != nil {
		return nil, fmt.Errorf("register writer: %w", err)
	}
	w.State = Active
	return s.UpdateRoster(ctx, func(r *Roster) error {
		next := w
		if old := r.Find(w.ID); old != nil {
			if old.State == Adopted {
				return fmt.Errorf("register writer %s: it was adopted: %w", w.ID, model.ErrConflict)
			}
			next.Released = max(next.Released, old.Released)
		}
		r.set(next)
		return nil
	})
}

// SetReleased raises the writer's released generation. A lower one than stored changes nothing.
func (s *Store) SetReleased(ctx context.Context, id string, generation uint64) (*Roster, error) {
	return s.updateWriter(ctx, id, func(w *Writer) error {
		w.Released = max(w.Released, generation)
		return nil
	})
}

// SetState changes the writer's state. From Adopted there is no way back: the error wraps model.ErrConflict.
func (s *Store) SetState(ctx context.Context, id string, state WriterState) (*Roster, error) {
	return s.updateWriter(ctx, id, func(w *Writer) error {
		if w.State == Adopted && state != Adopted {
			return fmt.Errorf("set writer %s %v: it was adopted: %w", id, state, model.ErrConflict)
		}
		w.State = state
		return nil
	})
}

func (s *Store) updateWriter(ctx context.Context, id string, fn func(*Writer) error) (*Roster, error) {
	return s.UpdateRoster(ctx, func(r *Roster) error {
		w := r.Find(id)
		if w == nil {
			return fmt.Errorf("writer %s is not in the roster: %w", id, model.ErrNotFound)
		}
		return fn(w)
	})
}
