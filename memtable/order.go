package memtable

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// order remembers how the series of a tenant are sorted, so that neither a query over many of them nor a block compares their
// labels again. It is extended when somebody asks and finds that series were added: they are sorted apart and merged in.
type order struct {
	// byMetric: by metric name, then labels, as in a block; else by labels alone.
	byMetric bool

	mu     sync.Mutex // guards the rest; what they refer to is never changed
	sorted []uint32   // refs in order
	ranks  []uint32   // ranks[i] is the place in sorted of the i-th series of the tenant; shorter if nobody asked
}

// compare compares two series.
func (o *order) compare(a, b labels.Labels) int {
	if o.byMetric {
		if c := cmp.Compare(a.Get(commonmodel.MetricNameLabel), b.Get(commonmodel.MetricNameLabel)); c != 0 {
			return c
		}
	}
	return labels.Compare(a, b)
}

// sort sorts refs.
func (o *order) sort(n *Names, refs []uint32) {
	byLabels := func(a, b uint32) int { return labels.Compare(n.labels(a), n.labels(b)) }
	if !o.byMetric {
		slices.SortFunc(refs, byLabels)
		return
	}
	// Metrics first: there are few of them, and to find a series' name takes as long as to compare all of it.
	metrics := map[string][]uint32{}
	for _, ref := range refs {
		name := n.labels(ref).Get(commonmodel.MetricNameLabel)
		metrics[name] = append(metrics[name], ref)
	}
	refs = refs[:0]
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		slices.SortFunc(metrics[name], byLabels)
		refs = append(refs, metrics[name]...)
	}
}

// minOrdered is the number of series from which on a selection is sorted by ranks.
const minOrdered = 512

// of returns all, the refs of the tenant's series, ascending, in order.
func (o *order) of(n *Names, all []uint32) []uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.extend(n, all)
}

// extend is of. mu is held.
func (o *order) extend(n *Names, all []uint32) []uint32 {
	known := len(o.sorted)
	if known >= len(all) {
		return o.sorted
	}
	compare := func(a, b uint32) int { return o.compare(n.labels(a), n.labels(b)) }
	added := slices.Clone(all[known:])
	o.sort(n, added)
	merged := make([]uint32, 0, len(all))
	rest := o.sorted
	for _, ref := range added {
		at, _ := slices.BinarySearchFunc(rest, ref, compare)
		merged = append(append(merged, rest[:at]...), ref)
		rest = rest[at:]
	}
	o.sorted = append(merged, rest...)
	n.bytes.Add(4 * int64(len(added)))
	return o.sorted
}

// ranksOf returns the ranks of all, the refs of the tenant's series, ascending.
func (o *order) ranksOf(n *Names, all []uint32) []uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.ranks) >= len(all) {
		return o.ranks
	}
	n.bytes.Add(4 * int64(len(all)-len(o.ranks)))
	o.ranks = make([]uint32, len(all))
	for rank, ref := range o.extend(n, all) {
		at, _ := slices.BinarySearch(all, ref)
		o.ranks[at] = uint32(rank)
	}
	return o.ranks
}

// sortFound sorts snapshots, which are ascending by ref, by labels.Compare.
func (d *tenantData) sortFound(t *Table, found []snapshot) {
	if len(found) < minOrdered {
		slices.SortFunc(found, func(a, b snapshot) int { return labels.Compare(a.labels, b.labels) })
		return
	}
	all := d.names.index.refs()
	ranks := d.names.selecting.ranksOf(t.names, all)
	for i := range found {
		at, _ := gallop(all, found[i].ref)
		all, ranks = all[at:], ranks[at:]
		found[i].rank = ranks[0]
	}
	slices.SortFunc(found, func(a, b snapshot) int { return cmp.Compare(a.rank, b.rank) })
}
