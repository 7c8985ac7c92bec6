package repair

import (
	"cmp"
	"slices"
	"strings"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// splitRollups takes the rollups out of the blocks of a day.
func splitRollups(all []*blocks.Meta) (raw, rollups []*blocks.Meta) {
	for _, m := range all {
		if catalog.IsRollup(m.Format) {
			rollups = append(rollups, m)
		} else {
			raw = append(raw, m)
		}
	}
	return raw, rollups
}

// rollupSet are the rollups that came of one roll-up of the day.
type rollupSet struct {
	metas []*blocks.Meta
}

func (s *rollupSet) first() *blocks.Meta { return s.metas[0] }

// whole reports whether there are blocks of both resolutions. More cannot be known: blocks do not say how many they are.
func (s *rollupSet) whole() bool {
	has := func(f blocks.Format) bool {
		return slices.ContainsFunc(s.metas, func(m *blocks.Meta) bool { return m.Format == f })
	}
	return has(blocks.Rollup5m) && has(blocks.Rollup1h)
}

// chooseRollups picks the rollups of a day, whose raw blocks are chosen.
//
// Where the raw blocks hold all that rollups were made of, none is picked: rollups are derived, and made anew. Else raw samples have expired, and the rollups that know most
// are picked; those that replace others which are all still there are not, for they may have been uploaded in part and never committed.
//
// The picture has a limit: that samples of some series have expired within a raw block is seen by the tombstones that were applied to it only.
func chooseRollups(raw, rollups []*blocks.Meta) (chosen []*blocks.Meta, out []leftOut) {
	sets := rollupSets(rollups)
	leave := func(s *rollupSet, why string) {
		for _, m := range s.metas {
			out = append(out, leftOut{m, why})
		}
	}
	thinned := slices.ContainsFunc(raw, expiredInPart) || slices.ContainsFunc(rollups, func(m *blocks.Meta) bool { return !heldBy(m, raw) })
	if !thinned {
		for _, s := range sets {
			leave(s, "its raw samples are all there, and rollups are made anew")
		}
		return nil, out
	}
	present := map[string]bool{}
	for _, m := range rollups {
		present[m.ID] = true
	}
	var best *rollupSet
	for _, s := range sets {
		replaces := s.first().Replaces
		switch {
		case !s.whole():
			leave(s, "rollups of the other resolution are missing")
			continue
		case len(replaces) > 0 && !slices.ContainsFunc(replaces, func(id string) bool { return !present[id] }):
			leave(s, "all rollups that it replaces are there")
			continue
		case best == nil:
		case generations(s.first()) > generations(best.first()):
			leave(best, "other rollups hold more")
		default:
			leave(s, "other rollups hold as much")
			continue
		}
		best = s
	}
	if best == nil {
		return nil, out
	}
	return best.metas, out
}

// rollupSets groups rollups by what one roll-up gives all of its outputs.
func rollupSets(rollups []*blocks.Meta) (sets []*rollupSet) {
	sorted := slices.SortedFunc(slices.Values(rollups), func(a, b *blocks.Meta) int {
		return cmp.Or(compareSets(a, b), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range sorted {
		if n := len(sets); n == 0 || compareSets(sets[n-1].first(), m) != 0 {
			sets = append(sets, &rollupSet{})
		}
		s := sets[len(sets)-1]
		s.metas = append(s.metas, m)
	}
	return sets
}

// compareSets puts later roll-ups first.
func compareSets(a, b *blocks.Meta) int {
	return cmp.Or(cmp.Compare(b.CreatedMs, a.CreatedMs), cmp.Compare(len(b.Tombstones), len(a.Tombstones)), cmp.Compare(a.Attempt, b.Attempt),
		slices.Compare(a.Replaces, b.Replaces), slices.Compare(a.Tombstones, b.Tombstones),
		slices.CompareFunc(a.Sources, b.Sources, func(x, y blocks.Source) int {
			return cmp.Or(cmp.Compare(x.Writer, y.Writer), cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To))
		}))
}

// expiredInPart reports whether retention has taken samples of the raw block.
func expiredInPart(m *blocks.Meta) bool {
	return slices.ContainsFunc(m.Tombstones, func(id string) bool { return strings.HasPrefix(id, catalog.RetentionPrefix) })
}

// heldBy reports whether the blocks have every generation of m.
func heldBy(m *blocks.Meta, among []*blocks.Meta) bool {
	return !slices.ContainsFunc(blocks.SourcesOf(m), func(s blocks.Source) bool { return !stretchHeld(s, among) })
}

// stretchHeld reports whether the blocks have every generation of the stretch. Each round goes on where the best stretch of a block ends.
func stretchHeld(want blocks.Source, among []*blocks.Meta) bool {
	for from := want.From; ; {
		to, found := from, false
		for _, m := range among {
			for _, have := range blocks.SourcesOf(m) {
				if have.Writer == want.Writer && have.From <= from && from <= have.To {
					to, found = max(to, have.To), true
				}
			}
		}
		switch {
		case !found:
			return false
		case to >= want.To:
			return true
		}
		from = to + 1
	}
}

// addRollups enters them, with what they hold. They are above all raw blocks that they hold, so that what masks these masks them.
func addRollups(p *catalog.Partition, chosen []*blocks.Meta, nowMs int64) {
	if len(chosen) == 0 {
		return
	}
	p.Thinned = true
	order := uint64(1)
	for i := range p.Blocks {
		e := &p.Blocks[i]
		e.Rolled = heldBy(e.Meta, chosen[:1])
		if e.Rolled {
			order = max(order, e.Order)
		}
	}
	for _, m := range chosen {
		p.Rollups = append(p.Rollups, catalog.Entry{Meta: m, Order: order, AddedMs: nowMs})
	}
	slices.SortFunc(p.Rollups, func(a, b catalog.Entry) int { return cmp.Compare(a.ID, b.ID) })
	p.Generation = max(p.Generation, order)
}
