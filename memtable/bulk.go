package memtable

import "github.com/varvedb/varve/model"

// Bulk adds the samples of a log that is replayed, which come by the million while nobody waits for one of them. A scrape touches each
// series once, and the series of a busy server take more room than the processor's caches, so that appending scrape after scrape waits for
// memory at nearly every sample. Bulk gathers the samples of neighboring series, in their order, and appends those of several scrapes at once.
//
// What was added is in the table after Flush, or sooner. No limit applies. Not for concurrent use, and nobody else may append to the
// table between the first call and Flush; reading is as safe as ever.
type Bulk struct {
	table *Table

	tenant *tenantData
	tally  dayTally // what was added of the tenant and is not counted yet

	waiting []waiting // by page
	page    uint32    // that of the last sample
	at      *waiting  // its entry, nil before the first sample

	free  []*gathered
	made  int
	limit int // of made
}

// waiting are the samples that wait for one page, in order.
type waiting struct {
	full []*gathered
	last *gathered // nil if none waits
}

// gathered are samples of one page in the order in which they came.
type gathered struct {
	n      int
	series [gatheredSamples]uint8 // number within the page
	t      [gatheredSamples]int64
	v      [gatheredSamples]float64
}

const (
	gatheredSamples = pageSeries
	// gatheredLimit bounds what waits, to 9 MiB.
	gatheredLimit = 2048
	// gatheredOfPage is how many a page gathers before they are appended: many samples for each time that the page's series are fetched,
	// and few enough to be in the caches beside them.
	gatheredOfPage = 16
)

// NewBulk returns a Bulk for a table.
func NewBulk(t *Table) *Bulk { return &Bulk{table: t, limit: gatheredLimit} }

// Tenant says whose samples follow.
func (b *Bulk) Tenant(name string) {
	if b.tenant != nil && b.tenant.name == name {
		return
	}
	b.enterDays()
	b.tenant = b.table.tenant(name, true)
}

// enterDays counts what was added. As in Append, days are visible before their samples are.
func (b *Bulk) enterDays() {
	if len(b.tally.days) > 0 {
		b.tenant.addDays(&b.tally)
	}
	b.tally.reset(0)
}

// Float adds a float of a series that Define made.
func (b *Bulk) Float(ref uint32, t int64, v float64) {
	b.tally.add(t)
	if n := ref / pageSeries; n != b.page || b.at == nil {
		b.turnTo(n)
	}
	g := b.at.last
	if g == nil || g.n == gatheredSamples {
		g = b.more()
	}
	k := g.n & (gatheredSamples - 1)
	g.series[k], g.t[k], g.v[k] = uint8(ref%pageSeries), t, v
	g.n++
}

// turnTo makes a page the current one.
func (b *Bulk) turnTo(page uint32) {
	if int(page) >= len(b.waiting) {
		b.waiting = append(b.waiting, make([]waiting, int(page)+1-len(b.waiting))...)
	}
	b.page, b.at = page, &b.waiting[page]
}

// more makes room for samples of the current page.
func (b *Bulk) more() *gathered {
	if len(b.at.full)+1 >= gatheredOfPage {
		b.enterDays()
		b.append(b.page)
	}
	if len(b.free) == 0 && b.made >= b.limit {
		b.Flush()
	}
	var g *gathered
	if n := len(b.free); n > 0 {
		g, b.free = b.free[n-1], b.free[:n-1]
	} else {
		g = &gathered{}
		b.made++
	}
	if b.at.last != nil {
		b.at.full = append(b.at.full, b.at.last)
	}
	b.at.last = g
	return g
}

// Histogram adds what is no plain float, which is copied, of a series that Define made.
func (b *Bulk) Histogram(ref uint32, t int64, h []byte) {
	b.tally.add(t)
	b.turnTo(ref / pageSeries)
	b.enterDays()
	b.append(b.page)
	p := pageOf(*b.table.pages.Load(), ref)
	var counts [overwritten + 1]int64
	p.mu.Lock()
	// Never nil, which would make it a float.
	counts[p.series[ref%pageSeries].pushHistogram(t, append(make([]byte, 0, len(h)), h...))]++
	p.mu.Unlock()
	b.table.otherBytes.Add(histogramBytes(h))
	switch {
	case model.IsFloatWithStart(h):
		b.table.samples.Add(1)
	case model.IsRow(h):
		b.table.rows.Add(1)
	default:
		b.table.histograms.Add(1)
	}
	b.table.count(&counts)
}

// Flush appends all that waits. The Bulk may be used on.
func (b *Bulk) Flush() {
	b.enterDays()
	for n := range b.waiting {
		b.append(uint32(n))
	}
}

// append appends what waits for one page; its days are entered.
func (b *Bulk) append(page uint32) {
	w := &b.waiting[page]
	if w.last == nil {
		return
	}
	w.full = append(w.full, w.last)
	p := (*b.table.pages.Load())[page].Load()
	var counts [overwritten + 1]int64
	samples := 0
	p.mu.Lock()
	for _, g := range w.full {
		for k, s := range g.series[:g.n] {
			counts[p.series[s].push(&b.table.arena, g.t[k], g.v[k])]++
		}
		samples += g.n
		g.n = 0
	}
	p.mu.Unlock()
	b.free = append(b.free, w.full...)
	w.full, w.last = w.full[:0], nil
	b.table.samples.Add(int64(samples))
	b.table.count(&counts)
}
