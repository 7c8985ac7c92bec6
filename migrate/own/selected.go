package own

import (
	"context"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// maxSelected is how many bytes of blocks may be held where a few metrics are read by way of the index. About: it is what the entries of the directories come to that
// the metrics lie in.
const maxSelected = 48 << 20

// few reports whether the matchers name metrics that are a small part of the blocks.
func (w *walk) few(inputs []*blocks.Meta) bool {
	names := metricNames(w.s.opts.Matchers)
	if len(names) == 0 {
		return false
	}
	var bytes, all int64
	for _, m := range inputs {
		all += m.Size
		if len(m.Directory) == 0 {
			bytes += m.Size
			continue
		}
		for _, name := range names {
			lo, hi := index.FindMetric(m.Directory, name)
			bytes += m.Size * int64(hi-lo) / int64(len(m.Directory))
		}
	}
	return bytes <= maxSelected && bytes < all/2
}

// metricNames are the metrics that the matchers allow, if they name them.
func metricNames(ms []*labels.Matcher) []string {
	const most = 64
	for _, m := range ms {
		if m.Name != index.MetricName || m.Matches("") {
			continue
		}
		switch {
		case m.Type == labels.MatchEqual:
			return []string{m.Value}
		case m.Type == labels.MatchRegexp && len(m.SetMatches()) > 0 && len(m.SetMatches()) <= most:
			return m.SetMatches()
		}
	}
	return nil
}

// selected reads what matches of the blocks by way of their indexes: first exemplars and metadata, which lie before all metrics.
func (w *walk) selected(ctx context.Context, inputs []*blocks.Meta, masks []blocks.Masks, yield func(model.Series, error) bool) error {
	selectors := [][]*labels.Matcher{w.s.opts.Matchers}
	if w.s.opts.Rows {
		exemplars, err := model.SelectExemplars(w.s.opts.Matchers)
		if err != nil {
			return err
		}
		selectors = [][]*labels.Matcher{exemplars, model.SelectMetadata(""), w.s.opts.Matchers}
	}
	for _, selector := range selectors {
		if err := w.selector(ctx, selector, inputs, masks, yield); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) selector(ctx context.Context, ms []*labels.Matcher, inputs []*blocks.Meta, masks []blocks.Masks, yield func(model.Series, error) bool) error {
	var parts []iter.Seq2[model.Series, error]
	for i, m := range inputs {
		sel, err := blocks.Select(ctx, blocks.Stored{Bucket: w.s.bucket}, m, &blocks.Query{Range: w.r, Matchers: ms, Masks: masks[i]})
		if err == nil {
			defer sel.Close()
			err = check(sel, w.r)
		}
		if err != nil {
			return w.lost(ctx, &blocks.InputError{ID: m.ID, Err: err})
		}
		slices.SortFunc(sel.Series, byIndex)
		parts = append(parts, all(sel.Series))
	}
	return w.hand(ctx, spill.Merged(ctx, parts, spill.LastWins), yield)
}

// check decodes everything once: whoever reads the series later cannot say which block it was.
func check(sel *model.Selection, r model.TimeRange) error {
	var c model.Columns
	for _, s := range sel.Series {
		c.Reset()
		if err := s.Samples(&c, r); err != nil {
			return err
		}
	}
	return nil
}

func all(series []model.Series) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		for _, s := range series {
			if !yield(s, nil) {
				return
			}
		}
	}
}
