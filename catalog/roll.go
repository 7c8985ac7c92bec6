package catalog

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Roll makes the outputs the rollups of the day, in place of all that it had: a day has one set of rollup blocks, made in one go. The raw inputs count as Rolled from
// then on.
//
// The outputs take the highest order of the inputs and of what they replace, as the outputs of a Replace do, so that tombstones mask them as they mask
// these. A block that came after the inputs is not one of them, stays as it is, and is rolled the next time.
//
// On a day that is Thinned the inputs have late samples of series whose other raw samples have gone. The commit that enters them into the rollups hides them as raw samples too,
// by raising the tombstones of ScopeRaw, which such a day keeps for that: else readers would take them for all that there is of their windows.
type Roll struct {
	// Inputs are raw blocks: all live ones that are Rolled, and others.
	Inputs []string
	// Replaces are all live rollup blocks.
	Replaces []string
	Outputs  []*blocks.Meta
	// Job is the job that is done with it: its claim ends. "" is none.
	Job string
}

// String names the operation in errors.
func (r Roll) String() string {
	return fmt.Sprintf("roll %d blocks up to %d", len(r.Inputs), len(r.Outputs))
}

func (r Roll) applied(p *Partition) (Outcome, bool) {
	if len(r.Outputs) == 0 {
		return Already, len(p.Rollups) == 0 && p.rolled(r.Inputs)
	}
	for _, m := range r.Outputs {
		if p.LiveRollup(m.ID) == nil && !p.IsRetired(m.ID) && !p.rerolled(m.ID) {
			return 0, false
		}
	}
	return Already, true
}

// rolled reports whether none of the ids is that of a live block that is not Rolled.
func (p *Partition) rolled(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool {
		e := p.Live(id)
		return e != nil && !e.Rolled
	})
}

// rerolled reports whether a live rollup says that it replaced the id.
func (p *Partition) rerolled(id string) bool {
	return slices.ContainsFunc(p.Rollups, func(e Entry) bool { return slices.Contains(e.Replaces, id) })
}

func (r Roll) apply(p *Partition, nowMs int64) error {
	used, err := r.used(p)
	if err != nil {
		return err
	}
	order := uint64(0)
	for _, e := range used {
		order = max(order, e.Order)
	}
	if err := p.keepsMasks(used, r.Outputs, order); err != nil {
		return err
	}
	var by []string
	for _, m := range r.Outputs {
		if !IsRollup(m.Format) {
			return fmt.Errorf("output %s is no rollup: %w", m.ID, model.ErrInvalid)
		}
		if err := p.admit(m); err != nil {
			return err
		}
		by = append(by, m.ID)
	}
	p.retire(slices.Clone(p.Rollups), by, nowMs)
	p.endClaim(r.Job)
	for _, m := range r.Outputs {
		p.insert(Entry{Meta: m, Order: order, AddedMs: nowMs})
	}
	for _, id := range r.Inputs {
		p.Live(id).Rolled = true
	}
	return r.hideLate(p)
}

// used are the entries that the outputs were made of, if they are what they have to be.
func (r Roll) used(p *Partition) (used []Entry, err error) {
	for _, id := range r.Inputs {
		e := p.Live(id)
		if e == nil {
			return nil, fmt.Errorf("input %s is not live: %w", id, model.ErrConflict)
		}
		used = append(used, *e)
	}
	for _, e := range p.Blocks {
		if e.Rolled && !slices.Contains(r.Inputs, e.ID) && !p.isQuarantined(e.ID) {
			return nil, fmt.Errorf("block %s is in the rollups and not among the inputs: %w", e.ID, model.ErrConflict)
		}
	}
	for _, e := range p.Rollups {
		if !slices.Contains(r.Replaces, e.ID) {
			return nil, fmt.Errorf("rollup %s is live and would not be replaced: %w", e.ID, model.ErrConflict)
		}
		used = append(used, e)
	}
	if len(p.Rollups) != len(r.Replaces) {
		return nil, fmt.Errorf("a rollup that would be replaced is not live: %w", model.ErrConflict)
	}
	if len(used) == 0 {
		return nil, fmt.Errorf("roll up of nothing: %w", model.ErrInvalid)
	}
	return used, nil
}

// hideLate raises the tombstones of raw samples to the inputs and no further: what is above came after and is not in the rollups.
func (r Roll) hideLate(p *Partition) error {
	order := uint64(0)
	for _, id := range r.Inputs {
		order = max(order, p.Live(id).Order)
	}
	for _, e := range p.Blocks {
		if p.Thinned && e.Order <= order && !p.inRollups(&e) {
			return fmt.Errorf("block %s is below others that are rolled and would be hidden: %w", e.ID, model.ErrConflict)
		}
	}
	for i := range p.Tombstones {
		if t := &p.Tombstones[i]; t.Scope == ScopeRaw {
			t.Order = max(t.Order, order)
		}
	}
	return nil
}

// allExpired is the id of the tombstone that says that no raw sample of before is there.
const allExpired = RetentionPrefix + "all"

// thin enters that raw samples of all blocks up to the order go, and that the rollups keep them.
func (p *Partition) thin(order uint64, nowMs int64) {
	p.Thinned = true
	if t := p.tombstone(allExpired); t != nil {
		t.Order = max(t.Order, order)
		return
	}
	p.Tombstones = append(p.Tombstones, Tombstone{
		ID: allExpired, Order: order, CreatedMs: nowMs, Range: p.Day.Range(), Matchers: `{__name__=~".+"}`, Scope: ScopeRaw,
	})
}

// inRollups reports whether nothing is lost by the block's going as far as rollups are concerned: they have it, or it is quarantined, and they never will.
func (p *Partition) inRollups(e *Entry) bool { return e.Rolled || p.isQuarantined(e.ID) }

// Unrolled are the live raw blocks that are not in the rollups and can come to be: not those that are quarantined.
func (p *Partition) Unrolled() (out []Entry) {
	for _, e := range p.Blocks {
		if !p.inRollups(&e) {
			out = append(out, e)
		}
	}
	return out
}

// staysRolled reports whether the outputs of a Replace are in the rollups, because what was made of the inputs would be made of them.
// That is not so where a delete of a part of the day was applied on the way: the windows at its ends have lost samples. On a day that is Thinned
// outputs are as the inputs were, who must not differ: there rollups add up what they have and what is new.
func (p *Partition) staysRolled(inputs []Entry, outputs []*blocks.Meta) (bool, error) {
	rolled := 0
	for _, in := range inputs {
		if in.Rolled {
			rolled++
		}
	}
	if p.Thinned {
		if rolled != 0 && rolled != len(inputs) {
			return false, fmt.Errorf("%d of %d inputs are in the rollups of a day that has lost raw samples: %w", rolled, len(inputs), model.ErrInvalid)
		}
		return rolled > 0, nil
	}
	if rolled < len(inputs) {
		return false, nil
	}
	for _, m := range outputs {
		for _, id := range m.Tombstones {
			if !p.harmless(id, inputs) {
				return false, nil
			}
		}
	}
	return true, nil
}

// harmless reports whether the tombstone, which was applied to outputs, was applied to the inputs before, or leaves no window half empty.
func (p *Partition) harmless(id string, inputs []Entry) bool {
	t := p.tombstone(id)
	if t == nil {
		return !slices.ContainsFunc(inputs, func(in Entry) bool { return !slices.Contains(in.Tombstones, id) })
	}
	if t.Scope == ScopeRaw || t.Range.Intersect(p.Day.Range()) == p.Day.Range() {
		return true
	}
	return !slices.ContainsFunc(inputs, func(in Entry) bool { return t.masks(&in) })
}
