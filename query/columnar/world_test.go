package columnar

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// world is a storage of series in memory, with an engine that evaluates column-wise and one that does not.
type world struct {
	testing.TB
	series    []*memSeries
	columnar  *Engine
	reference *promql.Engine
	parser    parser.Parser
	registry  *prometheus.Registry
	// iterators hides the columns of the series.
	iterators bool
	warnings  annotations.Annotations
	err       error
}

type memSeries struct {
	labels labels.Labels
	t      []int64
	v      []float64
	h      []promql.HPoint
	err    error
}

func newWorld(t testing.TB) *world { return newWorldOf(t, 50_000_000) }

func newWorldOf(t testing.TB, maxSamples int) *world {
	w := &world{TB: t, registry: prometheus.NewRegistry(), parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: true, EnableBinopFillModifiers: true})}
	engine := func() *promql.Engine {
		return promql.NewEngine(promql.EngineOpts{
			MaxSamples: maxSamples, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
			NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
			EnableDelayedNameRemoval: true, EnablePerStepStats: true, Parser: w.parser,
		})
	}
	w.columnar = New(engine(), Options{Timeout: time.Minute, MaxSamples: maxSamples, Registerer: w.registry})
	w.reference = engine()
	return w
}

func (w *world) add(metric string, t []int64, v []float64) {
	ls, err := w.parser.ParseMetric(metric)
	require.NoError(w, err)
	w.series = append(w.series, &memSeries{labels: ls, t: t, v: v})
	slices.SortFunc(w.series, func(a, b *memSeries) int { return labels.Compare(a.labels, b.labels) })
}

// every is n values of f, one each step of 15 s from 0.
func every(n int, f func(i int) float64) (t []int64, v []float64) {
	for i := range n {
		t, v = append(t, int64(i)*15_000), append(v, f(i))
	}
	return t, v
}

// Querier implements storage.Queryable.
func (w *world) Querier(mint, maxt int64) (storage.Querier, error) {
	return &memQuerier{world: w, mint: mint, maxt: maxt}, nil
}

type memQuerier struct {
	storage.LabelQuerier
	world      *world
	mint, maxt int64
}

func (q *memQuerier) Close() error { return nil }

func (q *memQuerier) Select(_ context.Context, _ bool, h *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	mint, maxt := max(q.mint, h.Start), min(q.maxt, h.End)
	set := &memSet{world: q.world, at: -1}
	for _, s := range q.world.series {
		if slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }) {
			continue
		}
		from, _ := slices.BinarySearch(s.t, mint)
		to, found := slices.BinarySearch(s.t, maxt)
		if found {
			to++
		}
		if from < to || len(s.h) > 0 {
			set.series = append(set.series, &memSeries{labels: s.labels, t: s.t[from:to], v: s.v[from:to], h: s.h, err: s.err})
		}
	}
	return set
}

type memSet struct {
	world  *world
	series []*memSeries
	at     int
}

func (s *memSet) Next() bool                        { s.at++; return s.world.err == nil && s.at < len(s.series) }
func (s *memSet) Err() error                        { return s.world.err }
func (s *memSet) Warnings() annotations.Annotations { return s.world.warnings }
func (s *memSet) At() storage.Series {
	if s.world.iterators {
		return s.series[s.at]
	}
	return memColumns{s.series[s.at]}
}

func (s *memSeries) Labels() labels.Labels { return s.labels }
func (s *memSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	if s.err != nil {
		return failing{err: s.err, Iterator: chunkenc.NewNopIterator()}
	}
	listed := promql.Series{Metric: s.labels, Histograms: s.h}
	for i := range s.t {
		listed.Floats = append(listed.Floats, promql.FPoint{T: s.t[i], F: s.v[i]})
	}
	return promql.NewStorageSeries(listed).Iterator(nil)
}

type failing struct {
	chunkenc.Iterator
	err error
}

func (f failing) Err() error { return f.err }

type memColumns struct{ *memSeries }

func (s memColumns) Columns(dst *model.Columns) error {
	dst.T, dst.V = append(dst.T, s.t...), append(dst.V, s.v...)
	if len(s.h) > 0 {
		dst.H = make([][]byte, len(dst.T))
	}
	return s.err
}

// answerOf is all that a user sees of a result, floats by their bits. A vector keeps its order unless sorted; a matrix is sorted anyway.
func answerOf(r *promql.Result, sorted bool) string {
	if r.Err != nil {
		return "error: " + r.Err.Error()
	}
	var out strings.Builder
	switch v := r.Value.(type) {
	case promql.Vector:
		if sorted {
			slices.SortFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
		}
		for _, s := range v {
			fmt.Fprintf(&out, "%s %x (%v) %v @%d\n", s.Metric, math.Float64bits(s.F), s.F, s.H, s.T)
		}
	case promql.Matrix:
		slices.SortFunc(v, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
		for _, s := range v {
			fmt.Fprint(&out, s.Metric)
			for _, p := range s.Floats {
				fmt.Fprintf(&out, " %x (%v) @%d", math.Float64bits(p.F), p.F, p.T)
			}
			for _, p := range s.Histograms {
				fmt.Fprintf(&out, " %v @%d", p.H, p.T)
			}
			fmt.Fprintln(&out)
		}
	default:
		fmt.Fprint(&out, r.Value)
	}
	var notes []string
	for _, err := range r.Warnings {
		notes = append(notes, err.Error())
	}
	slices.Sort(notes)
	fmt.Fprint(&out, notes)
	return out.String()
}

// times are the steps of a query; an instant has no step.
type times struct{ start, end, step int64 }

func (t times) String() string { return fmt.Sprintf("[%d, %d] by %d", t.start, t.end, t.step) }

func run(ctx context.Context, tb testing.TB, e promql.QueryEngine, q storage.Queryable, expr string, at times, sorted bool) (string, promql.Query) {
	var query promql.Query
	var err error
	if at.step == 0 {
		query, err = e.NewInstantQuery(ctx, q, nil, expr, time.UnixMilli(at.start))
	} else {
		query, err = e.NewRangeQuery(ctx, q, nil, expr, time.UnixMilli(at.start), time.UnixMilli(at.end), time.Duration(at.step)*time.Millisecond)
	}
	require.NoError(tb, err, expr)
	defer query.Close()
	return answerOf(query.Exec(ctx), sorted), query
}

// same runs the expression on both engines and returns the answer, and how many nodes were evaluated column-wise.
func (w *world) same(expr string, at times, sorted bool) (string, float64) {
	w.Helper()
	before := w.shapes()
	want, reference := run(context.Background(), w, w.reference, w, expr, at, sorted)
	got, columnar := run(context.Background(), w, w.columnar, w, expr, at, sorted)
	require.Equal(w, want, got, "%s over %s", expr, at)
	if !strings.HasPrefix(want, "error: ") {
		r, c := reference.Stats().Samples, columnar.Stats().Samples
		require.Equal(w, []int64{r.TotalSamples, r.SamplesRead}, []int64{c.TotalSamples, c.SamplesRead}, "samples of %s over %s", expr, at)
	}
	return want, w.shapes() - before
}

// shapes is how many nodes of queries were evaluated column-wise.
func (w *world) shapes() (n float64) {
	families, err := w.registry.Gather()
	require.NoError(w, err)
	for _, f := range families {
		if f.GetName() == "varve_query_columnar_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
