package query

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// selectWindows answers from a block of rollups. Each aggregate that the use needs is selected by itself, all beside one another.
func (q *querier) selectWindows(ctx context.Context, b liveBlock, u use, bq *blocks.Query) (*answer, error) {
	aggregates := u.aggregates()
	counted := b.counted && !slices.Contains(aggregates, model.Count)
	if counted {
		aggregates = append(aggregates, model.Count)
	}
	selections := make([]*model.Selection, len(aggregates))
	errs := make([]error, len(aggregates))
	var wg sync.WaitGroup
	for i, a := range aggregates {
		one := *bq
		one.Aggregate = a
		if i > 0 {
			// A series counts once.
			one.Stats = &blocks.Stats{}
		}
		wg.Go(func() {
			selections[i], errs[i] = blocks.Select(ctx, q.q.c.Blocks, b.Meta, &one)
			if i > 0 {
				bq.Stats.Needed.Add(one.Stats.Needed.Load())
			}
		})
	}
	wg.Wait()
	release := func() {
		for _, s := range selections {
			s.Close()
		}
	}
	if err := errors.Join(errs...); err != nil {
		release()
		return nil, err
	}
	all := &model.Selection{Warnings: selections[0].Warnings, Release: release, Series: selections[0].Series}
	if u != useLabels {
		all.Series = joined(selections, &b, counted)
	}
	return &answer{selection: all, warnings: all.Warnings, rollupMs: b.Format.ResolutionMs(), day: b.Day}, nil
}

// joined puts the aggregates of each series together. The first selection has all series; others may lack some.
func joined(selections []*model.Selection, b *liveBlock, counted bool) []model.Series {
	out := make([]model.Series, len(selections[0].Series))
	next := make([]int, len(selections))
	for i, first := range selections[0].Series {
		s := &windowSeries{aggregates: make([]model.Series, len(selections)), counted: counted, resolutionMs: b.Format.ResolutionMs(), r: b.wide}
		s.aggregates[0] = first
		ls := first.Labels()
		for k := 1; k < len(selections); k++ {
			rest := selections[k].Series
			for next[k] < len(rest) && labels.Compare(rest[next[k]].Labels(), ls) < 0 {
				next[k]++
			}
			if next[k] < len(rest) && labels.Equal(rest[next[k]].Labels(), ls) {
				s.aggregates[k] = rest[next[k]]
			}
		}
		out[i] = s
	}
	return out
}
