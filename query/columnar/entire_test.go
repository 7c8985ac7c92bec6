package columnar

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// ordered is a matrix or vector as it is, in its own order and with the marks of names.
func ordered(v parser.Value) string {
	switch v := v.(type) {
	case promql.Matrix:
		out := "matrix"
		for _, s := range v {
			out += fmt.Sprintf("\n%s %t %t %v", s.Metric, s.DropName, s.Histograms == nil, s.Floats)
		}
		return out
	case promql.Vector:
		out := "vector"
		for _, s := range v {
			out += fmt.Sprintf("\n%s %t %v %d", s.Metric, s.DropName, s.F, s.T)
		}
		return out
	}
	return fmt.Sprintf("%T %v", v, v)
}

func (w *world) value(e promql.QueryEngine, expr string, at times) (parser.Value, *query, error) {
	var q promql.Query
	var err error
	if at.step == 0 {
		q, err = e.NewInstantQuery(context.Background(), w, nil, expr, time.UnixMilli(at.start))
	} else {
		q, err = e.NewRangeQuery(context.Background(), w, nil, expr, time.UnixMilli(at.start), time.UnixMilli(at.end), time.Duration(at.step)*time.Millisecond)
	}
	require.NoError(w, err)
	w.Cleanup(q.Close)
	r := q.Exec(context.Background())
	ours, _ := q.(*query)
	return r.Value, ours, r.Err
}

// TestEntire compares queries that are one part and nothing else in all that a caller sees, the order of a matrix and of a
// vector included.
func TestEntire(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.fill(r, 60)
	for _, expr := range []string{
		"rate(m0_total[5m])", "(rate(m0_total[5m]))", "avg_over_time(m1_x[1m])", "last_over_time(m0_x[20s])", `first_over_time({a="1"}[5m])`,
		"sum by (le, a) (rate(m0_total[5m]))", "sum(m0_total)", "topk(3, m1_x)", "bottomk by (a) (2, rate(m0_total[5m]))",
		`sum by (__name__, le) (rate({__name__=~"m.*"}[5m]))`, `rate({__name__=~"m.*"}[5m])`, "rate(nothing[5m])", "sum(nothing)", "count(m0_total) by (b)",
	} {
		for range 10 {
			at := someTimes(r)
			want, _, err := w.value(w.reference, expr, at)
			require.NoError(t, err)
			got, q, err := w.value(w.columnar, expr, at)
			require.NoError(t, err)
			require.Equal(t, ordered(want), ordered(got), "%s over %s", expr, at)
			require.NotNil(t, q.work.value, "%s over %s is left to the engine", expr, at)
			w.same(expr, at, false)
		}
	}
	for _, expr := range []string{"rate(m0_total[5m]) + 0", "-rate(m0_total[5m])", "sort(rate(m0_total[5m]))"} {
		_, q, err := w.value(w.columnar, expr, hour)
		require.NoError(t, err)
		require.Nil(t, q.work.value, expr)
	}
}

// TestEntireSameNames has series that are equal without their names: at the same steps, which is an error, and at different ones,
// which the engine makes one series of.
func TestEntireSameNames(t *testing.T) {
	w := newWorld(t)
	for i, name := range []string{"a_total", "b_total", "c_total"} {
		times, v := every(40, func(j int) float64 { return float64(j * i) })
		for j := range times {
			times[j] += int64(i) * 1_200_000
		}
		w.add(name+`{x="1"}`, times, v)
		w.add(name+fmt.Sprintf(`{x="%d"}`, 4-i), times, v)
	}
	for _, expr := range []string{`rate({__name__=~"..total"}[1m])`, `sum by (__name__, x) (rate({__name__=~"..total"}[1m]))`, `rate({__name__=~"..total"}[30m])`} {
		for _, at := range []times{{0, 3_600_000, 15_000}, {start: 300_000}, {start: 1_500_000}} {
			w.same(expr, at, true)
		}
	}
	got, n := w.same(`rate({__name__=~"..total"}[30m])`, hour, false)
	require.Contains(t, got, "vector cannot contain metrics with the same labelset")
	require.Positive(t, n)
}

// TestEntireKept finds a result untouched after its query was closed and others have run.
func TestEntireKept(t *testing.T) {
	w := newWorld(t)
	w.counters(100)
	q, err := w.columnar.NewRangeQuery(context.Background(), w, nil, "rate(m_total[5m])", time.UnixMilli(0), time.UnixMilli(3_600_000), time.Minute)
	require.NoError(t, err)
	r := q.Exec(context.Background())
	require.NoError(t, r.Err)
	before := ordered(r.Value)
	q.Close()
	for range 3 {
		w.same("max_over_time(m_total[5m])", hour, false)
	}
	require.Equal(t, before, ordered(r.Value))
	// Series of one array do not grow into one another.
	m := r.Value.(promql.Matrix)
	_ = append(m[0].Floats, promql.FPoint{T: -1, F: -1})
	require.Equal(t, before, ordered(r.Value))
}

// tight is a memory that has room for so many bytes.
type tight struct{ room, most, held int64 }

func (m *tight) Take(n int64) error {
	if m.held+n > m.room {
		return model.ErrLimit
	}
	m.held += n
	m.most = max(m.most, m.held)
	return nil
}
func (m *tight) Give(n int64) { m.held -= n }

// TestEntireLimits finds what is made of results accounted for.
func TestEntireLimits(t *testing.T) {
	results := []result{{labels: labels.FromStrings("a", "1"), values: make([]float64, 100)}, {labels: labels.FromStrings("a", "2"), values: make([]float64, 100)}}
	memory := &tight{room: 200 * sampleBytes / 2}
	of := func(limit int64) (parser.Value, error) {
		m := &meter{limit: limit}
		var shared model.Memory = memory
		m.memory.Store(&shared)
		e := entire{part: &part{}, grid: grid{stepMs: 1000, n: 100}, meter: m}
		return e.value(context.Background(), results, 200)
	}
	v, err := of(200)
	require.NoError(t, err)
	require.Len(t, v, 2)
	require.Equal(t, memory.room, memory.most)
	_, err = of(199)
	require.Equal(t, promql.ErrTooManySamples("query execution"), err)
	_, err = of(200) // the first is still held
	require.ErrorIs(t, err, model.ErrLimit)
}
