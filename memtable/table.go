package memtable

import (
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/model"
)

// Options are the limits of a Table. Zero fields get the default.
type Options struct {
	// MaxLabels is the largest number of labels of a series, its name included. Default 64.
	MaxLabels int
	// MaxNameBytes and MaxValueBytes bound a label's name and value. Defaults 1,024 and 8,192.
	MaxNameBytes, MaxValueBytes int
	// MaxSeries bounds the series of each tenant. 0 is no limit.
	MaxSeries int
	// MaxDays bounds the days of each tenant that samples fall on. Default 1,000.
	MaxDays int
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.MaxLabels, 64}, {&o.MaxNameBytes, 1024}, {&o.MaxValueBytes, 8192}, {&o.MaxDays, 1000}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// Table is one generation: the samples of all tenants.
type Table struct {
	opts   Options
	hasher hasher
	arena  arena

	pages  atomic.Pointer[[]*page] // grown under seriesMu
	sealed atomic.Bool

	seriesMu sync.Mutex // guards series
	series   uint32     // how many there are; also the next ref

	tenantsMu sync.RWMutex // guards tenants
	tenants   map[string]*tenantData

	samples, histograms atomic.Int64
	outOfOrder          atomic.Int64
	duplicates          atomic.Int64
	overwritten         atomic.Int64
	otherBytes          atomic.Int64 // all but blocks, estimated
}

// New returns an empty table. opts may be nil.
func New(opts *Options) *Table {
	t := &Table{hasher: newHasher(), tenants: map[string]*tenantData{}}
	if opts != nil {
		t.opts = *opts
	}
	t.opts.setDefaults()
	t.arena.sideLimit = sideLimit
	t.pages.Store(new([]*page))
	return t
}

// Seal ends the generation: from now on Append panics. The caller has made sure that no Append is under way.
func (t *Table) Seal() { t.sealed.Store(true) }

// Stats are counts since the table was made.
type Stats struct {
	// Series is the number of series, Samples and Histograms of what was accepted, duplicates included.
	Series, Samples, Histograms int64
	// OutOfOrder counts floats that came after a later one of their series, Duplicates those that were there already with the same
	// value, Overwritten those that took the place of another value. A late sample that overwrites or repeats an
	// older one than the last is counted as out of order only.
	OutOfOrder, Duplicates, Overwritten int64
	// Bytes is about the memory that the table holds.
	Bytes int64
}

// Stats returns the counts.
func (t *Table) Stats() Stats {
	t.seriesMu.Lock()
	series := int64(t.series)
	t.seriesMu.Unlock()
	return Stats{
		Series: series, Samples: t.samples.Load(), Histograms: t.histograms.Load(),
		OutOfOrder: t.outOfOrder.Load(), Duplicates: t.duplicates.Load(), Overwritten: t.overwritten.Load(),
		Bytes: t.Bytes(),
	}
}

// Bytes is about the memory that the table holds. Cheap.
func (t *Table) Bytes() int64 { return t.arena.bytes.Load() + t.otherBytes.Load() }

// tenant returns the tenant's data, and makes it if asked to.
func (t *Table) tenant(name string, create bool) *tenantData {
	t.tenantsMu.RLock()
	d := t.tenants[name]
	t.tenantsMu.RUnlock()
	if d != nil || !create {
		return d
	}
	t.tenantsMu.Lock()
	defer t.tenantsMu.Unlock()
	if d = t.tenants[name]; d == nil {
		d = newTenantData(name)
		t.tenants[name] = d
	}
	return d
}

// at returns the series of a ref.
func (t *Table) at(ref uint32) *Series {
	return &(*t.pages.Load())[ref/pageSeries].series[ref%pageSeries]
}

// newSeries returns a free series with its ref set.
func (t *Table) newSeries() *Series {
	t.seriesMu.Lock()
	defer t.seriesMu.Unlock()
	ref := t.series
	if ref%pageSeries == 0 {
		pages := append(*t.pages.Load(), &page{})
		t.pages.Store(&pages)
		t.otherBytes.Add(pageBytes)
	}
	t.series++
	s := t.at(ref)
	s.ref = ref
	return s
}

// checkTime reports whether Varve keeps samples of that time.
func checkTime(tMs int64) bool { return model.MinTimeMs <= tMs && tMs <= model.MaxTimeMs }
