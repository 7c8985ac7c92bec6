package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Repeats of a deletion. A writer that the first call could not reach brings what it held to the catalog later, above the tombstone. A call that is
// repeated under the same id then masks exactly that, and nothing else that was written since: it stores a deletion of an id derived from the first, whose vector names the
// generations of those writers only, and commits a tombstone that counts as applied to all blocks but theirs.

// RepeatID is the id of the n-th repeat of a deletion that had something to do, from 1 on.
func RepeatID(id string, n int) string {
	sum := sha256.Sum256([]byte("varve repeat\x00" + id + "\x00" + strconv.Itoa(n)))
	return hex.EncodeToString(sum[:8])
}

// Deletions reads a deletion and its repeats, in their order. The error wraps model.ErrNotFound if there is none of the id.
func (s *Store) Deletions(ctx context.Context, tenantName, id string) ([]*Deletion, error) {
	first, err := s.Deletion(ctx, tenantName, id)
	if err != nil {
		return nil, err
	}
	for chain := []*Deletion{first}; ; {
		d, err := s.Deletion(ctx, tenantName, RepeatID(id, len(chain)))
		switch {
		case errors.Is(err, model.ErrNotFound):
			return chain, nil
		case err != nil:
			return nil, err
		case d.Of != id:
			return nil, fmt.Errorf("deletion %s is no repeat of %s: %w", d.ID, id, model.ErrConflict)
		}
		chain = append(chain, d)
	}
}

// Holds reports whether the block has samples of a generation that the deletion masks on this day.
func (x *DeletionDay) Holds(m *blocks.Meta) bool {
	return slices.ContainsFunc(blocks.SourcesOf(m), func(s blocks.Source) bool {
		upTo, ok := x.Flushed[s.Writer]
		return ok && s.From <= upTo && x.isNew(s)
	})
}

// Mixed reports whether the block has samples, too, of other generations that came after the first call: those are not to be masked by a repeat. False for
// the deletion of a first call.
func (x *DeletionDay) Mixed(m *blocks.Meta) bool {
	return x.Since != nil && slices.ContainsFunc(blocks.SourcesOf(m), func(s blocks.Source) bool {
		_, ours := x.Flushed[s.Writer]
		return !ours && x.isNew(s)
	})
}

// isNew reports whether some of the generations were masked by no earlier call.
func (x *DeletionDay) isNew(s blocks.Source) bool {
	before, ok := x.Since[s.Writer]
	return !ok || s.To > before
}

// MixedError says that a repeat came too late.
type MixedError struct{ Block string }

// Error implements error.
func (e *MixedError) Error() string {
	return fmt.Sprintf("block %s has what writers held that were not reached together with what was written since; a delete under a new id deletes both", e.Block)
}

// Unwrap makes it a model.ErrConflict.
func (e *MixedError) Unwrap() error { return model.ErrConflict }

// AddRepeat masks what Day names, which must be that of a repeat, and nothing else. It is refused with a [MixedError] where that is not possible any more.
type AddRepeat struct {
	Tombstone Tombstone
	Day       DeletionDay
}

// String names the operation in errors.
func (a AddRepeat) String() string { return "repeated tombstone " + a.Tombstone.ID }

func (a AddRepeat) applied(p *Partition) (Outcome, bool) { return AddTombstone(a.Tombstone).applied(p) }

func (a AddRepeat) apply(p *Partition, nowMs int64) error {
	if a.Day.Day != p.Day || a.Day.Since == nil {
		return fmt.Errorf("%v of day %v to %v: %w", a, a.Day.Day, p.Day, model.ErrInvalid)
	}
	if err := AddTombstone(a.Tombstone).apply(p, nowMs); err != nil {
		return err
	}
	t := p.tombstone(a.Tombstone.ID)
	for i := range p.Blocks {
		e := &p.Blocks[i]
		switch {
		case !t.masks(e):
		case !a.Day.Holds(e.Meta):
			e.enterApplied(t.ID)
		case a.Day.Mixed(e.Meta):
			return &MixedError{e.ID}
		case !p.Thinned:
			e.Rolled = false // the rollups are made anew
		}
	}
	for i := range p.Rollups {
		e := &p.Rollups[i]
		switch {
		case !t.masks(e):
		case !a.Day.Holds(e.Meta):
			e.enterApplied(t.ID)
		case p.Thinned && a.Day.Mixed(e.Meta):
			return &MixedError{e.ID} // else they are made anew from what is not masked, and nobody reads them until then
		}
	}
	return nil
}

// enterApplied has the tombstones count as applied.
func (e *Entry) enterApplied(ids ...string) {
	add := missing(e.Tombstones, ids)
	if len(add) == 0 {
		return
	}
	m := *e.Meta // shared with other readings
	m.Tombstones = append(slices.Clone(m.Tombstones), add...)
	slices.Sort(m.Tombstones)
	e.Meta = &m
}

// keepsSpared checks that the tombstone, which counts as applied to a raw input, does not come to mask that in an output: so it would if the output was made
// before the tombstone was committed, since it does not list it. Of rollups only where another raw input is masked: others are made anew before anybody reads them.
func (t *Tombstone) keepsSpared(inputs []Entry, outputs []*blocks.Meta, order uint64) error {
	spared, masked := "", false
	for _, in := range inputs {
		switch {
		case IsRollup(in.Format):
		case t.masks(&in):
			masked = true
		case in.Order <= t.Order && slices.Contains(in.Tombstones, t.ID) && covered(&in).Overlaps(t.Range):
			spared = in.ID
		}
	}
	if spared == "" || order > t.Order {
		return nil
	}
	for _, m := range outputs {
		if t.Scope.Covers(m.Format) && (masked || !IsRollup(m.Format)) && !slices.Contains(m.Tombstones, t.ID) {
			return fmt.Errorf("output %s would be masked by tombstone %s, with which input %s was done: %w", m.ID, t.ID, spared, model.ErrConflict)
		}
	}
	return nil
}
