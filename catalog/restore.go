package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Restore makes the blocks that a snapshot names of a day live again. It copies nothing: the objects were spared. What was written since stays, unless Exact.
//
// A live block that the snapshot does not name goes out of use only if the snapshot holds all generations that it was made of, as a merge of the
// snapshot's own blocks; else it stays beside them. Where both have a sample, the one of the live block wins, as it was added later: a merge of old
// blocks with new ones has the order of the newest, which came after the snapshot.
//
// The rollups become those of the snapshot again, and what is not in them is rolled anew. Only where retention has removed raw samples since do they stay as they
// are: they hold what the snapshot has and what came later. Deletes cannot be undone then, unless Exact.
type Restore struct {
	// Day is what the snapshot has of the partition.
	Day *Partition
	// Exact puts all other live blocks out of use: what was written since is lost.
	Exact bool
	// UndoDeletes takes back the tombstones that were committed since. Without it a day with any is refused: what somebody had
	// deleted must not come back unasked.
	UndoDeletes bool
}

// RestorePlan is what a Restore changes.
type RestorePlan struct {
	// Revive are blocks that become live again, Retire live ones that go out of use.
	Revive, Retire []Entry
	// Newer are those of Retire with samples that the snapshot does not have: only with Exact.
	Newer []Entry
	// Deletes are the ids of tombstones that were committed since and hide, or were applied to, what comes back.
	Deletes []string
}

// None reports whether there is nothing to do.
func (r *RestorePlan) None() bool { return len(r.Revive)+len(r.Retire) == 0 && len(r.Deletes) == 0 }

// String names the operation in errors.
func (r Restore) String() string { return fmt.Sprintf("restore %d blocks", len(r.Day.Blocks)) }

// Plan says what the operation would do to the partition. It is a pure function. The error wraps model.ErrConflict if a block of the snapshot is not
// in the catalog any more, which is so when the catalog was lost, or the snapshot is being deleted.
func (r Restore) Plan(p *Partition) (plan RestorePlan, err error) {
	then := map[string]bool{}
	for _, e := range r.Day.Blocks {
		then[e.ID] = true
		switch {
		case p.Live(e.ID) != nil:
		case p.IsRetired(e.ID):
			plan.Revive = append(plan.Revive, e)
		default:
			return plan, fmt.Errorf("block %s of the snapshot is not in the catalog any more: %w", e.ID, model.ErrConflict)
		}
	}
	for _, e := range p.Blocks {
		switch held := r.holds(&e); {
		case then[e.ID]:
		case held:
			plan.Retire = append(plan.Retire, e)
		case r.Exact:
			plan.Retire, plan.Newer = append(plan.Retire, e), append(plan.Newer, e)
		}
	}
	plan.Deletes = r.deletes(p)
	switch {
	case plan.None():
		return plan, nil
	case r.keepsRollups(p) && r.UndoDeletes && len(Asked(plan.Deletes)) > 0:
		deletes := Asked(plan.Deletes)
		return plan, fmt.Errorf("raw samples have expired since, and rollups that hold what came after the snapshot cannot get back what was deleted "+
			"(%d deletes, the first %s); exactly as it was the day can be restored: %w", len(deletes), deletes[0], model.ErrInvalid)
	case r.keepsRollups(p):
		return plan, nil
	}
	return plan, r.planRollups(p, &plan)
}

// Asked returns the deletes that somebody asked for: those that are not of retention, whose tombstones come again.
func Asked(deletes []string) []string {
	return slices.DeleteFunc(slices.Clone(deletes), func(id string) bool { return strings.HasPrefix(id, RetentionPrefix) })
}

// keepsRollups reports whether the rollups stay as they are.
func (r Restore) keepsRollups(p *Partition) bool { return p.Thinned && !r.Exact && len(p.Rollups) > 0 }

// planRollups adds what becomes of the rollups.
func (r Restore) planRollups(p *Partition, plan *RestorePlan) error {
	for _, e := range r.Day.Rollups {
		switch {
		case p.LiveRollup(e.ID) != nil:
		case p.IsRetired(e.ID):
			plan.Revive = append(plan.Revive, e)
		default:
			return fmt.Errorf("rollup %s of the snapshot is not in the catalog any more: %w", e.ID, model.ErrConflict)
		}
	}
	for _, e := range p.Rollups {
		if r.Day.LiveRollup(e.ID) == nil {
			plan.Retire = append(plan.Retire, e)
		}
	}
	return nil
}

// mark enters what is in the rollups, after the blocks were changed.
func (r Restore) mark(p *Partition, keep bool) {
	for i := range p.Blocks {
		then := r.Day.Live(p.Blocks[i].ID)
		switch {
		case !keep:
			p.Blocks[i].Rolled = then != nil && then.Rolled
		case then != nil:
			p.Blocks[i].Rolled = true // or its samples had not gone from the raw blocks
		}
	}
	if !keep {
		p.Thinned = r.Day.Thinned
	}
}

// holds reports whether the snapshot has every generation that the block was made of.
func (r Restore) holds(e *Entry) bool {
	sources := blocks.SourcesOf(e.Meta)
	return len(sources) > 0 && !slices.ContainsFunc(sources, func(s blocks.Source) bool {
		for g := s.From; ; g++ {
			if !r.Day.holds(s.Writer, g) {
				return true
			}
			if g == s.To {
				return false
			}
		}
	})
}

// deletes are the ids of tombstones made since the snapshot: those that would mask what comes back, and those that were applied to what is live.
func (r Restore) deletes(p *Partition) []string {
	since := map[string]bool{}
	for i := range p.Tombstones {
		t := &p.Tombstones[i]
		if t.Scope != ScopeRaw && slices.ContainsFunc(r.Day.All(), func(e Entry) bool { return t.masks(&e) }) {
			since[t.ID] = true
		}
	}
	for _, e := range p.All() {
		// One that was forgotten by the catalog cannot be undone, but it is seen by what it was applied to.
		for _, id := range e.Tombstones {
			since[id] = true
		}
	}
	for _, e := range r.Day.All() {
		for _, id := range e.Tombstones {
			delete(since, id)
		}
	}
	for _, t := range r.Day.Tombstones {
		delete(since, t.ID)
	}
	return slices.Sorted(maps.Keys(since))
}

func (r Restore) applied(p *Partition) (Outcome, bool) {
	plan, err := r.Plan(p)
	return Already, err == nil && plan.None()
}

func (r Restore) apply(p *Partition, nowMs int64) error {
	plan, err := r.Plan(p)
	if err != nil {
		return err
	}
	if deletes := Asked(plan.Deletes); len(deletes) > 0 && !r.UndoDeletes {
		return fmt.Errorf("series were deleted since the snapshot (%d deletes, the first %s), and would come back: %w", len(deletes), deletes[0], model.ErrInvalid)
	}
	keep := r.keepsRollups(p)
	p.retire(plan.Retire, nil, nowMs)
	for _, e := range plan.Revive {
		p.Retired = slices.DeleteFunc(p.Retired, func(r Retired) bool { return r.ID == e.ID })
		p.insert(e)
	}
	r.mark(p, keep)
	p.Tombstones = slices.DeleteFunc(p.Tombstones, func(t Tombstone) bool {
		// Raw samples that had expired are there again.
		return t.Scope == ScopeRaw && r.Day.tombstone(t.ID) == nil && slices.ContainsFunc(plan.Revive, func(e Entry) bool { return t.masks(&e) })
	})
	p.Tombstones = slices.DeleteFunc(p.Tombstones, func(t Tombstone) bool { return slices.Contains(plan.Deletes, t.ID) })
	// Tombstones that were in force then and have been forgotten since, because they were applied to all that was live, are in force again.
	for _, t := range r.Day.Tombstones {
		if p.tombstone(t.ID) == nil && slices.ContainsFunc(plan.Revive, func(e Entry) bool { return t.masks(&e) }) {
			p.Tombstones = append(p.Tombstones, t)
		}
	}
	return nil
}

// Import makes a day of a snapshot the whole of an empty partition, in another bucket, to which the objects were copied before. Orders, tombstones and
// watermarks come along, and the catalog's generation, so that what is added later ranks above.
type Import struct{ Day *Partition }

// String names the operation in errors.
func (i Import) String() string { return fmt.Sprintf("import %d blocks", len(i.Day.Blocks)) }

func (i Import) applied(p *Partition) (Outcome, bool) {
	return Already, !slices.ContainsFunc(i.Day.All(), func(e Entry) bool {
		return !p.IsLive(e.ID) && !p.IsRetired(e.ID) && !p.replaced(e.ID) && !p.rerolled(e.ID)
	})
}

// Check reports whether the import is done, or an error if it would be refused.
func (i Import) Check(p *Partition) (done bool, err error) {
	if _, done := i.applied(p); done {
		return true, nil
	}
	if p.GravestoneMs != 0 {
		return false, ErrGravestone
	}
	if len(p.Blocks)+len(p.Rollups)+len(p.Retired)+len(p.Flushed)+len(p.Tombstones) > 0 {
		return false, fmt.Errorf("the partition is in use already, by data that is not of this snapshot: %w", model.ErrConflict)
	}
	return false, nil
}

func (i Import) apply(p *Partition, nowMs int64) error {
	if _, err := i.Check(p); err != nil {
		return err
	}
	for _, e := range i.Day.All() {
		if err := p.admit(e.Meta); err != nil {
			return err
		}
		p.insert(Entry{Meta: e.Meta, Order: e.Order, AddedMs: nowMs, Rolled: e.Rolled})
	}
	p.Thinned = i.Day.Thinned
	p.Generation = max(p.Generation, i.Day.Generation)
	p.Flushed, p.Tombstones = maps.Clone(i.Day.Flushed), slices.Clone(i.Day.Tombstones)
	return nil
}
