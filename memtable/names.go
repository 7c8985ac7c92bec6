package memtable

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Names are the series that the tables of one writer have in common: their labels, the index of those, and their keys as they arrive.
// Generations follow one another with nearly the same series, so that a table which finds them here costs little to begin, in
// time and in memory. Series are only ever added; who has tables follow one another begins anew with empty Names when too many of
// the series are gone (see [Names.Len]). Safe for concurrent use.
type Names struct {
	hasher hasher

	pages atomic.Pointer[[]*namePage] // grown under mu
	mu    sync.Mutex                  // guards count
	count uint32                      // how many there are; also the next ref

	tenantsMu sync.RWMutex // guards tenants
	tenants   map[string]*tenantNames

	bytes atomic.Int64 // estimated
}

// pageSeries is the number of series in a page, here and in tables.
const pageSeries = 256

type namePage [pageSeries]labels.Labels

const namePageBytes = int64(unsafe.Sizeof(namePage{}))

// tenantNames are the series of one tenant.
type tenantNames struct {
	aliasMu sync.RWMutex // guards byDecoder
	// byDecoder holds the names of series as they arrive, per decoder.
	byDecoder map[string]*aliases

	createMu  sync.Mutex // new series one after another, those of a batch together; guards canonical, buf and exemplars
	canonical seriesByLabels
	buf       []byte
	// exemplars leads from a series to that of its exemplars; createMu guards it.
	exemplars map[uint32]uint32

	index postings
	// selecting is the order of selections, building that of blocks.
	selecting, building order
}

// NewNames returns empty names.
func NewNames() *Names {
	n := &Names{hasher: newHasher(), tenants: map[string]*tenantNames{}}
	n.pages.Store(new([]*namePage))
	return n
}

// Len is the number of series.
func (n *Names) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return int(n.count)
}

// Bytes is about the memory that the names hold. Cheap.
func (n *Names) Bytes() int64 { return n.bytes.Load() }

// labels returns the labels of a series.
func (n *Names) labels(ref uint32) labels.Labels {
	return (*n.pages.Load())[ref/pageSeries][ref%pageSeries]
}

// tenant returns the tenant's names, and makes them if there are none.
func (n *Names) tenant(name string) *tenantNames {
	n.tenantsMu.RLock()
	d := n.tenants[name]
	n.tenantsMu.RUnlock()
	if d != nil {
		return d
	}
	n.tenantsMu.Lock()
	defer n.tenantsMu.Unlock()
	if d = n.tenants[name]; d == nil {
		d = &tenantNames{
			byDecoder: map[string]*aliases{}, index: newPostings(),
			building: order{byMetric: true}, exemplars: map[uint32]uint32{},
		}
		n.tenants[name] = d
	}
	return d
}

// aliasesOf returns the aliases of a decoder's keys.
func (d *tenantNames) aliasesOf(decoder string) *aliases {
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

// errTooManySeries is the one rejection that passes by itself.
var errTooManySeries = fmt.Errorf("as many as allowed: %w", model.ErrLimit)

// find returns the series of the labels, or NoSeries, and the hash for create. createMu is held.
func (n *Names) find(d *tenantNames, ls labels.Labels) (uint32, uint64) {
	d.buf = ls.Bytes(d.buf[:0])
	h := n.hasher.sum(d.buf).a
	for ref := range d.canonical.find(h) {
		if labels.Equal(n.labels(ref), ls) {
			return ref, h
		}
	}
	return NoSeries, h
}

// create adds the series of labels that find did not find. createMu is held since then.
func (n *Names) create(d *tenantNames, ls labels.Labels, h uint64) uint32 {
	ref := n.add(ls)
	grown := d.canonical.insert(h, ref) + d.index.add(ref, ls)
	// A string takes an eighth more than its length, for the sizes in which memory is handed out.
	n.bytes.Add(int64(grown + len(d.buf) + len(d.buf)/8))
	return ref
}

func (n *Names) add(ls labels.Labels) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	ref := n.count
	if ref%pageSeries == 0 {
		pages := append(*n.pages.Load(), &namePage{})
		n.pages.Store(&pages)
		n.bytes.Add(namePageBytes)
	}
	n.count++
	(*n.pages.Load())[ref/pageSeries][ref%pageSeries] = ls
	return ref
}
