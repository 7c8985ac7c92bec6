package memtable

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Define finds or makes the series of labels that were logged, so that limits do not apply. Labels that no Resolve could have
// made are model.ErrCorrupt.
func (t *Table) Define(tenant string, ls labels.Labels) (uint32, error) {
	if ls.IsEmpty() {
		return NoSeries, fmt.Errorf("series without labels: %w", model.ErrCorrupt)
	}
	d := t.tenant(tenant, true)
	d.names.createMu.Lock()
	defer d.names.createMu.Unlock()
	ref, h := t.names.find(d.names, ls)
	if ref == NoSeries {
		ref = t.names.create(d.names, ls, h)
	}
	if _, ok := model.MetadataOf(ls); ok {
		t.enterReserved(&d.metadata, ref, 0)
	} else if model.Reserved(ls) {
		t.enterReserved(&d.exemplars, ref, 0)
	} else {
		t.enter(d, ref, 0)
	}
	return ref, nil
}

// ResolveKnown is Resolve for a batch whose series are known: refs[i] is that of b.Series[i]. Keys and decoder are not looked at,
// nothing is rejected, and no limit applies.
func (t *Table) ResolveKnown(tenant string, b *model.Batch, refs []uint32, res *Resolved) {
	res.reset(t.tenant(tenant, true), len(refs), 0)
	for i, ref := range refs {
		res.accept(ref, i, b)
	}
}
