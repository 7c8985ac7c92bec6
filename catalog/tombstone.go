package catalog

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// The life of a tombstone. A repeated call must find it, or it would mask what was written after it: so a tombstone stays in a catalog for
// TombstoneKeepMs though nothing is masked any more, and none that is older than TombstoneAddMs is added. What lies between the two is for clocks that disagree.
const (
	TombstoneKeepMs = 7 * model.MsPerDay
	TombstoneAddMs  = 3 * model.MsPerDay
)

// RetentionPrefix begins the ids of tombstones of retention, which are no requests of anybody and have no object of their own.
const RetentionPrefix = "retention-"

// Tombstone masks the samples in range of the series that match, in blocks with an order of at most Order to which it was not applied.
type Tombstone struct {
	ID string
	// Order is the catalog generation of the tombstone's own commit.
	Order     uint64
	CreatedMs int64
	Range     model.TimeRange
	// Matchers are selectors in PromQL's syntax, for example {job="a"}, one a line: a series matches if one of them does.
	Matchers string
	// Scope says in which blocks.
	Scope Scope
}

// Scope says which blocks a tombstone masks.
type Scope uint8

// The scopes. A delete masks everything, retention what has expired.
const (
	ScopeAll     Scope = 0
	ScopeRaw     Scope = 1
	ScopeRollups Scope = 2
)

// Covers reports whether blocks of the format are in the scope.
func (s Scope) Covers(f blocks.Format) bool {
	return s == ScopeAll || (s == ScopeRollups) == IsRollup(f)
}

// masks reports whether the tombstone is to be applied to the block by whoever reads it.
func (t *Tombstone) masks(e *Entry) bool {
	return e.Order <= t.Order && t.Scope.Covers(e.Format) && covered(e).Overlaps(t.Range) && !slices.Contains(e.Tombstones, t.ID)
}

// covered is the time whose samples are in the block: a rollup has those of the windows that end at its timestamps.
func covered(e *Entry) model.TimeRange {
	r := e.Range()
	if ms := e.Format.ResolutionMs(); ms > 0 {
		r.MinMs -= ms - 1
	}
	return r
}

// Masks are the tombstones that hide samples of the block, which is live in p: a reader drops them, and so does a merge before it merges, per
// input. nil for most blocks.
func (p *Partition) Masks(e *Entry) (masks []Tombstone) {
	for i := range p.Tombstones {
		if p.Tombstones[i].masks(e) {
			masks = append(masks, p.Tombstones[i])
		}
	}
	return masks
}

// BlockMasks makes of tombstones what blocks are read and merged with. The error wraps model.ErrCorrupt: selectors are checked before they
// are stored.
func BlockMasks(tombstones []Tombstone) (blocks.Masks, error) {
	if len(tombstones) == 0 {
		return nil, nil
	}
	masks := make(blocks.Masks, len(tombstones))
	for i, t := range tombstones {
		selectors, err := ParseSelectors(t.Matchers)
		if err != nil {
			return nil, fmt.Errorf("tombstone %s: %v: %w", t.ID, err, model.ErrCorrupt)
		}
		masks[i] = blocks.Mask{ID: t.ID, Range: t.Range, Selectors: selectors}
	}
	return masks, nil
}

// keepsMasks checks that nothing which was masked in an input comes to light in an output of the order: a tombstone that masks an input was
// applied to all outputs, or goes on masking all of them; and that none masks in an output what it does not in the input. Outputs that are not in its scope may have what it masks: rollups have raw samples that expired.
func (p *Partition) keepsMasks(inputs []Entry, outputs []*blocks.Meta, order uint64) error {
	for i := range p.Tombstones {
		t := &p.Tombstones[i]
		if err := t.keepsSpared(inputs, outputs, order); err != nil {
			return err
		}
		masked := slices.IndexFunc(inputs, func(in Entry) bool { return t.masks(&in) })
		if masked < 0 {
			continue
		}
		for _, m := range outputs {
			if order > t.Order && t.Scope.Covers(m.Format) && !slices.Contains(m.Tombstones, t.ID) {
				return fmt.Errorf("input %s would rise above tombstone %s, which was not applied to it: %w", inputs[masked].ID, t.ID, model.ErrInvalid)
			}
		}
	}
	return nil
}

// AddTombstone masks samples. Its order becomes the generation of its own commit, whatever Order says: everything that is live then is masked, nothing
// that is added later. One of ScopeRaw says that the rollups keep what it masks: it is refused while a block is not Rolled.
type AddTombstone Tombstone

// String names the operation in errors.
func (t AddTombstone) String() string { return "tombstone " + t.ID }

func (t AddTombstone) applied(p *Partition) (Outcome, bool) {
	return Already, p.tombstone(t.ID) != nil
}

func (p *Partition) tombstone(id string) *Tombstone {
	for i := range p.Tombstones {
		if p.Tombstones[i].ID == id {
			return &p.Tombstones[i]
		}
	}
	return nil
}

func (t AddTombstone) apply(p *Partition, nowMs int64) error {
	switch {
	case t.ID == "":
		return fmt.Errorf("tombstone without an id: %w", model.ErrInvalid)
	case t.Range.Empty():
		return fmt.Errorf("tombstone %s of no time: %w", t.ID, model.ErrInvalid)
	case nowMs-t.CreatedMs > TombstoneAddMs:
		return fmt.Errorf("tombstone %s is too old to be added, take a new id: %w", t.ID, model.ErrInvalid)
	case t.Scope > ScopeRollups:
		return fmt.Errorf("tombstone %s of scope %d: %w", t.ID, t.Scope, model.ErrInvalid)
	}
	if t.Scope == ScopeRaw {
		if unrolled := p.Unrolled(); len(unrolled) > 0 {
			return fmt.Errorf("tombstone %s of raw samples: block %s is not in the rollups: %w", t.ID, unrolled[0].ID, model.ErrConflict)
		}
		p.Thinned = true
	}
	t.Order = p.Generation + 1
	p.Tombstones = append(p.Tombstones, Tombstone(t))
	return nil
}

// SettleTombstones enters tombstones as applied to live blocks whose objects hold nothing that they mask, so that nothing has to be rewritten. What the
// caller found in an object stays true, for it never changes.
type SettleTombstones struct {
	// Applied are the ids of tombstones by id of the block.
	Applied map[string][]string
	// Job is the job that is done with it: its claim ends. "" is none.
	Job string
}

// String names the operation in errors.
func (s SettleTombstones) String() string {
	return fmt.Sprintf("settle tombstones of %d blocks", len(s.Applied))
}

func (s SettleTombstones) applied(p *Partition) (Outcome, bool) {
	for id, tombstones := range s.Applied {
		e := p.Live(id)
		if e == nil {
			e = p.LiveRollup(id)
		}
		if e != nil && len(missing(e.Tombstones, tombstones)) > 0 {
			return 0, false
		}
	}
	return Already, true
}

// missing are those of want that have lacks.
func missing(have, want []string) (out []string) {
	for _, id := range want {
		if !slices.Contains(have, id) {
			out = append(out, id)
		}
	}
	return out
}

func (s SettleTombstones) apply(p *Partition, _ int64) error {
	for _, list := range [][]Entry{p.Blocks, p.Rollups} {
		for i := range list {
			list[i].enterApplied(s.Applied[list[i].ID]...)
		}
	}
	p.endClaim(s.Job)
	return nil
}

// IsKept reports whether the tombstone stays though it masks nothing: one of ScopeRaw does, for samples that come late, unless another one has its matchers and
// reaches as far.
func (p *Partition) IsKept(t *Tombstone) bool { return t.Scope == ScopeRaw && !p.superseded(t) }

func (p *Partition) superseded(t *Tombstone) bool {
	return slices.ContainsFunc(p.Tombstones, func(o Tombstone) bool {
		return o.ID != t.ID && o.Scope == t.Scope && o.Matchers == t.Matchers && o.Range == t.Range && (o.Order > t.Order || o.Order == t.Order && o.ID > t.ID)
	})
}

// DropTombstones forgets tombstones that mask nothing any more and were kept for TombstoneKeepMs. It is refused with model.ErrConflict while one masks a live block, or is
// to be kept, see IsKept.
type DropTombstones struct{ IDs []string }

// String names the operation in errors.
func (d DropTombstones) String() string { return fmt.Sprintf("drop %d tombstones", len(d.IDs)) }

func (d DropTombstones) applied(p *Partition) (Outcome, bool) {
	return Already, !slices.ContainsFunc(d.IDs, func(id string) bool { return p.tombstone(id) != nil })
}

func (d DropTombstones) apply(p *Partition, nowMs int64) error {
	for _, id := range d.IDs {
		t := p.tombstone(id)
		if t == nil {
			continue
		}
		if p.IsKept(t) {
			return fmt.Errorf("tombstone %s says which raw samples have gone: %w", id, model.ErrConflict)
		}
		if nowMs-t.CreatedMs < TombstoneKeepMs {
			return fmt.Errorf("tombstone %s has to be kept for some days: %w", id, model.ErrConflict)
		}
		for _, e := range p.All() {
			if t.masks(&e) {
				return fmt.Errorf("tombstone %s still masks block %s: %w", id, e.ID, model.ErrConflict)
			}
		}
	}
	p.Tombstones = slices.DeleteFunc(p.Tombstones, func(t Tombstone) bool { return slices.Contains(d.IDs, t.ID) })
	return nil
}
