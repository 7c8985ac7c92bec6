package memtable

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

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
	// MaxMetadata bounds the metrics of each tenant whose metadata is kept. Default 100,000.
	MaxMetadata int
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.MaxLabels, 64}, {&o.MaxNameBytes, 1024}, {&o.MaxValueBytes, 8192}, {&o.MaxDays, 1000}, {&o.MaxMetadata, 100_000}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// Table is one generation: the samples of all tenants.
type Table struct {
	opts  Options
	names *Names
	arena arena

	pages  atomic.Pointer[[]atomic.Pointer[page]] // by ref; grown and filled under enterMu
	sealed atomic.Bool

	enterMu sync.Mutex   // guards the fields of pages that say so, and tenantData.series
	series  atomic.Int64 // how many there are

	tenantsMu sync.RWMutex // guards tenants
	tenants   map[string]*tenantData

	samples, histograms atomic.Int64
	reserved, rows      atomic.Int64
	outOfOrder          atomic.Int64
	duplicates          atomic.Int64
	overwritten         atomic.Int64
	otherBytes          atomic.Int64 // all but blocks, estimated
}

// New returns an empty table of series that are, or will be, among names. opts may be nil, and so may names, for a table that
// shares them with no other.
func New(opts *Options, names *Names) *Table {
	if names == nil {
		names = NewNames()
	}
	t := &Table{names: names, tenants: map[string]*tenantData{}}
	if opts != nil {
		t.opts = *opts
	}
	t.opts.setDefaults()
	t.arena.sideLimit = sideLimit
	t.pages.Store(new([]atomic.Pointer[page]))
	return t
}

// Names returns what the table shares with others.
func (t *Table) Names() *Names { return t.names }

// Labels returns the labels of a series.
func (t *Table) Labels(ref uint32) labels.Labels { return t.names.labels(ref) }

// Seal ends the generation: from now on Append panics. The caller has made sure that no Append is under way.
func (t *Table) Seal() { t.sealed.Store(true) }

// Stats are counts since the table was made.
type Stats struct {
	// Series is the number of series, reserved ones apart, Samples and Histograms of what was accepted, duplicates included.
	Series, Samples, Histograms int64
	// Reserved is the number of reserved series, Rows of their rows of exemplars and metadata.
	Reserved, Rows int64
	// OutOfOrder counts floats that came after a later one of their series, Duplicates those that were there already with the same
	// value, Overwritten those that took the place of another value. A late sample that overwrites or repeats an
	// older one than the last is counted as out of order only.
	OutOfOrder, Duplicates, Overwritten int64
	// Bytes is about the memory that the table holds, names apart.
	Bytes int64
}

// Stats returns the counts.
func (t *Table) Stats() Stats {
	return Stats{
		Series: t.series.Load(), Samples: t.samples.Load(), Histograms: t.histograms.Load(),
		Reserved: t.reserved.Load(), Rows: t.rows.Load(), OutOfOrder: t.outOfOrder.Load(), Duplicates: t.duplicates.Load(), Overwritten: t.overwritten.Load(),
		Bytes: t.Bytes(),
	}
}

// Bytes is about the memory that the table holds, names apart. Cheap.
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
		d = newTenantData(name, t.names.tenant(name))
		t.tenants[name] = d
	}
	return d
}

// checkTime reports whether Varve keeps samples of that time.
func checkTime(tMs int64) bool { return model.MinTimeMs <= tMs && tMs <= model.MaxTimeMs }
