package catalog

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// Operation is one change to a partition. Its two methods are pure functions of the state.
type Operation interface {
	fmt.Stringer
	// applied reports whether the state holds the operation, and how.
	applied(p *Partition) (Outcome, bool)
	// apply changes p, which is the caller's own copy with the generation before this commit, or says why the operation may not be done.
	apply(p *Partition, nowMs int64) error
}

// Add adds the block of a writer's generation and raises the writer's flushed watermark to it, if that is lower. Without a
// Meta, and where live blocks hold the generation already, it only raises the watermark.
type Add struct {
	Writer     string
	Generation uint64
	Meta       *blocks.Meta
}

// String names the operation in errors.
func (a Add) String() string {
	if a.Meta == nil {
		return fmt.Sprintf("flushed %s/%d", a.Writer, a.Generation)
	}
	return fmt.Sprintf("add %s of %s/%d", a.Meta.ID, a.Writer, a.Generation)
}

func (a Add) applied(p *Partition) (Outcome, bool) {
	if planted.On(planted.SkipFlushed) && a.Meta != nil {
		return Already, p.Live(a.Meta.ID) != nil || p.IsRetired(a.Meta.ID) || p.replaced(a.Meta.ID)
	}
	if !p.FlushedThrough(a.Writer, a.Generation) {
		return 0, false
	}
	if a.Meta == nil {
		return Already, true
	}
	if p.Live(a.Meta.ID) != nil || p.IsRetired(a.Meta.ID) || p.replaced(a.Meta.ID) {
		return Already, true
	}
	return Superseded, true
}

// replaced reports whether a live block says that it was merged from the id.
func (p *Partition) replaced(id string) bool {
	return slices.ContainsFunc(p.Blocks, func(e Entry) bool { return slices.Contains(e.Replaces, id) })
}

func (a Add) apply(p *Partition, nowMs int64) error {
	if a.Writer == "" {
		return fmt.Errorf("add without a writer: %w", model.ErrInvalid)
	}
	if a.Meta != nil && (p.FlushedThrough(a.Writer, a.Generation) || !p.holds(a.Writer, a.Generation)) {
		if err := p.admitRaw(a.Meta); err != nil {
			return err
		}
		p.insert(Entry{Meta: a.Meta, Order: p.Generation + 1, AddedMs: nowMs})
	}
	if p.Flushed == nil {
		p.Flushed = map[string]uint64{}
	}
	p.Flushed[a.Writer] = a.Generation
	return nil
}

// holds reports whether a live block has the samples of the writer's generation. With a watermark below it, that is a catalog which was
// rebuilt from blocks: it knows what is in them, but not always that nothing is missing before it.
func (p *Partition) holds(writer string, generation uint64) bool {
	return slices.ContainsFunc(p.Blocks, func(e Entry) bool {
		return slices.ContainsFunc(blocks.SourcesOf(e.Meta), func(s blocks.Source) bool {
			return s.Writer == writer && s.From <= generation && generation <= s.To
		})
	})
}

// admitRaw is admit for operations that make raw blocks.
func (p *Partition) admitRaw(m *blocks.Meta) error {
	if IsRollup(m.Format) {
		return fmt.Errorf("block %s is a rollup: %w", m.ID, model.ErrInvalid)
	}
	return p.admit(m)
}

// admit checks that the block may become live in this partition.
func (p *Partition) admit(m *blocks.Meta) error {
	switch day := p.Day.Range(); {
	case m.ID == "":
		return fmt.Errorf("block without an id: %w", model.ErrInvalid)
	case m.Tenant != p.Tenant || m.Day != p.Day:
		return fmt.Errorf("block %s is of partition %s/%v: %w", m.ID, m.Tenant, m.Day, model.ErrInvalid)
	case m.MinT > m.MaxT || !day.Contains(m.MinT) || !day.Contains(m.MaxT):
		return fmt.Errorf("block %s has times %d to %d outside its day: %w", m.ID, m.MinT, m.MaxT, model.ErrInvalid)
	case p.IsDropped(m.ID) && !planted.On(planted.IgnoreDropped):
		return fmt.Errorf("block %s: %w", m.ID, ErrDropped)
	case p.IsLive(m.ID) || p.IsRetired(m.ID):
		return fmt.Errorf("block %s is in the catalog already: %w", m.ID, model.ErrConflict)
	}
	return nil
}

// Replace makes the outputs live in place of the inputs, which are retired: raw blocks all. The outputs take the highest order of the inputs, and are
// Rolled if all inputs were and rollups would come out of them as they came out of these.
type Replace struct {
	Inputs  []string
	Outputs []*blocks.Meta
	// Job is the job that is done with it: its claim ends, whoever holds it. "" is none.
	Job string
}

// String names the operation in errors.
func (r Replace) String() string {
	return fmt.Sprintf("replace %d blocks by %d", len(r.Inputs), len(r.Outputs))
}

func (r Replace) applied(p *Partition) (Outcome, bool) {
	for _, id := range r.Inputs {
		if p.Live(id) != nil {
			return 0, false
		}
	}
	if len(r.Outputs) == 0 {
		return Already, p.allGone(r.Inputs)
	}
	for _, m := range r.Outputs {
		if p.Live(m.ID) == nil && !p.IsRetired(m.ID) && !p.replaced(m.ID) {
			return 0, false
		}
	}
	return Already, true
}

// allGone reports whether every id was retired or dropped.
func (p *Partition) allGone(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !p.IsRetired(id) && !p.IsDropped(id) })
}

func (r Replace) apply(p *Partition, nowMs int64) error {
	if len(r.Inputs) == 0 {
		return fmt.Errorf("replace without inputs: %w", model.ErrInvalid)
	}
	inputs := make([]Entry, 0, len(r.Inputs))
	for _, id := range r.Inputs {
		e := p.Live(id)
		if e == nil && planted.On(planted.ReplaceUnchecked) {
			continue
		}
		if e == nil {
			return fmt.Errorf("input %s is not live: %w", id, model.ErrConflict)
		}
		inputs = append(inputs, *e)
	}
	order := uint64(0)
	for _, e := range inputs {
		order = max(order, e.Order)
	}
	if err := p.adjacent(inputs, order); err != nil {
		return err
	}
	if err := p.keepsMasks(inputs, r.Outputs, order); err != nil {
		return err
	}
	var by []string
	for _, m := range r.Outputs {
		if err := p.admitRaw(m); err != nil {
			return err
		}
		by = append(by, m.ID)
	}
	rolled, err := p.staysRolled(inputs, r.Outputs)
	if err != nil {
		return err
	}
	p.retire(inputs, by, nowMs)
	p.endClaim(r.Job)
	for _, m := range r.Outputs {
		p.insert(Entry{Meta: m, Order: order, AddedMs: nowMs, Rolled: rolled})
	}
	return nil
}

// adjacent checks that raising the inputs to the order lets none of them overtake, or draw level with, a block that overlaps it in time.
// Level with the highest input are blocks that were cut from one merge, which have no series in common with that input, but may with
// the others.
func (p *Partition) adjacent(inputs []Entry, order uint64) error {
	if planted.On(planted.MergeNotAdjacent) {
		return nil
	}
	for _, e := range p.Blocks {
		for _, in := range inputs {
			if in.Order < e.Order && e.Order <= order && e.Range().Overlaps(in.Range()) &&
				!slices.ContainsFunc(inputs, func(i Entry) bool { return i.ID == e.ID }) {
				return fmt.Errorf("input %s would overtake block %s: %w", in.ID, e.ID, model.ErrInvalid)
			}
		}
	}
	return nil
}

// retire moves live blocks to the retired ones.
func (p *Partition) retire(entries []Entry, by []string, nowMs int64) {
	for _, e := range entries {
		p.remove(e.ID)
		p.Retired = append(p.Retired, Retired{ID: e.ID, Format: e.Format, Size: e.Size, AtMs: nowMs, By: by})
	}
}

// Retire takes live blocks out of use because they expired.
type Retire struct {
	IDs []string
	// Thin: they are all raw blocks of the day, whose samples the rollups keep. It is refused for one that is not Rolled, and while there is
	// another one that is not.
	Thin bool
}

// String names the operation in errors.
func (r Retire) String() string { return fmt.Sprintf("retire %d blocks", len(r.IDs)) }

func (r Retire) applied(p *Partition) (Outcome, bool) { return Already, p.allGone(r.IDs) }

func (r Retire) apply(p *Partition, nowMs int64) error {
	if unrolled := p.Unrolled(); r.Thin && len(unrolled) > 0 {
		return fmt.Errorf("block %s is not in the rollups: %w", unrolled[0].ID, model.ErrConflict)
	}
	for _, id := range r.IDs {
		e := p.Live(id)
		if e == nil {
			e = p.LiveRollup(id)
		}
		switch {
		case e != nil:
			if r.Thin {
				p.thin(e.Order, nowMs)
			}
			p.retire([]Entry{*e}, nil, nowMs)
		case !p.allGone([]string{id}):
			return fmt.Errorf("block %s is not live: %w", id, model.ErrConflict)
		}
	}
	return nil
}

// Drop records that the objects of these ids are about to be deleted, and refuses the ids for DroppedKeepMs. They
// may be those of retired blocks or of blocks that never made it into the catalog, but not of live ones.
type Drop struct {
	IDs []string
	// Orphans: none of them is a retired block either, which somebody may still read; else it is refused.
	Orphans bool
}

// String names the operation in errors.
func (d Drop) String() string { return fmt.Sprintf("drop %d blocks", len(d.IDs)) }

func (d Drop) applied(p *Partition) (Outcome, bool) {
	return Already, !slices.ContainsFunc(d.IDs, func(id string) bool { return !p.IsDropped(id) || p.IsRetired(id) })
}

func (d Drop) apply(p *Partition, nowMs int64) error {
	for _, id := range d.IDs {
		if p.IsLive(id) {
			return fmt.Errorf("block %s is live: %w", id, model.ErrConflict)
		}
		if d.Orphans && p.IsRetired(id) {
			return fmt.Errorf("block %s is retired: %w", id, model.ErrConflict)
		}
		p.Retired = slices.DeleteFunc(p.Retired, func(r Retired) bool { return r.ID == id })
		if p.IsDropped(id) {
			continue
		}
		p.Dropped = append(p.Dropped, Dropped{ID: id, AtMs: nowMs})
	}
	return nil
}

// TakeClaim takes or prolongs a claim. It is refused with model.ErrConflict while another holder's claim on the job lasts.
type TakeClaim Claim

// String names the operation in errors.
func (c TakeClaim) String() string { return "claim " + c.Job }

func (c TakeClaim) applied(p *Partition) (Outcome, bool) {
	return Already, slices.Contains(p.Claims, Claim(c))
}

func (c TakeClaim) apply(p *Partition, nowMs int64) error {
	for i, have := range p.Claims {
		if have.Job != c.Job {
			continue
		}
		if have.Holder != c.Holder && have.InForce(nowMs) {
			return fmt.Errorf("job %s is claimed by %s: %w", c.Job, have.Holder, model.ErrConflict)
		}
		p.Claims[i] = Claim(c)
		return nil
	}
	p.Claims = append(p.Claims, Claim(c))
	return nil
}

func (p *Partition) endClaim(job string) {
	p.Claims = slices.DeleteFunc(p.Claims, func(c Claim) bool { return c.Job == job })
}
