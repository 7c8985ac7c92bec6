package query

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/rollup"
)

// rolledWorld is a bucket with the days of a storage: raw blocks, rollups, and catalogs that say what has expired. No writer holds anything.
type rolledWorld struct {
	*world
	*rolledStorage
	generation uint64
	engines    [2]promql.QueryEngine
	q          *Queryable
}

func newRolledWorld(t testing.TB, s *rolledStorage) *rolledWorld {
	w := &rolledWorld{world: newWorld(t), rolledStorage: s, engines: engines(t, EngineOptions{})}
	w.rolled = func(model.Day) int64 { return 0 }
	w.q = w.queryable()
	return w
}

// put makes a block of what of yields of each series of the day, and uploads it.
func (w *rolledWorld) put(day model.Day, f blocks.Format, id string, of func(name string) blocks.BuildSeries) *blocks.Meta {
	w.generation++
	t := w.world.t
	p := &blocks.Params{Tenant: testTenant, Day: day, Writer: "w1", Generation: w.generation, Format: f, ID: id}
	var b bytes.Buffer
	var all iter.Seq2[blocks.BuildSeries, error] = func(yield func(blocks.BuildSeries, error) bool) {
		for _, name := range w.names {
			s := of(name)
			s.Labels = w.partOf(name)
			if !yield(s, nil) {
				return
			}
		}
	}
	m, err := blocks.Build(context.Background(), p, all, &b)
	require.NoError(t, err)
	_, err = w.bucket.Put(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(t, err)
	return m
}

// partOf are the labels of a series.
func (w *rolledWorld) partOf(name string) labels.Labels {
	return labels.FromStrings(metricName, name, "series", name)
}

func (w *rolledWorld) do(day model.Day, op catalog.Operation) {
	_, err := w.store.Commit(context.Background(), testTenant, day, op)
	require.NoError(w.world.t, err)
}

func (w *rolledWorld) partition(day model.Day) *catalog.Partition {
	p, err := w.store.Partition(context.Background(), testTenant, day, nil)
	require.NoError(w.world.t, err)
	return p
}

// keep has the samples of the day in a raw block.
func (w *rolledWorld) keep(day model.Day, f blocks.Format) {
	m := w.put(day, f, "", func(name string) blocks.BuildSeries { return blocks.BuildSeries{Columns: dayOf(w.series[name], day)} })
	w.do(day, catalog.Add{Writer: m.Writer, Generation: m.Generation, Meta: m})
}

// roll makes the rollups of the day, which is in one raw block.
func (w *rolledWorld) roll(day model.Day) {
	op := catalog.Roll{Inputs: []string{w.partition(day).Blocks[0].ID}}
	for _, f := range []blocks.Format{blocks.Rollup5m, blocks.Rollup1h} {
		op.Outputs = append(op.Outputs, w.put(day, f, fmt.Sprintf("rollup-%s-%d", day, f), func(name string) blocks.BuildSeries {
			r := &model.Rollup{}
			rollup.Append(r, dayOf(w.series[name], day), f.ResolutionMs())
			return blocks.BuildSeries{Rollup: r}
		}))
	}
	w.do(day, op)
}

// thin has all raw samples of the day expire, or those of the series that match.
func (w *rolledWorld) thin(day model.Day, matchers string) {
	if matchers == "" {
		w.do(day, catalog.Retire{IDs: []string{w.partition(day).Blocks[0].ID}, Thin: true})
		return
	}
	w.do(day, catalog.AddTombstone{ID: "thin", CreatedMs: time.Now().UnixMilli(), Range: day.Range(), Matchers: matchers, Scope: catalog.ScopeRaw})
}

// ask evaluates over the bucket, on both engines, and returns the answer and its infos, which are the same.
func (w *rolledWorld) ask(r Resolution, expr string, at moments) (string, []string) {
	t := w.world.t
	t.Helper()
	var texts [2]string
	var infos [2][]string
	for i, e := range w.engines {
		ctx := WithResolution(w.ctx(), r)
		var pq promql.Query
		var err error
		if at.step == 0 {
			pq, err = e.NewInstantQuery(ctx, w.q, nil, expr, time.UnixMilli(at.start))
		} else {
			pq, err = e.NewRangeQuery(ctx, w.q, nil, expr, time.UnixMilli(at.start), time.UnixMilli(at.end), time.Duration(at.step)*time.Millisecond)
		}
		require.NoError(t, err, expr)
		result := pq.Exec(ctx)
		texts[i] = textOf(t, result)
		var warnings []string
		warnings, infos[i] = result.Warnings.AsStrings("", 0, 0)
		require.Empty(t, warnings)
		pq.Close()
	}
	require.Equal(t, texts[0], texts[1], "%s at %+v, columnar and not", expr, at)
	require.ElementsMatch(t, infos[0], infos[1])
	return texts[0], infos[0]
}

// want is the answer over the samples.
func (w *rolledWorld) want(expr string, at moments) string {
	return evaluate(w.world.t, w.engines[1], w.rolledStorage, expr, at)
}

// names are the values of the label of the series that a call of series finds, and those that a call of label values does.
func (w *rolledWorld) listed(r Resolution, mint, maxt int64) (series, values []string) {
	t := w.world.t
	querier, err := w.q.Querier(mint, maxt)
	require.NoError(t, err)
	defer querier.Close()
	ctx := WithResolution(w.ctx(), r)
	set := querier.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt, Func: "series"}, everything)
	for set.Next() {
		series = append(series, set.At().Labels().Get("series"))
	}
	require.NoError(t, set.Err())
	values, _, err = querier.LabelValues(ctx, "series", nil)
	require.NoError(t, err)
	return series, values
}

// listedSource is a writer that has series and nothing else.
type listedSource struct {
	writer string
	series []model.Series
}

func (s *listedSource) Writer() string { return s.writer }

func (s *listedSource) Select(_ context.Context, _ string, _ model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	sel := &model.Selection{}
	for _, one := range s.series {
		if matches(one.Labels(), matchers) {
			sel.Series = append(sel.Series, one)
		}
	}
	return sel, nil
}
