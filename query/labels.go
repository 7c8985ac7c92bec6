package query

import (
	"context"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	hidden := hideListed(matchers)
	return q.names(ctx, hints, matchers,
		func(s stringSet, ls labels.Labels) {
			ls.Range(func(l labels.Label) { s.add(l.Name) })
		},
		func(ctx context.Context, b catalog.Entry, masks blocks.Masks) ([]string, error) {
			names, err := blocks.LabelNames(ctx, q.q.c.Blocks, b.Meta, hidden, masks)
			return withoutReserved(names), err
		})
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	hidden := hideListed(matchers)
	if name == model.ReservedLabel {
		hidden = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, name, "")}
	}
	return q.names(ctx, hints, matchers,
		func(s stringSet, ls labels.Labels) {
			if v := ls.Get(name); v != "" {
				s.add(v)
			}
		},
		func(ctx context.Context, b catalog.Entry, masks blocks.Masks) ([]string, error) {
			return blocks.LabelValues(ctx, q.q.c.Blocks, b.Meta, name, hidden, masks)
		})
}

// hideListed hides reserved series from a label call of blocks, unless it is answered from the index alone: what that lists besides model.ReservedLabel are
// labels of series, as those of exemplars are.
func hideListed(matchers []*labels.Matcher) []*labels.Matcher {
	if len(matchers) == 0 {
		return nil
	}
	return model.HideReserved(matchers)
}

// withoutReserved returns sorted names without ours.
func withoutReserved(names []string) []string {
	at, found := slices.BinarySearch(names, model.ReservedLabel)
	if !found {
		return names
	}
	return slices.Concat(names[:at], names[at+1:]) // they may be those of a cache
}

// names unites what the series of sources and the indexes of blocks say, sorted. Blocks
// count as a whole: what lies in a block that overlaps the range is taken to lie in the range, but for what was deleted.
func (q *querier) names(
	ctx context.Context, hints *storage.LabelHints, matchers []*labels.Matcher,
	ofSeries func(stringSet, labels.Labels), ofBlock func(context.Context, catalog.Entry, blocks.Masks) ([]string, error),
) ([]string, annotations.Annotations, error) {
	ctx, end, err := q.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	q.q.metrics.labelCalls.Inc()
	g, err := q.gather(ctx, &question{
		r: q.r, purpose: purpose{use: useLabels}, asked: ResolutionOf(ctx),
		source: func(ctx context.Context, tenant string, s model.Source) (*answer, error) {
			sel, err := s.Select(ctx, tenant, q.r, model.HideReserved(matchers))
			if err != nil {
				return nil, err
			}
			defer sel.Close()
			set := make(stringSet)
			for _, s := range sel.Series {
				ofSeries(set, s.Labels())
			}
			values := set.sorted()
			if err := q.memory.Take(nameBytes(values)); err != nil {
				return nil, err
			}
			return &answer{values: values, warnings: sel.Warnings}, nil
		},
		block: func(ctx context.Context, b liveBlock) (*answer, error) {
			var values []string
			masks, err := catalog.BlockMasks(b.tombstones)
			if err == nil {
				values, err = ofBlock(ctx, b.Entry, masks)
			}
			if err == nil {
				err = q.memory.Take(nameBytes(values))
			}
			if err != nil {
				return nil, err
			}
			return &answer{values: values, rollupMs: b.Format.ResolutionMs(), day: b.Day}, nil
		},
	}, q.expect())
	if err != nil {
		return nil, nil, q.failure(ctx, err)
	}
	set := make(stringSet)
	for _, a := range g.answers {
		for _, v := range a.values {
			set.add(v)
		}
		a.close()
	}
	values := set.sorted()
	if hints != nil && hints.Limit > 0 && len(values) > hints.Limit {
		values = values[:hints.Limit]
	}
	return values, annotate(g.warnings, g.infos...), nil
}

// stringSet is a set of strings of its own memory.
type stringSet map[string]struct{}

func (s stringSet) add(v string) {
	if _, ok := s[v]; !ok {
		s[strings.Clone(v)] = struct{}{}
	}
}

func (s stringSet) sorted() []string {
	all := make([]string, 0, len(s))
	for v := range s {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}
