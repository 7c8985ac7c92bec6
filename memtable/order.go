package memtable

import (
	"cmp"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// order remembers how the series of a tenant are sorted by labels.Compare, so that a query over many of them does not
// compare their labels again. It is extended when a query finds that series were added: they are sorted apart and merged in.
type order struct {
	mu     sync.Mutex // guards the rest; what they refer to is never changed
	sorted []uint32   // refs in order of labels
	ranks  []uint32   // ranks[i] is the place in sorted of the i-th series of the tenant
}

// minOrdered is the number of series from which on a selection is sorted by ranks.
const minOrdered = 512

// ranksOf returns the ranks of all, the refs of the tenant's series, ascending.
func (o *order) ranksOf(t *Table, all []uint32) []uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := len(o.sorted)
	if known >= len(all) {
		return o.ranks
	}
	compare := func(a, b uint32) int { return labels.Compare(t.at(a).labels, t.at(b).labels) }
	added := slices.Clone(all[known:])
	slices.SortFunc(added, compare)
	merged := make([]uint32, 0, len(all))
	rest := o.sorted
	for _, ref := range added {
		at, _ := slices.BinarySearchFunc(rest, ref, compare)
		merged = append(append(merged, rest[:at]...), ref)
		rest = rest[at:]
	}
	o.sorted = append(merged, rest...)
	o.ranks = make([]uint32, len(all))
	for rank, ref := range o.sorted {
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
	all := d.index.refs()
	ranks := d.order.ranksOf(t, all)
	for i := range found {
		at, _ := gallop(all, found[i].ref)
		all, ranks = all[at:], ranks[at:]
		found[i].rank = ranks[0]
	}
	slices.SortFunc(found, func(a, b snapshot) int { return cmp.Compare(a.rank, b.rank) })
}
