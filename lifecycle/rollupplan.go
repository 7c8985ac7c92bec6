package lifecycle

import (
	"slices"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// Roll is a planned roll-up of a day.
type Roll struct {
	// Inputs are the raw blocks in their order, all but those that are quarantined.
	Inputs []catalog.Entry
	// Old are the rollups that are there, which the new ones replace.
	Old []catalog.Entry
	// Keep: the raw samples are not all there any more, so what the old rollups say of windows counts, and samples that they do not have are added to it. Else
	// all windows are made anew and the old rollups are not read.
	Keep bool
	// Masked: all blocks are rolled, but the rollups have samples that are masked.
	Masked bool
}

// Job is the name under which the roll-up is claimed: it speaks for all blocks of the day.
func (r *Roll) Job() string {
	last := uint64(0)
	for _, e := range slices.Concat(r.Inputs, r.Old) {
		last = max(last, e.Order)
	}
	return claimName(jobRollup, 0, last)
}

// Bytes are those that are read.
func (r *Roll) Bytes() (n int64) {
	for _, e := range r.Inputs {
		n += e.Size
	}
	if r.Keep {
		for _, e := range r.Old {
			n += e.Size
		}
	}
	return n
}

// PlanRollup returns the roll-up that the partition is due for, or nil and why there is none. It is a pure function of one reading of a catalog, of the tenant's retention, of
// the settings of compaction, of how long tombstones wait, and of the time in ms. It does not look at whether a compaction or a merge of the day is due, which comes first, unless the day is Thinned.
//
// Rollups are made for tenants who say an age for them, and kept up wherever there are some. A day is due
//
//   - when it has parquet blocks that are not Rolled: it was compacted, or late data was merged into it;
//   - when raw samples want to expire and a block is not Rolled, hot blocks included;
//   - when it is Thinned and a block is not Rolled, once such blocks have settled as late data settles for a compaction, or are as many as that waits for. No merge may
//     have them before;
//   - when a rollup is masked for longer than after, by a delete or because it expired.
//
// Blocks that a delete masks in part come first to the jobs that apply it: they would not be Rolled afterwards.
//
// A quarantined block that is Rolled cannot be read again, so the old rollups count beside it. Where others that are in them were rewritten after it was damaged there is
// no telling what they have of which: such a day keeps its raw samples, and the rollups that it has, until these expire.
func PlanRollup(p *catalog.Partition, r *Retention, settings *CompactSettings, after time.Duration, nowMs int64) (*Roll, string) {
	a, err := agesAt(p, r, nowMs)
	switch {
	case err != nil:
		return nil, err.Error()
	case p.GravestoneMs != 0:
		return nil, "the tenant was deleted"
	case len(p.Blocks)+len(p.Rollups) == 0:
		return nil, "no blocks"
	case !a.kept:
		return nil, "no rollups are wanted"
	}
	s := settings.withDefaults()
	unrolled := p.Unrolled()
	masked := maskedRollups(p, after, nowMs)
	switch why := a.waits(p, &s, unrolled, nowMs); {
	case masked:
	case len(unrolled) == 0:
		return nil, "all blocks are rolled"
	case why != "":
		return nil, why
	}
	roll := &Roll{Old: p.Rollups, Keep: p.Thinned, Masked: len(unrolled) == 0}
	for i := range p.Blocks {
		e := &p.Blocks[i]
		if isQuarantined(p, e.ID) {
			roll.Keep = roll.Keep || e.Rolled // it cannot be read again
			continue
		}
		roll.Inputs = append(roll.Inputs, *e)
	}
	if why := roll.barred(p, nowMs); why != "" {
		return nil, why
	}
	return roll, ""
}

// waits says why the blocks that are not rolled stay so for now, "" if they do not.
func (a *ages) waits(p *catalog.Partition, s *CompactSettings, unrolled []catalog.Entry, nowMs int64) string {
	switch {
	case len(unrolled) == 0:
		return ""
	case p.Thinned:
		first, last := unrolled[0].AddedMs, unrolled[0].AddedMs
		for _, e := range unrolled {
			first, last = min(first, e.AddedMs), max(last, e.AddedMs)
		}
		if nowMs-last < s.Settle.Milliseconds() && nowMs-first < s.LateAfter.Milliseconds() && len(unrolled) < s.LateBlocks {
			return "it got a block a short time ago"
		}
		return ""
	case a.raw.expiry(p.Blocks, p, catalog.ScopeRaw, nowMs) != nil:
		return ""
	case !slices.ContainsFunc(unrolled, func(e catalog.Entry) bool { return e.Format == blocks.Parquet }):
		return "the blocks that are not rolled are hot"
	}
	return ""
}

// barred says why the roll-up cannot be done now, "" if it can.
func (r *Roll) barred(p *catalog.Partition, nowMs int64) string {
	for _, c := range p.Claims {
		for _, e := range r.Inputs {
			if c.InForce(nowMs) && claimCovers(c.Job, e.Order) {
				return barredClaimed
			}
		}
		if c.InForce(nowMs) && c.Job == r.Job() {
			return barredClaimed
		}
	}
	for _, e := range r.Old {
		if r.Keep && isQuarantined(p, e.ID) {
			return "a rollup that is needed is quarantined"
		}
	}
	if r.Keep && !p.Thinned && r.again() {
		return "a block that is in the rollups is quarantined, and others were rewritten since"
	}
	for i := range r.Inputs {
		e := &r.Inputs[i]
		if !r.Keep && slices.ContainsFunc(p.Masks(e), func(t catalog.Tombstone) bool { return t.Scope == catalog.ScopeAll }) {
			return "a delete is applied to the blocks first"
		}
	}
	return ""
}

// again reports whether an input that is not Rolled has samples of generations that the old rollups have: it was made of blocks that were, by a merge with
// late samples or by a delete. To add it to what they say would count these twice.
func (r *Roll) again() bool {
	return slices.ContainsFunc(r.Inputs, func(in catalog.Entry) bool {
		return !in.Rolled && slices.ContainsFunc(r.Old, func(old catalog.Entry) bool { return shareSources(in.Meta, old.Meta) })
	})
}

func shareSources(a, b *blocks.Meta) bool {
	return slices.ContainsFunc(blocks.SourcesOf(a), func(x blocks.Source) bool {
		return slices.ContainsFunc(blocks.SourcesOf(b), func(y blocks.Source) bool {
			return x.Writer == y.Writer && x.From <= y.To && y.From <= x.To
		})
	})
}

// maskedRollups reports whether tombstones have masked a rollup for longer than after.
func maskedRollups(p *catalog.Partition, after time.Duration, nowMs int64) bool {
	return slices.ContainsFunc(p.Rollups, func(e catalog.Entry) bool {
		at, masked := maskedSince(p, &e)
		return masked && nowMs-at >= after.Milliseconds()
	})
}

func isQuarantined(p *catalog.Partition, id string) bool {
	return slices.ContainsFunc(p.Quarantined, func(q catalog.Quarantined) bool { return q.ID == id })
}

// rollupWake is when a roll-up may become due though the partition does not change, 0 for never. That raw samples expire is known to retentionWake.
func rollupWake(p *catalog.Partition, s *CompactSettings, after time.Duration, nowMs int64) (ms int64) {
	sooner := func(at int64) {
		if at > nowMs && (ms == 0 || at < ms) {
			ms = at
		}
	}
	for i := range p.Rollups {
		if at, masked := maskedSince(p, &p.Rollups[i]); masked {
			sooner(at + after.Milliseconds())
		}
	}
	if p.Thinned {
		for _, e := range p.Unrolled() {
			sooner(e.AddedMs + max(0, s.Settle).Milliseconds())
			sooner(e.AddedMs + s.LateAfter.Milliseconds())
		}
	}
	return ms
}
