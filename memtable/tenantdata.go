package memtable

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/varvedb/varve/model"
)

// tenantData is what a table holds of one tenant besides the samples.
type tenantData struct {
	name string

	aliasMu sync.RWMutex // guards byDecoder
	// byDecoder holds the names of series as they arrive, per decoder.
	byDecoder map[string]*aliases

	createMu  sync.Mutex // one new series at a time; guards canonical
	canonical seriesByLabels
	index     postings
	order     order

	dayMu sync.RWMutex // guards days
	days  map[model.Day]*DayStats
}

// DayStats is what a table holds of one partition.
type DayStats struct {
	Tenant string
	Day    model.Day
	// Samples counts floats and histograms, duplicates included. It is not 0.
	Samples int64
	// MinT and MaxT are the smallest and largest timestamps.
	MinT, MaxT int64
}

func newTenantData(name string) *tenantData {
	return &tenantData{
		name: name, byDecoder: map[string]*aliases{}, days: map[model.Day]*DayStats{},
		index: newPostings(),
	}
}

// aliasesOf returns the aliases of a decoder's keys.
func (d *tenantData) aliasesOf(decoder string) *aliases {
	d.aliasMu.RLock()
	a := d.byDecoder[decoder]
	d.aliasMu.RUnlock()
	if a != nil {
		return a
	}
	d.aliasMu.Lock()
	defer d.aliasMu.Unlock()
	if a = d.byDecoder[decoder]; a == nil {
		a = &aliases{}
		d.byDecoder[decoder] = a
	}
	return a
}

// openDays makes sure that all the days are open, or opens none of them.
func (d *tenantData) openDays(tally *dayTally, limit int) error {
	d.dayMu.RLock()
	missing := tally.missing(d.days)
	d.dayMu.RUnlock()
	if missing == 0 {
		return nil
	}
	d.dayMu.Lock()
	defer d.dayMu.Unlock()
	if missing = tally.missing(d.days); len(d.days)+missing > limit {
		return fmt.Errorf("tenant %s has samples on %d days since the last flush, %d more would exceed %d: %w",
			d.name, len(d.days), missing, limit, model.ErrLimit)
	}
	for _, e := range tally.days {
		if d.days[e.day] == nil {
			d.days[e.day] = &DayStats{Tenant: d.name, Day: e.day}
		}
	}
	return nil
}

// addDays adds what was appended.
func (d *tenantData) addDays(tally *dayTally) {
	d.dayMu.Lock()
	defer d.dayMu.Unlock()
	for _, e := range tally.days {
		s := d.days[e.day]
		if s == nil {
			s = &DayStats{Tenant: d.name, Day: e.day}
			d.days[e.day] = s
		}
		if s.Samples == 0 {
			s.MinT, s.MaxT = e.minT, e.maxT
		}
		s.Samples += e.samples
		s.MinT, s.MaxT = min(s.MinT, e.minT), max(s.MaxT, e.maxT)
	}
}

// Days lists the partitions that have samples, by tenant and day.
func (t *Table) Days() []DayStats {
	t.tenantsMu.RLock()
	defer t.tenantsMu.RUnlock()
	var out []DayStats
	for _, d := range t.tenants {
		d.dayMu.RLock()
		for _, s := range d.days {
			if s.Samples > 0 {
				out = append(out, *s)
			}
		}
		d.dayMu.RUnlock()
	}
	slices.SortFunc(out, func(a, b DayStats) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Day, b.Day)) })
	return out
}

// dayTally counts the samples of one batch by day. Nearly all batches lie on one day or two.
type dayTally struct {
	days []tallied
	cur  int
}

type tallied struct {
	day        model.Day
	r          model.TimeRange
	samples    int64
	minT, maxT int64
}

func (y *dayTally) reset() { y.days, y.cur = y.days[:0], 0 }

func (y *dayTally) add(t int64) {
	if y.cur >= len(y.days) || !y.days[y.cur].r.Contains(t) {
		y.turnTo(t)
	}
	e := &y.days[y.cur]
	e.samples++
	e.minT, e.maxT = min(e.minT, t), max(e.maxT, t)
}

// turnTo makes the day of t the current one. The list is short or sorted by arrival; a request of thousands of days is refused
// by its limit, not made fast.
func (y *dayTally) turnTo(t int64) {
	day := model.DayOf(t)
	for i := range y.days {
		if y.days[i].day == day {
			y.cur = i
			return
		}
	}
	y.days = append(y.days, tallied{day: day, r: day.Range(), minT: t, maxT: t})
	y.cur = len(y.days) - 1
}

func (y *dayTally) missing(have map[model.Day]*DayStats) int {
	n := 0
	for _, e := range y.days {
		if have[e.day] == nil {
			n++
		}
	}
	return n
}
