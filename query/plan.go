package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// plan is what a question is answered from at the bucket.
type plan struct {
	// blocks are those that overlap the range, lowest priority first.
	blocks []liveBlock
	// expired are the days of which rollups have what raw samples do not, and cannot be used.
	expired []model.Day
}

// liveBlock is a block of a view, with the tombstones that hide samples of it, and how it is to be read.
type liveBlock struct {
	catalog.Entry
	tombstones []catalog.Tombstone
	// wide is what is to be read of windows and of held samples beyond the range of the question: whole windows around it, and more where they tell what comes
	// next. Empty for others.
	wide model.TimeRange
	// heldMs: the raw samples are in windows of this length, which are read too and counted with: whichever has more of a window stands for it. 0 if not.
	heldMs  int64
	counted bool
}

// key tells apart readings of blocks that are not the same. Of one plan they are of different blocks.
func (b *liveBlock) key() string {
	if b.wide == (model.TimeRange{}) {
		return b.ID
	}
	return fmt.Sprintf("%s %v %d %t", b.ID, b.wide, b.heldMs, b.counted)
}

// plan says which blocks of the view a question is answered from.
func (w *view) plan(question *question) *plan {
	all := &plan{}
	for _, p := range w.Partitions {
		if p.GravestoneMs != 0 {
			continue
		}
		c := choice{raw: true}
		if len(p.Rollups) > 0 {
			c = question.purpose.choose(question.asked, factsOf(p))
		}
		all.addDay(p, c, question)
	}
	slices.SortFunc(all.blocks, func(a, b liveBlock) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (a *plan) addDay(p *catalog.Partition, c choice, question *question) {
	if c.expired && p.Day.Range().Overlaps(question.r) {
		a.expired = append(a.expired, p.Day)
	}
	held := false
	if c.raw {
		for _, e := range p.Blocks {
			b := liveBlock{Entry: e, tombstones: p.Masks(&e)}
			r := question.r
			if c.rollupMs > 0 && e.Rolled && question.purpose.use != useLabels {
				b.heldMs = c.rollupMs
				b.wide = model.TimeRange{MinMs: r.MinMs - c.rollupMs, MaxMs: r.MaxMs + c.rollupMs}
				r, held = b.wide, true
			}
			if e.Range().Overlaps(r) {
				a.blocks = append(a.blocks, b)
			}
		}
	}
	if c.rollupMs == 0 {
		return
	}
	for _, e := range p.Rollups {
		wide := question.purpose.around(question.r, c.rollupMs)
		if e.Format.ResolutionMs() == c.rollupMs && e.Range().Overlaps(wide) {
			a.blocks = append(a.blocks, liveBlock{Entry: e, tombstones: p.Masks(&e), wide: wide, counted: held})
		}
	}
}

func factsOf(p *catalog.Partition) facts {
	// What is in a quarantined block may not have come into the rollups of today.
	f := facts{thinned: p.Thinned, rolled: len(p.Quarantined) == 0 && !expiredFirst(p)}
	for i := range p.Blocks {
		f.rolled = f.rolled && p.Blocks[i].Rolled
	}
	for i := range p.Rollups {
		f.has5m = f.has5m || p.Rollups[i].Format == blocks.Rollup5m
		f.has1h = f.has1h || p.Rollups[i].Format == blocks.Rollup1h
	}
	return f
}

// expiredFirst reports whether raw samples may be there of series whose rollups have expired: what was taken out of rollups, or is hidden in them, by a
// tombstone that is not known to be of raw samples too.
func expiredFirst(p *catalog.Partition) bool {
	if len(p.Blocks) == 0 {
		return false
	}
	ofRaw := func(id string) bool {
		return slices.ContainsFunc(p.Blocks, func(e catalog.Entry) bool { return slices.Contains(e.Tombstones, id) })
	}
	for i := range p.Rollups {
		e := &p.Rollups[i]
		for _, t := range p.Masks(e) {
			if t.Scope == catalog.ScopeRollups {
				return true
			}
		}
		if slices.ContainsFunc(e.Tombstones, func(id string) bool { return !ofRaw(id) }) {
			return true
		}
	}
	return false
}

// remarks says whether there are windows among the answers, and what the user is to be told of where they came from and where none could.
func (a *plan) remarks(question *question, answers []*answer) (windows bool, infos []error) {
	days := map[int64][]model.Day{}
	for _, answer := range answers {
		if answer.rollupMs > 0 && (answer.selection != nil && len(answer.selection.Series) > 0 || len(answer.values) > 0) {
			days[answer.rollupMs] = append(days[answer.rollupMs], answer.day)
		}
	}
	for _, ms := range [...]int64{fiveMinutesMs, hourMs} {
		if len(days[ms]) > 0 {
			windows = true
			infos = append(infos, fmt.Errorf("%w: rollups of %s answer for %s", annotations.PromQLInfo, windowName(ms), daysText(days[ms])))
		}
	}
	if n := len(a.expired); n > 0 {
		infos = append(infos, fmt.Errorf("%w: raw samples before %s have expired, and %s", annotations.PromQLInfo, (a.expired[n-1]+1).Dashed(), question.refusal()))
	}
	return windows, infos
}

// refusal says why a question is not answered from rollups.
func (q *question) refusal() string {
	switch {
	case q.asked == ResolutionRaw:
		return "resolution=raw leaves rollups out"
	case q.purpose.use != useSamples:
		return fmt.Sprintf("%s over a range shorter than the windows of rollups cannot use them", q.purpose.function)
	case q.purpose.function == "":
		return "a plain range of samples cannot be had from rollups"
	}
	return q.purpose.function + " cannot use rollups"
}

func windowName(ms int64) string {
	if ms == hourMs {
		return Resolution1h.String()
	}
	return Resolution5m.String()
}

// maxStretches bounds the text of many days.
const maxStretches = 8

// daysText names ascending days, stretches of them by their first and last.
func daysText(days []model.Day) string {
	var parts []string
	for len(days) > 0 && len(parts) < maxStretches {
		n := 1
		for n < len(days) && days[n] <= days[n-1]+1 {
			n++
		}
		text := days[0].Dashed()
		if days[n-1] != days[0] {
			text += " to " + days[n-1].Dashed()
		}
		parts, days = append(parts, text), days[n:]
	}
	text := strings.Join(parts, ", ")
	if len(days) > 0 {
		text += " and more up to " + days[len(days)-1].Dashed()
	}
	return text
}
