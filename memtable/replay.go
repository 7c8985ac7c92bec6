package memtable

import (
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Define finds or makes the series of labels that were logged, so that limits do not apply. Labels that no Resolve could have
// made are model.ErrCorrupt.
func (t *Table) Define(tenant string, ls labels.Labels) (*Series, error) {
	if ls.IsEmpty() {
		return nil, fmt.Errorf("series without labels: %w", model.ErrCorrupt)
	}
	var res Resolved
	return t.findOrCreate(t.tenant(tenant, true), ls, &res, 0)
}

// ResolveKnown is Resolve for a batch whose series are known: series[i] is that of b.Series[i]. Keys and decoder are not looked at,
// nothing is rejected, and no limit applies.
func (t *Table) ResolveKnown(tenant string, b *model.Batch, series []*Series, res *Resolved) {
	res.reset(t.tenant(tenant, true), len(series), 0)
	for i, s := range series {
		res.accept(s, i, b)
	}
}
