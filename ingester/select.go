package ingester

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
)

// layer is what one generation has for a selection: a memtable, or blocks, which are pinned.
type layer struct {
	table  *memtable.Table
	blocks []*localBlock
}

// Select implements model.Source: everything that was acknowledged and is not in the catalog, of all generations,
// the newest winning. Until Close the blocks that the answer lies in stay mapped, whatever is committed and released meanwhile.
func (i *Ingester) Select(ctx context.Context, tenantName string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	var parts []*model.Selection
	layers := i.pinLayers(tenantName, r)
	for k, l := range layers {
		found, err := i.selectLayer(ctx, &l, tenantName, r, matchers)
		if err != nil {
			closeAll(parts)
			for _, l := range layers[k+1:] {
				i.unpinLayer(&l)
			}
			return nil, fmt.Errorf("select recent samples of writer %s: %w", i.Writer(), err)
		}
		if found != nil {
			parts = append(parts, found)
		}
	}
	return mergeSelections(parts), nil
}

// pinLayers takes one consistent look at all generations, newest first.
func (i *Ingester) pinLayers(tenantName string, r model.TimeRange) []layer {
	i.mu.Lock()
	defer i.mu.Unlock()
	layers := []layer{{table: i.w.active.table}}
	for k := len(i.w.older) - 1; k >= 0; k-- {
		g := i.w.older[k]
		l := layer{table: g.table}
		for _, p := range g.partitions {
			if p.committed || p.key.tenant != tenantName || !p.block.meta.Range().Overlaps(r) {
				continue
			}
			if p.block.pin() {
				l.blocks = append(l.blocks, p.block)
			}
		}
		if l.table != nil || len(l.blocks) > 0 {
			layers = append(layers, l)
		}
	}
	return layers
}

func (i *Ingester) unpinLayer(l *layer) {
	for _, b := range l.blocks {
		i.letGo(b)
	}
}

// selectLayer answers from one generation. The layer's pins go with the selection, or at once after an error.
func (i *Ingester) selectLayer(ctx context.Context, l *layer, tenantName string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	if l.table != nil {
		return l.table.Select(ctx, tenantName, r, matchers)
	}
	var days []*model.Selection
	for k, b := range l.blocks {
		s, err := blocks.Select(ctx, blocks.Bytes(b.bytes()), b.meta, &blocks.Query{Range: r, Matchers: matchers})
		if err != nil {
			closeAll(days)
			i.unpinLayer(&layer{blocks: l.blocks[k:]})
			return nil, err
		}
		inner := s.Release
		s.Release = func() {
			if inner != nil {
				inner()
			}
			i.letGo(b)
		}
		days = append(days, s)
	}
	return mergeSelections(days), nil
}
