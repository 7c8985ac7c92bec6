package repair

import (
	"cmp"
	"math"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// assemble makes a catalog of the chosen raw blocks and rollups. all are those with a readable footer, chosen or not; roster may be nil.
func assemble(at partition, chosen, rollups, all []*blocks.Meta, deletions []*catalog.Deletion, roster *catalog.Roster, nowMs int64) *catalog.Partition {
	p := &catalog.Partition{Tenant: at.tenant, Day: at.day, Flushed: watermarks(all, roster)}
	p.Blocks = ordered(chosen, nowMs)
	if n := len(p.Blocks); n > 0 {
		p.Generation = p.Blocks[n-1].Order
	}
	addRollups(p, rollups, nowMs)
	for _, d := range deletions {
		mask(p, d)
	}
	return p
}

// ordered gives the blocks orders by the time when they were made, those of one writer by generation, those that one merge made the same one.
func ordered(chosen []*blocks.Meta, nowMs int64) []catalog.Entry {
	madeMs := creation(chosen)
	sorted := slices.SortedFunc(slices.Values(chosen), func(a, b *blocks.Meta) int {
		return cmp.Or(cmp.Compare(madeMs[a.ID], madeMs[b.ID]), cmp.Compare(a.Writer, b.Writer), cmp.Compare(a.Generation, b.Generation),
			slices.Compare(a.Replaces, b.Replaces), cmp.Compare(a.ID, b.ID))
	})
	out := make([]catalog.Entry, len(sorted))
	order := uint64(0)
	for i, m := range sorted {
		if i == 0 || len(m.Replaces) == 0 || !slices.Equal(m.Replaces, sorted[i-1].Replaces) {
			order++
		}
		out[i] = catalog.Entry{Meta: m, Order: order, AddedMs: nowMs}
	}
	return out
}

// creation is when each block was made, by its id. The clock of a writer may have been set back; its generations are in order all the same.
func creation(chosen []*blocks.Meta) map[string]int64 {
	madeMs := make(map[string]int64, len(chosen))
	flushed := slices.SortedFunc(slices.Values(chosen), func(a, b *blocks.Meta) int {
		return cmp.Or(cmp.Compare(a.Writer, b.Writer), cmp.Compare(a.Generation, b.Generation))
	})
	for i, m := range flushed {
		madeMs[m.ID] = m.CreatedMs
		if i > 0 && m.Writer != "" && flushed[i-1].Writer == m.Writer {
			madeMs[m.ID] = max(m.CreatedMs, madeMs[flushed[i-1].ID])
		}
	}
	return madeMs
}

// watermarks are the generations of each writer up to which nothing is missing for certain.
//
// A writer commits the generations of a partition in ascending order, but uploads may overtake one another, and a generation need not have samples of this day:
// so a gap may be a block that is still to come, and what lies behind one proves nothing. Up to what the roster has as released, nothing is to come.
// Behind that every generation must be there, from 1 on if the roster is not known. Who is not in the roster is a backfill job, which counts from 0.
func watermarks(all []*blocks.Meta, roster *catalog.Roster) map[string]uint64 {
	byWriter := map[string][]blocks.Source{}
	for _, m := range all {
		for _, s := range blocks.SourcesOf(m) {
			byWriter[s.Writer] = append(byWriter[s.Writer], s)
		}
	}
	out := map[string]uint64{}
	for writer, sources := range byWriter {
		slices.SortFunc(sources, func(a, b blocks.Source) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
		// next is the generation up to which one may begin without a gap.
		next := uint64(1)
		if roster != nil {
			next = 0
			if w := roster.Find(writer); w != nil {
				next = w.Released + 1
			}
		}
		for _, s := range sources {
			// A source is a stretch without gaps.
			if s.From > next {
				break
			}
			out[writer] = max(out[writer], s.To)
			if s.To < math.MaxUint64 {
				next = max(next, s.To+1)
			}
		}
	}
	return out
}

// mask enters a deletion as a tombstone over the blocks with generations of its vector. Orders are by time and the vector is not, so a block may have got an order
// below the tombstone's and yet hold nothing that it masks; it counts as one to which the tombstone was applied.
func mask(p *catalog.Partition, d *catalog.Deletion) {
	day := d.DayOf(p.Day)
	if day == nil {
		return
	}
	t := d.Tombstone()
	masked := func(m *blocks.Meta) bool { return day.Holds(m) && !day.Mixed(m) }
	for _, e := range p.All() {
		if masked(e.Meta) {
			t.Order = max(t.Order, e.Order)
		}
	}
	if t.Order == 0 {
		return
	}
	for _, list := range [][]catalog.Entry{p.Blocks, p.Rollups} {
		for i, e := range list {
			if e.Order <= t.Order && !masked(e.Meta) && !slices.Contains(e.Tombstones, t.ID) {
				m := *e.Meta
				m.Tombstones = append(slices.Clone(m.Tombstones), t.ID)
				slices.Sort(m.Tombstones)
				list[i].Meta = &m
			}
		}
	}
	p.Tombstones = append(p.Tombstones, t)
}
