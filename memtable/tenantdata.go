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
	name  string
	names *tenantNames
	// series is how many the table has, reserved ones apart; exemplars and metadata are how many of those. Table.enterMu guards them.
	series, exemplars, metadata int

	dayMu sync.RWMutex // guards days
	days  map[model.Day]*DayStats
}

// DayStats is what a table holds of one partition.
type DayStats struct {
	Tenant string
	Day    model.Day
	// Samples counts floats, histograms and rows of reserved series, duplicates included. It is not 0.
	Samples int64
	// MinT and MaxT are the smallest and largest timestamps.
	MinT, MaxT int64
}

func newTenantData(name string, names *tenantNames) *tenantData {
	return &tenantData{name: name, names: names, days: map[model.Day]*DayStats{}}
}

// openDays makes sure that all the days are open, or opens none of them.
func (d *tenantData) openDays(tally *dayTally, limit int) error {
	if tally.over {
		// No flush would make room for it.
		return fmt.Errorf("request has samples on more than %d days, send smaller batches: %w", limit, model.ErrInvalid)
	}
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

// dayTally counts the samples of one batch by day. Nearly all batches lie on one day or two; a hostile one has every sample on
// another, so days beyond max are not entered and many are found by a map.
type dayTally struct {
	days []tallied
	cur  int
	max  int // 0 is no limit
	over bool
	many map[model.Day]int // index into days, once there are fewDays of them
}

const fewDays = 16

type tallied struct {
	day        model.Day
	r          model.TimeRange
	samples    int64
	minT, maxT int64
}

func (y *dayTally) reset(limit int) {
	y.days, y.cur, y.max, y.over, y.many = y.days[:0], 0, limit, false, nil
}

func (y *dayTally) add(t int64) {
	if (y.cur >= len(y.days) || !y.days[y.cur].r.Contains(t)) && !y.turnTo(t) {
		return
	}
	e := &y.days[y.cur]
	e.samples++
	e.minT, e.maxT = min(e.minT, t), max(e.maxT, t)
}

// turnTo makes the day of t the current one; false if there are too many.
func (y *dayTally) turnTo(t int64) bool {
	day := model.DayOf(t)
	if i := y.find(day); i >= 0 {
		y.cur = i
		return true
	}
	if y.max > 0 && len(y.days) >= y.max {
		y.over = true
		return false
	}
	y.cur = len(y.days)
	y.days = append(y.days, tallied{day: day, r: day.Range(), minT: t, maxT: t})
	switch {
	case y.many != nil:
		y.many[day] = y.cur
	case len(y.days) >= fewDays:
		y.many = make(map[model.Day]int, 2*fewDays)
		for i := range y.days {
			y.many[y.days[i].day] = i
		}
	}
	return true
}

// find returns the index of the day, or -1.
func (y *dayTally) find(day model.Day) int {
	if y.many != nil {
		if i, ok := y.many[day]; ok {
			return i
		}
		return -1
	}
	for i := range y.days {
		if y.days[i].day == day {
			return i
		}
	}
	return -1
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
