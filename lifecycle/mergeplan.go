package lifecycle

import (
	"fmt"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/planted"
)

// MergeSettings say when hot blocks are merged, and how large they become. The zero value means the defaults.
type MergeSettings struct {
	// MaxBlocks is the number of live hot blocks of a partition above which a merge is due. Default 48.
	MaxBlocks int
	// MaxCatalogBytes is the size of a catalog above which a merge is due whatever the number of blocks. Default
	// three quarters of catalog.SoftLimitBytes.
	MaxCatalogBytes int
	// MaxInputs bounds the blocks of one merge: each takes memory. Default 32.
	MaxInputs int
	// MaxOutputBytes bounds the inputs of a merge together, and so, but for what an index grows, the output, which is
	// held in memory. Default 96 MiB.
	MaxOutputBytes int64
	// MaxOutputSeries bounds the series of one output, whose index is held in memory; a merge of more makes several
	// blocks, one after another in the order of series. Default 500,000.
	MaxOutputSeries int64
}

func (s *MergeSettings) withDefaults() MergeSettings {
	r := *s
	if r.MaxBlocks <= 0 {
		r.MaxBlocks = 48
	}
	if r.MaxCatalogBytes <= 0 {
		r.MaxCatalogBytes = catalog.SoftLimitBytes * 3 / 4
	}
	if r.MaxInputs <= 0 {
		r.MaxInputs = 32
	}
	if r.MaxOutputBytes <= 0 {
		r.MaxOutputBytes = 96 << 20
	}
	if r.MaxOutputSeries <= 0 {
		r.MaxOutputSeries = 500_000
	}
	return r
}

// Merge is a planned merge of blocks of one partition: of hot blocks to hot ones, or, which is compaction, of any to parquet.
type Merge struct {
	// Inputs are the blocks in their order, the one that wins last.
	Inputs []catalog.Entry
	// Bytes are those of the inputs.
	Bytes int64
	// Format is that of the outputs.
	Format blocks.Format
	// Erase: it is one block, which is written again without what tombstones mask.
	Erase bool
}

// Job is the name under which the merge is claimed.
func (m *Merge) Job() string {
	return claimName(m.kind(), m.Inputs[0].Order, m.Inputs[len(m.Inputs)-1].Order)
}

func (m *Merge) kind() string {
	if m.Erase {
		return jobErase
	}
	if m.Format == blocks.Parquet {
		return jobCompact
	}
	return jobMerge
}

// wantedInputs is how many blocks a merge should have: with fewer, every flush into a full partition would bring
// a merge of a few small blocks and a commit of its own.
const wantedInputs = 8

// PlanMerge returns the merge that the partition is in need of most, or nil and why there is none. It is a pure function of one
// reading of a catalog, of the settings and of the time in ms.
//
// A merge is due above a number of live hot blocks, or near the soft limit of the catalog, on days that are closed and on the one that
// is being written alike: it is there that small flushes pile up. Blocks that are quarantined, or of a claimed
// job, stay out. Tombstones that mask a block do not: a merge applies them to it.
//
// Which blocks. All of a merge rise to the highest order among them, so none may have a block above it, and below or level with
// that order, that overlaps it in time: it would win where it lost before. A plan is grown from each block upward; a block that
// cannot be part of it is stepped over if it overlaps none of those below, and else ends it. Blocks of one order
// were cut from one merge and move together.
//
// Of the plans in which no block is larger than twice all others together, the cheapest wins: fewest bytes written for each block less. So small blocks
// go first and blocks of like size together, and each time a byte is written again it lands in a block of at least one and a half times the size: a byte is
// written at most log(largest/smallest) times to the base of 1.5, and in fact rarely more than four. Plans of less than wantedInputs blocks come last.
func PlanMerge(p *catalog.Partition, settings *MergeSettings, nowMs int64) (*Merge, string) {
	s := settings.withDefaults()
	if p.GravestoneMs != 0 {
		return nil, "the tenant was deleted"
	}
	hot := HotBlocks(p)
	if hot <= s.MaxBlocks && (p.Bytes <= s.MaxCatalogBytes || hot < 2) {
		return nil, fmt.Sprintf("%d hot blocks in a catalog of %d bytes are not too many", hot, p.Bytes)
	}
	units := unitsOf(p, nowMs)
	var best *window
	for i := range units {
		for w := range growths(units, i, &s) {
			if w.worthwhile() && (best == nil || w.better(best)) {
				best = w
			}
		}
	}
	if best == nil {
		return nil, whyNone(units, hot)
	}
	m := &Merge{Bytes: best.bytes, Format: blocks.Native}
	for _, u := range best.units {
		m.Inputs = append(m.Inputs, u.entries...)
	}
	return m, ""
}

// HotBlocks is the number of live hot blocks.
func HotBlocks(p *catalog.Partition) (n int) {
	for _, e := range p.Blocks {
		if e.Format == blocks.Native {
			n++
		}
	}
	return n
}

// unit is what moves together: the live blocks of one order.
type unit struct {
	entries []catalog.Entry
	bytes   int64
	// barred says why no merge may have it.
	barred string
}

func (u *unit) order() uint64 { return u.entries[0].Order }

func (u *unit) overlaps(o *unit) bool {
	return slices.ContainsFunc(u.entries, func(a catalog.Entry) bool {
		return slices.ContainsFunc(o.entries, func(b catalog.Entry) bool { return a.Range().Overlaps(b.Range()) })
	})
}

// unitsOf returns the live blocks by ascending order.
func unitsOf(p *catalog.Partition, nowMs int64) []*unit {
	var units []*unit
	for _, e := range p.Blocks {
		if n := len(units); n == 0 || units[n-1].order() != e.Order {
			units = append(units, &unit{})
		}
		u := units[len(units)-1]
		u.entries = append(u.entries, e)
		u.bytes += e.Size
		if why := barred(p, &e, nowMs); why != "" {
			u.barred = why
		}
	}
	return units
}

// barred says why the block may not be part of a merge of hot blocks, "" if it may.
func barred(p *catalog.Partition, e *catalog.Entry, nowMs int64) string {
	if e.Format != blocks.Native {
		return "compacted"
	}
	return barredInAny(p, e, nowMs)
}

const barredClaimed = "claimed"

// barredInAny says why the block may not be merged at all, "" if it may.
func barredInAny(p *catalog.Partition, e *catalog.Entry, nowMs int64) string {
	if p.Thinned && !e.Rolled {
		// The rollups have what is rolled and add up with it what is not: a block may not be both.
		return "waiting for rollups"
	}
	if slices.ContainsFunc(p.Quarantined, func(q catalog.Quarantined) bool { return q.ID == e.ID }) {
		return "quarantined"
	}
	for _, c := range p.Claims {
		if c.InForce(nowMs) && claimCovers(c.Job, e.Order) {
			return barredClaimed
		}
	}
	return ""
}

// window is a set of units that may be merged.
type window struct {
	units          []*unit
	blocks         int
	bytes, largest int64
}

// growths yields the windows that begin at units[i], each with one unit more.
func growths(units []*unit, i int, s *MergeSettings) func(yield func(*window) bool) {
	return func(yield func(*window) bool) {
		w := &window{}
		for j, u := range units[i:] {
			fits := u.barred == "" && w.bytes+u.bytes <= s.MaxOutputBytes && w.blocks+len(u.entries) <= s.MaxInputs
			if planted.On(planted.MergeNotAdjacent) && j%2 == 1 {
				continue
			}
			if fits {
				w = w.with(u)
				if !yield(w) {
					return
				}
				continue
			}
			if j == 0 || slices.ContainsFunc(w.units, u.overlaps) {
				return
			}
		}
	}
}

func (w *window) with(u *unit) *window {
	return &window{
		units: append(slices.Clip(w.units), u), blocks: w.blocks + len(u.entries),
		bytes: w.bytes + u.bytes, largest: max(w.largest, u.bytes),
	}
}

// worthwhile reports whether it takes several units, none larger than twice the others together.
func (w *window) worthwhile() bool { return len(w.units) > 1 && 3*w.largest <= 2*w.bytes }

// better reports whether w is to be preferred to o, which began no later.
func (w *window) better(o *window) bool {
	if enough := w.blocks >= wantedInputs; enough != (o.blocks >= wantedInputs) {
		return enough
	}
	// bytes/(blocks-1), which is what a block less costs, without the division. Products stay far below 2^63.
	a, b := w.bytes*int64(o.blocks-1), o.bytes*int64(w.blocks-1)
	if a != b {
		return a < b
	}
	return w.blocks > o.blocks
}

// whyNone says what kept the blocks from being merged.
func whyNone(units []*unit, hot int) string {
	counts := map[string]int{}
	for _, u := range units {
		if u.barred != "" {
			counts[u.barred] += len(u.entries)
		}
	}
	why := fmt.Sprintf("none of %d hot blocks has neighbors of its size to be merged with", hot)
	for _, reason := range []string{"quarantined", "claimed"} {
		if n := counts[reason]; n > 0 {
			why += fmt.Sprintf("; %d are %s", n, reason)
		}
	}
	return why
}
