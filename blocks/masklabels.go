package blocks

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Labels of a block some of whose samples are hidden. A series of which nothing is left is not listed, nor is a name or value that no other series has. Indexes do not know
// that; so this costs what it takes to find out, until the block has been written again without what is hidden: the series that masks match are selected, and of
// those that are hidden in part the samples are decoded. A block that has none of the hidden series costs that selection more than one without masks.

// maskLabels is mask for a query that is after labels only, within rng.
func (q *Query) maskLabels(ctx context.Context, r RangeReader, m *Meta, sel *model.Selection, masks Masks, rng model.TimeRange) error {
	kept, doubtful := sel.Series[:0], map[string]bool{}
	for _, s := range sel.Series {
		if hidden := masks.Hidden(s.Labels(), rng); len(hidden) > 0 && hidden[0] == rng {
			continue
		}
		// One whose chunks reach into the range is listed though no sample lies there; but not if none lies anywhere.
		if len(masks.Hidden(s.Labels(), m.Range())) > 0 {
			doubtful[labelKey(s)] = true
		}
		kept = append(kept, s)
	}
	clear(sel.Series[len(kept):])
	sel.Series = kept
	if len(doubtful) == 0 {
		return nil
	}
	if err := q.survivors(ctx, r, m, masks, rng, doubtful); err != nil {
		return err
	}
	sel.Series = slices.DeleteFunc(sel.Series, func(s model.Series) bool { return doubtful[labelKey(s)] })
	return nil
}

// survivors takes those series that have a sample left in the range out of the set.
func (q *Query) survivors(ctx context.Context, r RangeReader, m *Meta, masks Masks, rng model.TimeRange, doubtful map[string]bool) error {
	var c model.Columns
	for i := range masks {
		if !masks[i].Range.Overlaps(m.Range()) {
			continue // nothing is in doubt for it
		}
		for _, selector := range masks[i].Selectors {
			sel, err := Select(ctx, r, m, &Query{
				Range: q.Range, Matchers: slices.Concat(q.Matchers, selector), Masks: q.Masks, Aggregate: q.Aggregate, Speculation: q.Speculation,
			})
			if err != nil {
				return err
			}
			for _, s := range sel.Series {
				key := labelKey(s)
				if !doubtful[key] {
					continue
				}
				c.Reset()
				if err = s.Samples(&c, rng); err != nil {
					break
				}
				if c.Len() > 0 {
					delete(doubtful, key)
				}
			}
			sel.Close()
			if err != nil || len(doubtful) == 0 {
				return err
			}
		}
	}
	return nil
}

func labelKey(s model.Series) string { return string(s.Labels().Bytes(nil)) }

// hides reports whether the masks hide a series of the block altogether.
func (ms Masks) hides(ctx context.Context, r RangeReader, m *Meta) (bool, error) {
	for i := range ms {
		for _, selector := range ms[i].Selectors {
			q := &Query{Range: m.Range(), Matchers: selector, LabelsOnly: true, Masks: ms}
			sel, err := selectAll(ctx, r, m, q)
			if err != nil {
				return false, err
			}
			before := len(sel.Series)
			if before > 0 {
				err = q.applyMasks(ctx, r, m, sel)
			}
			after := len(sel.Series)
			sel.Close()
			if err != nil || after < before {
				return true, err
			}
		}
	}
	return false, nil
}

// listed returns nil if the index of the block says which names and values its series have, else a function that lists those of which something is left.
func listed(ctx context.Context, r RangeReader, m *Meta, matchers []*labels.Matcher, masks Masks) (func(func(labels.Labels)) error, error) {
	each := func(fn func(labels.Labels)) error { return eachSeries(ctx, r, m, matchers, masks, fn) }
	if len(matchers) > 0 {
		return each, nil
	}
	hidden, err := masks.hides(ctx, r, m)
	if err != nil || !hidden {
		return nil, err
	}
	return each, nil
}
