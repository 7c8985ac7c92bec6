package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// CompactSettings say when a day is compacted to parquet, and how large its blocks become. The zero value means the defaults.
type CompactSettings struct {
	// Off leaves days as hot blocks.
	Off bool
	// CloseAfter is how long after its midnight a day is closed whatever writers that have nothing of it do. Default 30 minutes.
	CloseAfter time.Duration
	// WaitForWriters is how long after its midnight a day stays open for a writer that has flushed some of it, and not since midnight: it
	// may hold more. Default 3 hours, a generation and some. Tests set a negative one, and have days compacted that are not over.
	WaitForWriters time.Duration
	// Settle is how long a day that was closed long ago must have got no block: what comes late mostly does not come alone. Default 30
	// minutes, negative is none.
	Settle time.Duration
	// LatePercent, LateBlocks and LateAfter say when hot blocks of a compacted day are merged into it: when they have that many percent of
	// its bytes, when they are that many, or when one has waited that long. Defaults 5, 8 and 24 hours.
	LatePercent int64
	LateBlocks  int
	LateAfter   time.Duration
	// MinOutputBytes is the size from which a block ends with its metric, MaxOutputBytes that at which it ends in any case; some ten MiB come on
	// top. Defaults 256 and 448 MiB.
	MinOutputBytes, MaxOutputBytes int64
	// MaxOutputSeries bounds the series of a block, whose index is held in memory. Default 500,000.
	MaxOutputSeries int64
	// MaxInputs bounds the blocks of one compaction: each takes memory. Default 96.
	MaxInputs int
}

func (s *CompactSettings) withDefaults() CompactSettings {
	r := *s
	duration := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	number := func(n *int64, otherwise int64) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	duration(&r.CloseAfter, 30*time.Minute)
	duration(&r.WaitForWriters, 3*time.Hour)
	duration(&r.Settle, 30*time.Minute)
	duration(&r.LateAfter, 24*time.Hour)
	number(&r.LatePercent, 5)
	number(&r.MinOutputBytes, 256<<20)
	number(&r.MaxOutputBytes, 448<<20)
	number(&r.MaxOutputSeries, 500_000)
	if r.LateBlocks <= 0 {
		r.LateBlocks = 8
	}
	if r.MaxInputs <= 0 {
		r.MaxInputs = 96
	}
	return r
}

// PlanCompact returns the compaction to parquet that the partition is due for, or nil and why there is none. It is a pure function of one reading
// of a catalog and of the roster, of the settings and of the time in ms.
//
// A day is due once it is closed (see closed): all its blocks become parquet. Hot blocks that come later are merged into it when
// there are enough of them, see CompactSettings: one late sample does not rewrite a day, and is visible at once in its hot block anyway.
//
// Which blocks. As in PlanMerge the inputs rise to the highest order among them, so a plan is a stretch of orders, grown upward over all that may be
// part of it; a block that may not (quarantined, or masked by a tombstone that was not applied) is stepped over if it overlaps none of those below in time, and else
// ends it. Of several stretches the one with most bytes of hot blocks is first. While any block is claimed the day waits.
func PlanCompact(p *catalog.Partition, roster *catalog.Roster, settings *CompactSettings, nowMs int64) (*Merge, string) {
	s := settings.withDefaults()
	switch {
	case s.Off:
		return nil, "compaction is off"
	case p.GravestoneMs != 0:
		return nil, "the tenant was deleted"
	case HotBlocks(p) == 0:
		return nil, "there are no hot blocks"
	}
	if why := closed(p, roster, &s, nowMs); why != "" {
		return nil, why
	}
	units := compactUnits(p, nowMs)
	if slices.ContainsFunc(units, func(u *unit) bool { return u.barred == barredClaimed }) {
		return nil, "a job of it is claimed"
	}
	var best *stretch
	why := "no hot block may be merged"
	taken := map[*unit]bool{}
	for i, u := range units {
		if u.barred != "" || taken[u] {
			continue // else late data would be a stretch without the day that it is late for
		}
		w := grow(units[i:], s.MaxInputs, taken)
		if w.hot == 0 {
			continue
		}
		if reason := w.waits(p, &s, nowMs); reason != "" {
			why = reason
			continue
		}
		if best == nil || w.hotBytes > best.hotBytes {
			best = w
		}
	}
	if best == nil {
		return nil, why
	}
	return &Merge{Inputs: best.entries, Bytes: best.hotBytes + best.coldBytes, Format: blocks.Parquet}, ""
}

// closed says why samples of the day may still be on their way in numbers, "" if it is closed. That is so when every active writer of the roster
// has flushed some of it after its midnight, and else some time after midnight: soon as far as writers are concerned that have none of it in the catalog, later
// for the others. Nothing but work depends on it: what comes after all is late data.
func closed(p *catalog.Partition, roster *catalog.Roster, s *CompactSettings, nowMs int64) string {
	midnight := p.Day.Range().MaxMs + 1
	since := time.Duration(nowMs-midnight) * time.Millisecond
	switch {
	case since >= s.WaitForWriters:
		return ""
	case since < 0:
		return "the day is not over"
	}
	for _, w := range roster.Writers {
		if w.State != catalog.Active || flushedPast(p, w.ID, midnight) {
			continue
		}
		if _, has := p.Flushed[w.ID]; has || since < s.CloseAfter {
			return fmt.Sprintf("writer %s has not flushed it since midnight", w.ID)
		}
	}
	return ""
}

// flushedPast reports whether a live block was flushed by the writer after the time.
func flushedPast(p *catalog.Partition, writer string, ms int64) bool {
	return slices.ContainsFunc(p.Blocks, func(e catalog.Entry) bool { return e.Writer == writer && e.CreatedMs >= ms })
}

// compactUnits are the units of the partition with what bars them from a compaction.
func compactUnits(p *catalog.Partition, nowMs int64) []*unit {
	units := unitsOf(p, nowMs)
	for _, u := range units {
		u.barred = ""
		for i := range u.entries {
			if why := barredInAny(p, &u.entries[i], nowMs); why != "" {
				u.barred = why
			}
		}
	}
	return units
}

// stretch is a set of blocks that may be compacted together.
type stretch struct {
	entries             []catalog.Entry
	hot, cold           int
	hotBytes, coldBytes int64
	// Of the hot blocks, when the first and the last were added.
	firstMs, lastMs int64
}

// grow returns the stretch that begins with the first unit, which is not barred, and goes as far as it may, and adds its units to taken.
func grow(units []*unit, maxInputs int, taken map[*unit]bool) *stretch {
	w := &stretch{}
	var own []*unit
	for i, u := range units {
		if u.barred == "" && !taken[u] && (i == 0 || len(w.entries)+len(u.entries) <= maxInputs) {
			w.take(u)
			own = append(own, u)
			taken[u] = true
			continue
		}
		if slices.ContainsFunc(own, u.overlaps) {
			break
		}
	}
	return w
}

func (w *stretch) take(u *unit) {
	for _, e := range u.entries {
		w.entries = append(w.entries, e)
		if e.Format != blocks.Native {
			w.cold++
			w.coldBytes += e.Size
			continue
		}
		if w.hot == 0 {
			w.firstMs, w.lastMs = e.AddedMs, e.AddedMs
		}
		w.hot++
		w.hotBytes += e.Size
		w.firstMs, w.lastMs = min(w.firstMs, e.AddedMs), max(w.lastMs, e.AddedMs)
	}
}

// waits says why the stretch is not compacted yet.
func (w *stretch) waits(p *catalog.Partition, s *CompactSettings, nowMs int64) string {
	if nowMs-w.firstMs >= s.LateAfter.Milliseconds() {
		return ""
	}
	long := nowMs-p.Day.Range().MaxMs > s.WaitForWriters.Milliseconds()
	if long && nowMs-w.lastMs < s.Settle.Milliseconds() {
		return "it got a block a short time ago"
	}
	if w.cold > 0 && w.hot < s.LateBlocks && w.hotBytes*100 < w.coldBytes*s.LatePercent {
		return fmt.Sprintf("%d blocks of late data are too few to rewrite the day", w.hot)
	}
	return ""
}

// compactWake is when a compaction may become due though the partition does not change, 0 for never.
func compactWake(p *catalog.Partition, s *CompactSettings, nowMs int64) (ms int64) {
	if s.Off || HotBlocks(p) == 0 {
		return 0
	}
	midnight := p.Day.Range().MaxMs + 1
	at := func(ms0 int64, after time.Duration) {
		if t := ms0 + after.Milliseconds(); t > nowMs && (ms == 0 || t < ms) {
			ms = t
		}
	}
	at(midnight, 0)
	at(midnight, s.CloseAfter)
	at(midnight, s.WaitForWriters)
	for _, e := range p.Blocks {
		if e.Format == blocks.Native {
			at(e.AddedMs, max(0, s.Settle))
			at(e.AddedMs, s.LateAfter)
		}
	}
	return ms
}
