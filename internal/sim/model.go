package sim

import (
	"fmt"
	"math"
	"slices"
)

// key names one sample.
type key struct {
	tenant, series string
	t              int64
}

func (k key) String() string { return fmt.Sprintf("%s/%s@%d", k.tenant, k.series, k.t) }

// write is one attempt to write a sample, and what is owed for it.
type write struct {
	value float64
	// acked: the client was told that it is stored.
	acked bool
	// shipped: and then the disk it lies on may be lost as well.
	shipped bool
	// fate says whether it was deleted, or expired; rolled, whether it was deleted as far as rollups are concerned, which expire later.
	fate, rolled deleteFate
}

// deleteFate is what deletes have done to a write.
type deleteFate int

const (
	kept deleteFate = iota
	// unsure: a delete that failed, could not reach a writer, or ran while it was sent may have deleted it.
	unsure
	// deleted: it must never be seen again.
	deleted
)

// oracle is the naive model: for each sample, the writes in the order in which they were sent.
// A sample is only ever written by one disk, so that this order is the one that counts.
type oracle struct {
	writes map[key][]write
	// byDisk are the samples whose last writes may still be lost with their disk.
	byDisk map[string][]key
	// deleting are the deletes that are under way.
	deleting []*deletion
	// deletes are all that were begun.
	deletes []*deletion
	// restoring are the restores that are under way; copies are, by tenant, how many there were.
	restoring []*restoring
	copies    map[string]int
}

// begin says that a delete is under way: what matches, and what will be written meanwhile, may go.
func (o *oracle) begin(d *deletion) {
	o.deleting, o.deletes = append(o.deleting, d), append(o.deletes, d)
	for k, ws := range o.writes {
		if d.matches(k) {
			for n := range ws {
				ws[n].fate, ws[n].rolled = max(ws[n].fate, unsure), max(ws[n].rolled, unsure)
			}
		}
	}
}

// end says that a delete is not under way any more.
func (o *oracle) end(d *deletion) {
	o.deleting = slices.DeleteFunc(o.deleting, func(x *deletion) bool { return x == d })
}

// gone says that a delete reached every writer and returned without an error. flushed says of which samples nothing was left to flush.
func (o *oracle) gone(d *deletion, flushed func(key) bool) {
	for _, r := range d.owed {
		if flushed(r.key) {
			o.writes[r.key][r.n].fate, o.writes[r.key][r.n].rolled = deleted, deleted
		}
	}
}

func newOracle() *oracle {
	return &oracle{writes: map[key][]write{}, byDisk: map[string][]key{}, copies: map[string]int{}}
}

func (o *oracle) wrote(disk string, k key, value float64, acked, shipped bool) {
	fate := kept
	if slices.ContainsFunc(o.deleting, func(d *deletion) bool { return d.matches(k) }) || o.mayLose(k.tenant) {
		fate = unsure
	}
	o.writes[k] = append(o.writes[k], write{value, acked, shipped, fate, fate})
	if !shipped {
		o.byDisk[disk] = append(o.byDisk[disk], k)
	}
}

// shipped says that all that was acknowledged on the disk so far is also in the bucket.
func (o *oracle) shippedAll(disk string) {
	for _, k := range o.byDisk[disk] {
		for n := range o.writes[k] {
			o.writes[k][n].shipped = true
		}
	}
	delete(o.byDisk, disk)
}

// diskLost takes back the promises that held only as long as the disk.
func (o *oracle) diskLost(disk string) {
	for _, k := range o.byDisk[disk] {
		for n, w := range o.writes[k] {
			o.writes[k][n].acked = w.acked && w.shipped
		}
	}
	delete(o.byDisk, disk)
}

// finding is what reading back found of a sample: the winning value, and in how many blocks it lies.
type finding struct {
	value  float64
	places int
}

// verdict returns what is wrong with the finding, or "". most is in how many places it may lie.
func verdict(ws []write, f finding, found bool, most int) string {
	last := -1
	for n, w := range ws {
		if w.acked && w.fate == kept {
			last = n
		}
	}
	if !found {
		if last >= 0 {
			return fmt.Sprintf("lost: %v was acknowledged", ws[last].value)
		}
		return ""
	}
	at := slices.IndexFunc(ws, func(w write) bool { return math.Float64bits(w.value) == math.Float64bits(f.value) })
	ok := at >= max(last, 0)
	switch {
	case at >= 0 && ws[at].fate == deleted:
		return fmt.Sprintf("is %v, which was deleted", f.value)
	case !ok && last >= 0:
		return fmt.Sprintf("is %v, but %v was acknowledged last", f.value, ws[last].value)
	case !ok:
		return fmt.Sprintf("is %v, which was never sent", f.value)
	case f.places > most:
		return fmt.Sprintf("doubled: it lies in %d places and was sent %d times", f.places, len(ws))
	}
	return ""
}

// compare checks everything that was found against everything that was sent. With once, places are counted too. Samples for
// which skip holds are left out.
func (o *oracle) compare(got map[key]finding, once bool, skip func(key) bool) error {
	for _, k := range o.sorted() {
		if skip(k) {
			continue
		}
		f, found := got[k]
		most := math.MaxInt
		if once {
			most = len(o.writes[k]) + o.copies[k.tenant]
		}
		if v := verdict(o.writes[k], f, found, most); v != "" {
			return fmt.Errorf("%v %s", k, v)
		}
	}
	for k := range got {
		if o.writes[k] == nil {
			return fmt.Errorf("%v was never sent", k)
		}
	}
	return nil
}

// sorted are the samples in a fixed order, so that the first complaint of a seed is always the same.
func (o *oracle) sorted() []key { return sortedKeys(o.writes) }

func sortedKeys[V any](m map[key]V) []key {
	keys := make([]key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.tenant != b.tenant:
			return compareStrings(a.tenant, b.tenant)
		case a.series != b.series:
			return compareStrings(a.series, b.series)
		}
		return int(min(max(a.t-b.t, -1), 1))
	})
	return keys
}

func compareStrings(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
