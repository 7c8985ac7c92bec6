package lifecycle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// eraseAfter is how long a tombstone waits for a merge that applies it in passing.
func (l *Lifecycle) eraseAfter() time.Duration {
	if l.hint.Load() != 0 && l.nowMs()-l.hint.Load() < hintMs {
		return 0
	}
	return l.cfg.EraseAfter
}

// hintMs is how long CleanTombstones has an effect: some looks.
const hintMs = 10 * 60_000

// CleanTombstones makes deletes physical with the next look at the bucket, without waiting for Config.EraseAfter. Safe for concurrent use.
func (l *Lifecycle) CleanTombstones() { l.hint.Store(l.nowMs()) }

// erase applies tombstones to blocks that no merge came by for. Those that hold nothing masked are looked through and settled together, in one commit; of
// the others the first is rewritten.
func (l *Lifecycle) erase(ctx context.Context, p *catalog.Partition, due []catalog.Entry, r *Report) (result string, err error) {
	settle := catalog.SettleTombstones{Applied: map[string][]string{}}
	for i := range due {
		e := &due[i]
		tombstones := p.Masks(e)
		masks, err := catalog.BlockMasks(tombstones)
		if err != nil {
			return resultFailed, err
		}
		holds, err := l.holds(ctx, e.Meta, masks)
		if errors.Is(err, model.ErrUnavailable) || ctx.Err() != nil {
			return resultFailed, err
		}
		if holds || err != nil { // a rewrite of a damaged block puts it aside with the reason
			if len(settle.Applied) > 0 {
				break
			}
			return l.merge(ctx, p, &Merge{Inputs: []catalog.Entry{*e}, Bytes: e.Size, Format: e.Format, Erase: true}, r)
		}
		settle.Applied[e.ID] = masks.IDs()
	}
	_, err = l.c.Catalog.Commit(ctx, p.Tenant, p.Day, settle)
	switch {
	case errors.Is(err, catalog.ErrGravestone):
		return resultLost, nil
	case err != nil:
		return resultFailed, err
	}
	r.Settled += len(settle.Applied)
	return resultDone, nil
}

// holds reports whether the block holds a sample that one of the masks hides.
func (l *Lifecycle) holds(ctx context.Context, m *blocks.Meta, masks blocks.Masks) (bool, error) {
	return holdsMasked(ctx, blocks.Stored{Bucket: l.c.Bucket}, m, masks)
}

func holdsMasked(ctx context.Context, r blocks.RangeReader, m *blocks.Meta, masks blocks.Masks) (bool, error) {
	for _, mask := range masks {
		for _, selector := range mask.Selectors {
			at := mask.Range
			if ms := m.Format.ResolutionMs(); ms > 0 {
				if at = at.Intersect(m.Day.Range()); at.Empty() {
					continue
				}
				at.MaxMs = model.WindowEnd(at.MaxMs, ms) // windows that overlap
			}
			found, err := anySample(ctx, r, m, &blocks.Query{Range: at, Matchers: selector})
			if !found && err == nil {
				found, err = anyExemplar(ctx, r, m, at, selector)
			}
			if found || err != nil {
				return found, err
			}
		}
	}
	return false, nil
}

// anyExemplar looks for exemplars of series that have no samples here.
func anyExemplar(ctx context.Context, r blocks.RangeReader, m *blocks.Meta, at model.TimeRange, selector []*labels.Matcher) (bool, error) {
	reserved, err := model.SelectExemplars(selector)
	if err != nil {
		return false, err
	}
	return anySample(ctx, r, m, &blocks.Query{Range: at, Matchers: reserved})
}

func anySample(ctx context.Context, r blocks.RangeReader, m *blocks.Meta, q *blocks.Query) (bool, error) {
	sel, err := blocks.Select(ctx, r, m, q)
	if err != nil {
		return false, err
	}
	defer sel.Close()
	var c model.Columns
	for _, s := range sel.Series {
		if err := s.Samples(&c, q.Range); err != nil {
			return false, err
		}
		if c.Len() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// forget drops tombstones that mask nothing any more from the catalog.
func (l *Lifecycle) forget(ctx context.Context, p *catalog.Partition, ids []string) (result string, err error) {
	_, err = l.c.Catalog.Commit(ctx, p.Tenant, p.Day, catalog.DropTombstones{IDs: ids})
	switch {
	case errors.Is(err, model.ErrConflict), errors.Is(err, catalog.ErrGravestone):
		return resultLost, nil
	case err != nil:
		return resultFailed, err
	}
	return resultDone, nil
}

// withMasks returns the inputs of a job as its outputs are to know them, with the tombstones that are applied to them now, and what these hide.
func withMasks(p *catalog.Partition, entries []catalog.Entry) (inputs []*blocks.Meta, masks []blocks.Masks, err error) {
	for i := range entries {
		e := &entries[i]
		m, err := catalog.BlockMasks(p.Masks(e))
		if err != nil {
			return nil, nil, err
		}
		meta := e.Meta
		if len(m) > 0 {
			applied := *e.Meta
			applied.Tombstones = append(slices.Clone(applied.Tombstones), m.IDs()...)
			meta = &applied
		}
		inputs, masks = append(inputs, meta), append(masks, m)
	}
	return inputs, masks, nil
}
