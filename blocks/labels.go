package blocks

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/index"
)

// LabelNames returns the sorted names of the labels of the series that match all matchers and of which masks, if any, leave something. Without
// matchers it reads the head of the postings only, or the series pages of a block that has none; and for masks what masklabels.go says.
func LabelNames(ctx context.Context, r RangeReader, m *Meta, matchers []*labels.Matcher, masks Masks) ([]string, error) {
	each, err := listed(ctx, r, m, matchers, masks)
	switch {
	case err != nil:
		return nil, err
	case each != nil:
	case m.PostingsHead == 0:
		return unpostedNames(ctx, r, m)
	default:
		data, err := readBlock(ctx, r, m, []blob.Range{{Offset: m.Postings.Offset, Length: m.PostingsHead}})
		if err != nil {
			return nil, err
		}
		head, err := decodeHead(Key(m), m, data[0])
		if err != nil {
			return nil, err
		}
		return head.Names, nil
	}
	found := map[string]bool{}
	err = each(func(ls labels.Labels) {
		ls.Range(func(l labels.Label) { found[l.Name] = true })
	})
	return slices.Sorted(maps.Keys(found)), err
}

// LabelValues returns the sorted values of the label of the series that match all matchers and of which masks, if any, leave something. Without matchers it
// reads the postings of that label only, or the series pages of a block that has none; and for masks what masklabels.go says.
func LabelValues(ctx context.Context, r RangeReader, m *Meta, name string, matchers []*labels.Matcher, masks Masks) ([]string, error) {
	each, err := listed(ctx, r, m, matchers, masks)
	switch {
	case err != nil:
		return nil, err
	case each != nil:
	case m.PostingsHead == 0:
		return unpostedValues(ctx, r, m, name)
	default:
		return postedValues(ctx, r, m, name)
	}
	found := map[string]bool{}
	err = each(func(ls labels.Labels) {
		if v := ls.Get(name); v != "" {
			found[v] = true
		}
	})
	return slices.Sorted(maps.Keys(found)), err
}

func postedValues(ctx context.Context, r RangeReader, m *Meta, name string) ([]string, error) {
	rg := fencedRange(m, name, "", "", true)
	if rg.Length == 0 {
		return nil, nil
	}
	data, err := readBlock(ctx, r, m, []blob.Range{rg})
	if err != nil {
		return nil, err
	}
	pages, err := decodePostings(Key(m), rg.Offset, data[0])
	if err != nil {
		return nil, err
	}
	var values []string
	for _, raw := range pages {
		err := index.ScanPostings(raw, func(n, value, _ []byte) (bool, error) {
			if string(n) == name {
				values = append(values, string(value))
			}
			return string(n) <= name, nil
		})
		if err != nil {
			return nil, corruptAt(Key(m), rg.Offset, err)
		}
	}
	return values, nil
}

// eachSeries calls fn with the labels of the series that match and of which the masks leave something.
func eachSeries(ctx context.Context, r RangeReader, m *Meta, matchers []*labels.Matcher, masks Masks, fn func(labels.Labels)) error {
	sel, err := Select(ctx, r, m, &Query{Range: m.Range(), Matchers: matchers, LabelsOnly: true, Masks: masks})
	if err != nil {
		return err
	}
	defer sel.Close()
	for _, s := range sel.Series {
		fn(s.Labels())
	}
	return nil
}
