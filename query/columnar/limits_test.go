package columnar

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/model"
)

var hour = times{0, 3_600_000, 15_000}

func (w *world) counters(n int) {
	for i := range n {
		t, v := every(240, func(j int) float64 { return float64(i * j) })
		w.add(fmt.Sprintf(`m_total{a="%d", i="%05d"}`, i%3, i), t, v)
	}
}

func exec(ctx context.Context, t testing.TB, e promql.QueryEngine, q storage.Queryable, expr string) *promql.Result {
	query, err := e.NewRangeQuery(ctx, q, nil, expr, time.UnixMilli(hour.start), time.UnixMilli(hour.end), time.Duration(hour.step)*time.Millisecond)
	require.NoError(t, err)
	t.Cleanup(query.Close)
	return query.Exec(ctx)
}

// TestManySeries takes the way of many batches.
func TestManySeries(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	w.counters(3000)
	for _, expr := range []string{"sum by (a) (rate(m_total[5m]))", "topk by (a) (3, m_total)", "quantile by (a) (0.3, m_total)", "avg(rate(m_total[5m]))", "rate(m_total[5m])"} {
		_, n := w.same(expr, times{0, 3_600_000, 300_000}, false)
		require.Positive(t, n, expr)
		_, n = w.same(expr, times{start: 1_000_000}, false)
		require.Positive(t, n, expr)
	}
}

// TestMaxSamples finds that memory is bounded: by what batches hold, by groups, and by what is kept until the end.
func TestMaxSamples(t *testing.T) {
	for expr, enough := range map[string]int{
		"sum by (a) (rate(m_total[5m]))": 60_000, "sum by (i) (rate(m_total[5m]))": 400_000, "rate(m_total[5m])": 400_000,
		"quantile(0.5, m_total)": 400_000, "topk(1000, m_total)": 600_000,
	} {
		for _, maxSamples := range []int{100, enough / 100, enough} {
			w := newWorldOf(t, maxSamples)
			w.counters(1000)
			err := exec(context.Background(), t, w.columnar, w, expr).Err
			if maxSamples == enough {
				require.NoError(t, err, expr)
			} else {
				require.Equal(t, promql.ErrTooManySamples("query execution"), err, "%s with %d", expr, maxSamples)
			}
		}
	}
}

// TestErrors finds errors and warnings of the storage as the engine shows them.
func TestErrors(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	w.counters(1000)
	w.warnings = annotations.New().Add(errors.New("half of it is missing"))
	w.same("sum(rate(m_total[5m]))", hour, false)
	for _, iterators := range []bool{false, true} {
		w.iterators = iterators
		w.series[700].err = errors.New("chunk is damaged")
		got, _ := w.same("sum(rate(m_total[5m]))", hour, false)
		require.Equal(t, "error: chunk is damaged", got)
		w.series[700].err = nil
	}
	w.err = errors.New("bucket is gone")
	got, _ := w.same("sum(rate(m_total[5m]))", hour, false)
	require.Equal(t, "error: expanding series: bucket is gone", got)
}

// stuck is a series that ends the query's context when it is decoded.
type stuck struct {
	storage.Series
	cancel func()
}

func (s stuck) Columns(*model.Columns) error { s.cancel(); return nil }

type replaced struct {
	storage.Queryable
	at storage.Series
}

func (r replaced) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := r.Queryable.Querier(mint, maxt)
	return replacing{q, r.at}, err
}

type replacing struct {
	storage.Querier
	at storage.Series
}

func (r replacing) Select(ctx context.Context, sorted bool, h *storage.SelectHints, m ...*labels.Matcher) storage.SeriesSet {
	return replacedSet{r.Querier.Select(ctx, sorted, h, m...), r.at}
}

type replacedSet struct {
	storage.SeriesSet
	at storage.Series
}

func (s replacedSet) At() storage.Series {
	if s.SeriesSet.At().Labels().Get("i") == "00300" {
		return s.at
	}
	return s.SeriesSet.At()
}

// TestCancel ends a query while its series are evaluated, from outside, by Cancel, and because time is up.
func TestCancel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	w.counters(1000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := exec(ctx, t, w.columnar, replaced{w, stuck{nil, cancel}}, "sum(rate(m_total[5m]))")
	require.ErrorAs(t, r.Err, new(promql.ErrQueryCanceled))

	var query promql.Query
	query, err := w.columnar.NewInstantQuery(context.Background(), replaced{w, stuck{nil, func() { query.Cancel() }}}, nil, "sum(m_total)", time.Unix(60, 0))
	require.NoError(t, err)
	require.ErrorAs(t, query.Exec(context.Background()).Err, new(promql.ErrQueryCanceled))
	query.Close()

	late, stop := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer stop()
	require.ErrorAs(t, exec(late, t, w.columnar, w, "sum(rate(m_total[5m]))").Err, new(promql.ErrQueryTimeout))
}

// TestNative meets a native histogram after a thousand series of floats: the engine evaluates it all.
func TestNative(t *testing.T) {
	for _, iterators := range []bool{false, true} {
		w := newWorld(t)
		w.counters(1000)
		w.iterators = iterators
		var h []promql.HPoint
		for i := range 100 {
			h = append(h, promql.HPoint{T: int64(i) * 15_000, H: tsdbutil.GenerateTestFloatHistogram(int64(i))})
		}
		w.series[700].h = h
		for _, expr := range []string{"sum(rate(m_total[5m]))", "count(m_total)", "rate(m_total[5m])", "max_over_time(m_total[1h]) + 1"} {
			_, n := w.same(expr, hour, false)
			require.Zero(t, n)
		}
		families, err := w.registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "varve_query_columnar_fallbacks_total" {
				require.Equal(t, 4., f.GetMetric()[0].GetCounter().GetValue())
			}
		}
	}
}

// TestLeftAlone lists what the engine keeps for itself.
func TestLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.counters(10)
	for _, expr := range []string{
		"m_total", "sum(rate(m_total[5m] @ 100))", "sum_over_time(rate(m_total[5m])[10m:])", "sum(rate(m_total[5m] smoothed))",
		"topk(scalar(count(m_total * 1)), m_total * 1)", "topk(0, m_total)", "quantile(-1, m_total)", "count_values('x', m_total)", "histogram_sum(rate(m_total[5m]))",
	} {
		_, n := w.same(expr, hour, true)
		require.Zero(t, n, expr)
	}
	for expr, nodes := range map[string]float64{
		"sum(rate(m_total[5m]))": 2, "rate(m_total[5m])": 1, "sum(m_total)": 2, "sum(rate(m_total[5m])) / count(m_total)": 4,
		"max(sum by (a) (rate(m_total[5m])))": 2, "sum(rate(m_total[5m]) + m_total)": 1,
	} {
		_, n := w.same(expr, hour, true)
		require.Equal(t, nodes, n, expr)
	}
	long, err := w.columnar.NewRangeQuery(context.Background(), w, nil, "sum(m_total)", time.UnixMilli(0), time.UnixMilli(maxSteps), time.Millisecond)
	require.NoError(t, err)
	_, ours := long.(*query)
	require.False(t, ours)
	before := w.shapes()
	started := true
	for _, opts := range []promql.QueryOpts{promql.NewPrometheusQueryOpts(true, 0, nil), promql.NewPrometheusQueryOpts(false, 0, &started)} {
		query, err := w.columnar.NewInstantQuery(context.Background(), w, opts, "sum(rate(m_total[5m]))", time.Unix(600, 0))
		require.NoError(t, err)
		require.NoError(t, query.Exec(context.Background()).Err)
		query.Close()
	}
	require.Equal(t, before, w.shapes())
}

// TestSums adds what compensation and overflow make hard, once with each way of adding.
func TestSums(t *testing.T) {
	negative := math.Copysign(0, -1)
	for _, v := range [][]float64{
		{1e16, 1, -1e16, 1, 1},
		{0.1, 0.2, 0.3, -0.6, 0.1},
		{math.MaxFloat64, math.MaxFloat64, -math.MaxFloat64, 1, 2},
		{negative, negative},
		{negative, 0},
		{negative},
		{math.Inf(1), 1, math.Inf(-1)},
		{5e-324, 5e-324, -1e-323, 1},
		{1e290, 1e289, -1e290},
		{1 << 53, 1, 1, 1},
		{1<<53 - 1, -1},
		{math.NaN(), 1, absent, 2},
		{1, 1e100, 1, -1e100},
		{9.9e289, 1e-300, -9.9e289},
		{1e308, 1e308, 1e308},
		{-1e308, -1e308, 3},
	} {
		w := newWorld(t)
		w.add("m", []int64{10_000, 20_000, 30_000, 40_000, 50_000}[:len(v)], v)
		for _, f := range []string{"sum_over_time", "avg_over_time", "stdvar_over_time", "max_over_time", "min_over_time"} {
			w.same(f+"(m[25s])", times{0, 90_000, 5_000}, false)
			w.same(f+"(m[1m])", times{0, 90_000, 5_000}, false)
		}
		w = newWorld(t)
		for i, f := range v {
			w.add(fmt.Sprintf(`m{i="%d"}`, i), []int64{0}, []float64{f})
		}
		for _, a := range []string{"sum", "avg", "stddev", "max", "min"} {
			w.same(a+"(m)", times{0, 60_000, 60_000}, false)
		}
	}
}
