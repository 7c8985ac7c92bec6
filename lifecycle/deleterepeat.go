package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// complete is the part of a repeated call that is not a repetition: it masks what those writers have brought to the catalog that no earlier call has reached, and
// returns those that are still out of reach. chain is what earlier calls have stored, roster a reading from before this call had writers flush, and want this call's
// deletion, with those that did not. See catalog.AddRepeat.
func (d *Deleter) complete(ctx context.Context, chain []*catalog.Deletion, roster *catalog.Roster, want *catalog.Deletion) (left []string, err error) {
	first, last := chain[0], chain[len(chain)-1]
	moved, err := d.moved(ctx, chain, roster)
	if err != nil {
		return last.Unreached, err
	}
	var settled []string
	for _, id := range append(moved, last.Unreached...) {
		w := roster.Find(id)
		switch {
		case slices.Contains(settled, id), slices.Contains(left, id):
		case w == nil && slices.Contains(moved, id), w != nil && w.State == catalog.Active && slices.Contains(want.Unreached, id):
			left = append(left, id)
		default: // it has flushed, or somebody has done it, or it ended cleanly
			settled = append(settled, id)
		}
	}
	slices.Sort(left)
	if len(settled) == 0 {
		return append([]string{}, left...), nil
	}
	repeat := &catalog.Deletion{
		Tenant: first.Tenant, ID: catalog.RepeatID(first.ID, len(chain)), Of: first.ID, CreatedMs: want.CreatedMs,
		Range: first.Range, Matchers: first.Matchers, Unreached: left, Known: want.Known,
	}
	err = d.vector(ctx, repeat, func(x *catalog.DeletionDay, p *catalog.Partition) error {
		return late(x, p, chain, settled, repeat.Range)
	})
	if err != nil {
		return append(left, settled...), err
	}
	have, err := d.Catalog.CreateDeletion(ctx, repeat)
	if err != nil {
		return append(left, settled...), err
	}
	if have.Of != first.ID {
		return append(left, settled...), fmt.Errorf("deletion %s is no repeat of %s: %w", have.ID, first.ID, model.ErrConflict)
	}
	return append([]string{}, have.Unreached...), d.mask(ctx, have)
}

// late enters what the writers have brought to the partition since earlier calls, if anything.
func late(x *catalog.DeletionDay, p *catalog.Partition, chain []*catalog.Deletion, writers []string, r model.TimeRange) error {
	since := map[string]uint64{}
	for _, c := range chain {
		if day := c.DayOf(x.Day); day != nil {
			for w, gen := range day.Flushed {
				since[w] = max(since[w], gen)
			}
		}
	}
	flushed := map[string]uint64{}
	for _, w := range writers {
		if gen, ok := p.Flushed[w]; ok && gen > since[w] {
			flushed[w] = gen
		}
	}
	if len(flushed) == 0 {
		return nil
	}
	x.Flushed, x.Since = flushed, since
	for _, e := range p.Blocks {
		if e.Range().Overlaps(r) && x.Holds(e.Meta) && x.Mixed(e.Meta) {
			return &catalog.MixedError{Block: e.ID}
		}
	}
	return nil
}

// moved returns the writers that came after the earlier calls and go on for one that was adopted: they have what nobody had flushed of it.
func (d *Deleter) moved(ctx context.Context, chain []*catalog.Deletion, roster *catalog.Roster) ([]string, error) {
	known := map[string]bool{}
	for _, c := range chain {
		if len(c.Known) == 0 {
			return nil, nil // stored before that was written down
		}
		for _, id := range c.Known {
			known[id] = true
		}
	}
	var adopted []string
	for _, w := range roster.Writers {
		if w.State == catalog.Adopted {
			adopted = append(adopted, w.ID)
		}
	}
	var mu sync.Mutex
	found := map[string]bool{}
	err := d.parallel(ctx, len(adopted), func(ctx context.Context, i int) error {
		to, err := d.Catalog.MovedTo(ctx, adopted[i])
		if err == nil && to != "" && !known[to] {
			mu.Lock()
			defer mu.Unlock()
			found[to] = true
		}
		return err
	})
	return slices.Sorted(maps.Keys(found)), err
}

func idsOf(roster *catalog.Roster) []string {
	ids := make([]string, len(roster.Writers))
	for i, w := range roster.Writers {
		ids[i] = w.ID
	}
	return ids
}
