package varve_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// results is a DB that keeps results, and an engine over the same storage that does not.
type results struct {
	t     *testing.T
	db    *varve.DB
	plain *query.Engine
	reg   *prometheus.Registry
}

func openResults(t *testing.T) *results {
	t.Helper()
	r := &results{t: t, reg: prometheus.NewRegistry()}
	var err error
	r.db, err = varve.Open(t.Context(), &varve.Options{OpenedBucket: blob.New(mem.New(), nil), DataDir: t.TempDir(), Registerer: r.reg})
	require.NoError(t, err)
	r.plain = query.NewEngine(nil, r.db.Parser(), nil, nil)
	t.Cleanup(func() {
		require.NoError(t, r.plain.Close())
		require.NoError(t, r.db.Close(context.Background()))
	})
	return r
}

// same asks both, and demands the same bits.
func (r *results) same(expr string, start, end time.Time, step time.Duration) {
	r.t.Helper()
	got, err := r.db.QueryRange(r.t.Context(), "default", expr, start, end, step)
	require.NoError(r.t, err)
	require.NoError(r.t, got.Err)
	q, err := r.plain.NewRangeQuery(tenant.NewContext(r.t.Context(), "default"), r.db.Queryable(), nil, expr, start, end, step)
	require.NoError(r.t, err)
	defer q.Close()
	want := q.Exec(tenant.NewContext(r.t.Context(), "default"))
	require.NoError(r.t, want.Err)
	require.Equal(r.t, text(want), text(got), "%s from %d to %d by %v", expr, start.UnixMilli(), end.UnixMilli(), step)
	require.ElementsMatch(r.t, notes(want, expr), notes(got, expr), "%s from %d to %d by %v", expr, start.UnixMilli(), end.UnixMilli(), step)
}

// notes are the annotations as an answer has them.
func notes(r *promql.Result, expr string) []string {
	warnings, infos := r.Warnings.AsStrings(expr, 0, 0)
	return append(warnings, infos...)
}

// text has every bit of a result.
func text(r *promql.Result) string {
	var out []byte
	for _, s := range r.Value.(promql.Matrix) {
		out = append(out, s.Metric.String()...)
		for _, p := range s.Floats {
			out = fmt.Appendf(out, " %d:%s", p.T, strconv.FormatFloat(p.F, 'x', -1, 64))
		}
		for _, p := range s.Histograms {
			out = fmt.Appendf(out, " %d:%s", p.T, p.H)
		}
		out = append(out, '\n')
	}
	return string(out)
}

// from is how many steps came from where.
func (r *results) from(where string) float64 {
	r.t.Helper()
	list, err := r.reg.Gather()
	require.NoError(r.t, err)
	for _, f := range list {
		if f.GetName() == "varve_query_result_steps_total" {
			for _, m := range f.Metric {
				if m.Label[0].GetValue() == where {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func (r *results) append(t time.Time, values map[string]float64) {
	r.t.Helper()
	var list []varve.Series
	for name, v := range values {
		list = append(list, varve.Series{Labels: labels.FromStrings("__name__", "m", "k", name), Samples: []model.Sample{{T: t.UnixMilli(), V: v}}})
	}
	_, err := r.db.AppendSeries(r.t.Context(), "default", list...)
	require.NoError(r.t, err)
}

func TestRepeatedDashboardComputesItsFreshEnd(t *testing.T) {
	r := openResults(t)
	now := noon
	for range 4 * 240 { // four hours
		now = now.Add(15 * time.Second)
		r.append(now, map[string]float64{"a": float64(now.Unix() % 1000), "b": 1})
	}
	const expr = `sum by (k) (rate(m[2m]))`
	r.same(expr, now.Add(-3*time.Hour), now, 15*time.Second)
	evaluated := r.from("evaluation")
	require.EqualValues(t, 3*240+1, evaluated)
	require.Zero(t, r.from("cache"))
	for range 8 { // two minutes later, refreshed at every scrape
		now = now.Add(15 * time.Second)
		r.append(now, map[string]float64{"a": float64(now.Unix() % 1000), "b": 1})
		r.same(expr, now.Add(-3*time.Hour), now, 15*time.Second)
	}
	require.LessOrEqual(t, r.from("evaluation")-evaluated, 8*4.0, "a refresh computes the steps that a sample of the last seconds may reach")
	require.GreaterOrEqual(t, r.from("cache"), 8*700.0)
	// Flushed samples are others to the cache only where the new block lies.
	require.NoError(t, r.db.Flush(t.Context()))
	r.same(expr, now.Add(-3*time.Hour), now, 15*time.Second)
	before := r.from("evaluation")
	r.same(expr, now.Add(-3*time.Hour), now, 15*time.Second)
	require.Equal(t, before, r.from("evaluation"), "nothing is new")

	// Late, deep inside.
	r.append(now.Add(-100*time.Minute), map[string]float64{"late": 7})
	r.same(expr, now.Add(-3*time.Hour), now, 15*time.Second)
	require.Greater(t, r.from("evaluation"), before)
}

func TestResultsThatAreNotKept(t *testing.T) {
	r := openResults(t)
	r.append(noon, map[string]float64{"a": 1})
	for _, expr := range []string{`m @ end()`, `m @ 1767268800`, `m * range()`, `1`, `time()`, `vector(1)`} {
		if expr == `m * range()` {
			continue // not in the language yet
		}
		r.same(expr, noon.Add(-time.Hour), noon, time.Minute)
		r.same(expr, noon.Add(-time.Hour), noon, time.Minute)
	}
	require.Zero(t, r.from("cache"))
}

// TestNotesOfResults has answers put together of what was kept, when its notes had been shown already, and of what is new: each note is there once.
func TestNotesOfResults(t *testing.T) {
	r := openResults(t)
	for i := range 5 * 60 {
		r.append(noon.Add(time.Duration(i)*time.Minute), map[string]float64{"a": float64(i % 50), "b": float64(i % 7)})
	}
	for _, expr := range []string{"rate(m[5m])", "quantile(7, m)", "increase(m[7m]) > quantile(-1, m)"} {
		for _, hours := range []time.Duration{1, 2, 1, 4, 2, 4} {
			r.same(expr, noon.Add(10*time.Minute), noon.Add(hours*time.Hour), 30*time.Second)
		}
	}
	require.NotZero(t, r.from("cache"))
}

// TestResultsAreTheCallers: who gets a result may change it, and the next one is as it was.
func TestResultsAreTheCallers(t *testing.T) {
	r := openResults(t)
	for n := range 30 {
		r.append(noon.Add(time.Duration(n)*time.Minute), map[string]float64{"a": float64(n)})
	}
	for range 3 {
		r.same("m", noon, noon.Add(10*time.Minute), time.Minute)
		got, err := r.db.QueryRange(t.Context(), "default", "m", noon, noon.Add(10*time.Minute), time.Minute)
		require.NoError(t, err)
		got.Value.(promql.Matrix)[0].Floats[3].F = -1
	}
	require.NotZero(t, r.from("cache"))
}

// TestResultsStayTrue does at random what changes answers, and compares each answer with an evaluation.
func TestResultsStayTrue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	r := openResults(t)
	l, err := r.db.Lifecycle(&lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 2}, EraseAfter: -1}, lifecycle.Components{})
	require.NoError(t, err)
	exprs := []string{
		`m`, `sum(m)`, `rate(m[3m])`, `absent(m{k="a"})`, `m{k="a"} + on () group_right m{k="b"}`,
		`sum by (k) (rate(m[5m:1m]))`, `topk(2, m)`, `count_values("v", m)`,
	}
	// Few, so that most are asked again and again; two that reach far.
	exprs = []string{`avg_over_time(m[7m] offset -5m)`, `max_over_time(m[10m] offset 50m)`, exprs[rng.IntN(len(exprs))]}
	steps := []time.Duration{15 * time.Second, 5 * time.Minute}
	now := noon.Add(-3 * time.Hour)
	names := []string{"a", "b", "c", "d"}
	for range 150 {
		switch d := rng.IntN(20); {
		case d < 12:
			for range 1 + rng.IntN(20) {
				now = now.Add(time.Duration(5+rng.IntN(40)) * time.Second)
				r.append(now, map[string]float64{names[rng.IntN(4)]: float64(rng.IntN(50)), names[rng.IntN(4)]: rng.Float64()})
			}
		case d < 14:
			r.append(now.Add(-time.Duration(rng.IntN(3*3600))*time.Second), map[string]float64{names[rng.IntN(4)]: rng.Float64()})
		case d < 16:
			require.NoError(t, r.db.Flush(t.Context()))
		case d < 17:
			at := now.Add(-time.Duration(rng.IntN(4*3600)) * time.Second)
			_, err := r.db.DeleteSeries(t.Context(), "default", []string{fmt.Sprintf(`m{k=%q}`, names[rng.IntN(4)])}, model.TimeRange{MinMs: at.UnixMilli(), MaxMs: at.Add(20 * time.Minute).UnixMilli()}, "")
			require.NoError(t, err)
		case d < 18:
			_, err := l.Once(t.Context())
			require.NoError(t, err)
		}
		for range 4 {
			step := steps[rng.IntN(2)]
			end := now.Truncate(step)
			if rng.IntN(4) == 0 {
				end = end.Add(step / 3) // another phase
			}
			r.same(exprs[rng.IntN(3)], end.Add(-time.Duration(1+rng.IntN(4))*time.Hour), end, step)
		}
	}
	require.Greater(t, r.from("cache"), 1000.0)
	t.Logf("%v steps from the cache, %v evaluated", r.from("cache"), r.from("evaluation"))
}
