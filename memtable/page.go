package memtable

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// page holds neighboring series, which share a lock. Requests carry series in about the order in which they were first
// seen, so one locking serves many samples.
type page struct {
	entered [pageSeries / 64]atomic.Uint64 // a bit for each series that the table has; set under Table.enterMu
	logged  [pageSeries / 64]uint64        // a bit for each that LogOnce was called with
	mu      sync.Mutex                     // guards series
	series  [pageSeries]series
}

const pageBytes = int64(unsafe.Sizeof(page{}))

// has reports whether the table has the series. A page that is nil has none.
func (p *page) has(ref uint32) bool {
	return p != nil && p.entered[ref%pageSeries/64].Load()>>(ref%64)&1 != 0
}

// page returns the page of a ref, nil if there is none.
func pageOf(pages []atomic.Pointer[page], ref uint32) *page {
	if n := ref / pageSeries; int(n) < len(pages) {
		return pages[n].Load()
	}
	return nil
}

// enter makes the series one of the table's. It reports false if the tenant has limit series already, unless that is 0.
func (t *Table) enter(d *tenantData, ref uint32, limit int) bool {
	t.enterMu.Lock()
	defer t.enterMu.Unlock()
	entered, isNew := t.enterLocked(ref, &d.series, limit)
	if isNew {
		t.series.Add(1)
	}
	return entered
}

// enterReserved is enter for a series of ours, which does not count as one of the tenant but as one of n.
func (t *Table) enterReserved(n *int, ref uint32, limit int) bool {
	t.enterMu.Lock()
	defer t.enterMu.Unlock()
	entered, isNew := t.enterLocked(ref, n, limit)
	if isNew {
		t.reserved.Add(1)
	}
	return entered
}

// enterLocked enters a series that counts as one of n, of which there may be limit. enterMu is held.
func (t *Table) enterLocked(ref uint32, n *int, limit int) (entered, isNew bool) {
	p := pageOf(*t.pages.Load(), ref)
	if p.has(ref) {
		return true, false
	}
	if limit > 0 && *n >= limit {
		return false, false
	}
	if p == nil {
		p = t.addPage(ref / pageSeries)
	}
	p.entered[ref%pageSeries/64].Or(1 << (ref % 64))
	*n++
	return true, true
}

// full reports whether the tenant has as many series as it may.
func (t *Table) full(d *tenantData, limit int) bool {
	t.enterMu.Lock()
	defer t.enterMu.Unlock()
	return limit > 0 && d.series >= limit
}

// fullMetadata reports whether the tenant has metadata of as many metrics as it may.
func (t *Table) fullMetadata(d *tenantData) bool {
	t.enterMu.Lock()
	defer t.enterMu.Unlock()
	return d.metadata >= t.opts.MaxMetadata
}

// addPage makes the n-th page. enterMu is held.
func (t *Table) addPage(n uint32) *page {
	pages := *t.pages.Load()
	if int(n) >= len(pages) {
		grown := make([]atomic.Pointer[page], max(int(n)+1, 2*len(pages)))
		for i := range pages {
			grown[i].Store(pages[i].Load())
		}
		t.pages.Store(&grown)
		pages = grown
	}
	p := &page{}
	pages[n].Store(p)
	t.otherBytes.Add(pageBytes)
	return p
}

// LogOnce reports true the first time it is called with a series, for who writes a log: there the definition of a
// series comes once in each generation. Calls are the caller's to serialize.
func (t *Table) LogOnce(ref uint32) bool {
	p := pageOf(*t.pages.Load(), ref)
	word, bit := &p.logged[ref%pageSeries/64], uint64(1)<<(ref%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
