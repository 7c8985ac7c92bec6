package query

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// rolledStorage is a storage.Queryable of series whose days are samples, or windows of a resolution.
type rolledStorage struct {
	t      testing.TB
	names  []string
	series map[string]*model.Columns
	// rolled is the resolution that a day is read in, 0 for samples. held has the samples of a day beside its windows.
	rolled func(model.Day) int64
	held   func(name string, d model.Day) bool
	// late are samples that are in no window.
	late map[string]*model.Columns
}

type rolledQuerier struct {
	storage.LabelQuerier
	*rolledStorage
}

func (rolledQuerier) Close() error { return nil }

func (s *rolledStorage) Querier(_, _ int64) (storage.Querier, error) {
	return rolledQuerier{rolledStorage: s}, nil
}

func (s rolledQuerier) Select(ctx context.Context, _ bool, h *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	p := purposeOf(h, lookbackOf(ctx))
	r := model.TimeRange{MinMs: h.Start, MaxMs: h.End}
	var all []storage.Series
	for _, name := range s.names {
		ls := labels.FromStrings(metricName, name, "series", name)
		if !matches(ls, matchers) {
			continue
		}
		c := s.series[name]
		one := &series{labels: ls, r: r, rolling: &rolling{purpose: p}}
		first, last := model.DayOf(max(c.T[0], h.Start)), model.DayOf(min(c.T[c.Len()-1], h.End))
		for d := first; d <= last; d++ {
			day := dayOf(c, d)
			if day.Len() == 0 {
				continue
			}
			res := s.rolled(d)
			if res == 0 || p.use == useSamples {
				one.parts = append(one.parts, &tailSeries{ls, *day})
				continue
			}
			held := s.held != nil && s.held(name, d)
			one.parts = append(one.parts, windowsOf(ls, day, p.use, res, p.around(r, res), held))
			if held {
				one.parts = append(one.parts, &rolledSeries{&tailSeries{ls, *day}, res})
			}
		}
		if late := s.late[name]; late != nil {
			one.parts = append(one.parts, &tailSeries{ls, *late})
		}
		all = append(all, one)
	}
	return &listedSet{all: all, at: -1}
}

type listedSet struct {
	all []storage.Series
	at  int
}

func (s *listedSet) Next() bool                        { s.at++; return s.at < len(s.all) }
func (s *listedSet) At() storage.Series                { return s.all[s.at] }
func (s *listedSet) Err() error                        { return nil }
func (s *listedSet) Warnings() annotations.Annotations { return nil }

// moments are the steps of a query; one without a step is an instant.
type moments struct{ start, end, step int64 }

// evaluate returns all that a user sees of an answer, floats by their bits, but no annotations.
func evaluate(t testing.TB, e promql.QueryEngine, q storage.Queryable, expr string, at moments) string {
	var pq promql.Query
	var err error
	if at.step == 0 {
		pq, err = e.NewInstantQuery(t.Context(), q, nil, expr, time.UnixMilli(at.start))
	} else {
		pq, err = e.NewRangeQuery(t.Context(), q, nil, expr, time.UnixMilli(at.start), time.UnixMilli(at.end), time.Duration(at.step)*time.Millisecond)
	}
	require.NoError(t, err, expr)
	defer pq.Close()
	return textOf(t, pq.Exec(t.Context()))
}

func textOf(t testing.TB, r *promql.Result) string {
	t.Helper()
	require.NoError(t, r.Err)
	m, ok := r.Value.(promql.Matrix)
	if !ok {
		v, err := r.Vector()
		require.NoError(t, err)
		for _, s := range v {
			one := promql.Series{Metric: s.Metric}
			if s.H != nil {
				one.Histograms = []promql.HPoint{{T: s.T, H: s.H}}
			} else {
				one.Floats = []promql.FPoint{{T: s.T, F: s.F}}
			}
			m = append(m, one)
		}
	}
	slices.SortFunc(m, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	var out strings.Builder
	for _, s := range m {
		fmt.Fprintln(&out, s.Metric)
		for _, p := range s.Floats {
			fmt.Fprintf(&out, "  %s %x (%v)\n", utc(p.T), math.Float64bits(p.F), p.F)
		}
		for _, p := range s.Histograms {
			fmt.Fprintf(&out, "  %s %v\n", utc(p.T), p.H)
		}
	}
	return out.String()
}

// engines are the engine with its columnar part, and Prometheus' alone.
func engines(t testing.TB, o EngineOptions) (both [2]promql.QueryEngine) {
	for i := range both {
		o.NoColumnar = i > 0
		e := NewEngine(&o, NewParser(), nil, nil)
		t.Cleanup(func() { require.NoError(t, e.Close()) })
		both[i] = e
	}
	return both
}

// bits says that the answer over the windows is that over the samples, of both engines.
func (s *rolledStorage) bits(es [2]promql.QueryEngine, expr string, at moments) {
	s.t.Helper()
	samples := *s
	samples.rolled = func(model.Day) int64 { return 0 }
	want := evaluate(s.t, es[0], &samples, expr, at)
	for _, e := range es {
		require.Equal(s.t, want, evaluate(s.t, e, s, expr, at), "%s at %+v", expr, at)
	}
}

const storageDays = 4

// randomStorage has gauges of integers and of any floats, with gaps, markers and samples at the edges of windows.
func randomStorage(t testing.TB, r *rand.Rand) *rolledStorage {
	s := &rolledStorage{t: t, series: map[string]*model.Columns{}}
	for i := range 6 {
		name := fmt.Sprintf("whole_%d", i)
		if i >= 3 {
			name = fmt.Sprintf("any_%d", i)
		}
		c := &model.Columns{}
		interval := []int64{15_000, 60_000, 400_000}[r.IntN(3)]
		for at := t0 + r.Int64N(interval); at < t0+storageDays*model.MsPerDay; at += interval {
			v := float64(r.IntN(2000) - 1000)
			switch n := r.IntN(100); {
			case n == 0:
				at += r.Int64N(3 * hourMs)
			case n == 1:
				at += fiveMinutesMs - at%fiveMinutesMs
			case n == 2:
				at += model.MsPerDay - at%model.MsPerDay
			case n == 3 && i >= 3:
				v = math.NaN()
			case n == 4 && i >= 3:
				v = math.Inf(1 - 2*r.IntN(2))
			case n < 80 && i >= 3:
				v = r.NormFloat64()
			case n == 99:
				v = math.Float64frombits(value.StaleNaN)
			}
			if (c.Len() == 0 || at > c.T[c.Len()-1]) && at < t0+storageDays*model.MsPerDay {
				c.Append(at, v)
			}
		}
		s.names = append(s.names, name)
		s.series[name] = c
	}
	slices.Sort(s.names)
	return s
}

// TestWholeWindows: what is said to be exact is, for instants and ranges, across midnights and between rolled days and others, with offsets and in subqueries.
func TestWholeWindows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	es := engines(t, EngineOptions{})
	for range 12 {
		s := randomStorage(t, r)
		res := []int64{fiveMinutesMs, hourMs}[r.IntN(2)]
		thinned := model.Day(r.IntN(storageDays + 1))
		s.rolled = func(d model.Day) int64 {
			if d < day0+thinned {
				return res
			}
			return 0
		}
		if r.IntN(2) == 0 {
			s.held = func(name string, d model.Day) bool { return (len(name)+int(d))%2 == 0 }
		}
		for range 12 {
			at := moments{start: t0 + r.Int64N(storageDays*model.MsPerDay/res)*res}
			if r.IntN(2) == 0 {
				at.step = res * (1 + r.Int64N(6))
				at.end = at.start + r.Int64N(30)*at.step
			}
			span := time.Duration(1+r.Int64N(1+r.Int64N(30))) * time.Duration(res) * time.Millisecond
			form := []string{"%[1]s(%[2]s[%[3]s])", "%[1]s(%[2]s[%[3]s] offset %[4]s)", "%[1]s(%[2]s[%[3]s] offset -%[4]s)", "max_over_time(%[1]s(%[2]s[%[3]s])[%[4]s:%[4]s])"}[r.IntN(4)]
			offset := time.Duration(1+r.Int64N(4)) * time.Duration(res) * time.Millisecond
			for _, f := range []string{"min_over_time", "max_over_time", "last_over_time", "count_over_time", "present_over_time", "sum_over_time"} {
				metrics := `{__name__=~".+"}`
				if f == "sum_over_time" {
					metrics = `{__name__=~"whole.+"}` // sums of integers are exact, others within rounding
				}
				s.bits(es, fmt.Sprintf(form, f, metrics, promDuration(span), promDuration(offset)), at)
				if f != "count_over_time" && f != "sum_over_time" {
					s.bits(es, fmt.Sprintf("sum("+form+")", f, `{__name__=~"whole.+"}`, promDuration(span), promDuration(offset)), at)
				}
			}
		}
	}
}

// TestHeld: of a day whose windows are read beside raw samples that have not expired, these answer, at any time and with any range.
func TestHeld(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	es := engines(t, EngineOptions{})
	s := randomStorage(t, r)
	s.held = func(string, model.Day) bool { return true }
	for _, f := range []string{"min_over_time", "max_over_time", "last_over_time", "count_over_time", "sum_over_time", "avg_over_time", "rate", "increase", "sum"} {
		for range 15 {
			res := []int64{fiveMinutesMs, hourMs}[r.IntN(2)]
			s.rolled = func(model.Day) int64 { return res }
			at := moments{start: t0 + r.Int64N(storageDays*model.MsPerDay), step: 1 + r.Int64N(hourMs)}
			at.end = at.start + 20*at.step
			expr := fmt.Sprintf("%s(whole_0[%dms])", f, res+r.Int64N(3*hourMs))
			if f == "sum" {
				expr = "sum by (series) (whole_0)"
			}
			s.bits(es, expr, at)
		}
	}
}

func promDuration(d time.Duration) string { return fmt.Sprintf("%ds", d/time.Second) }
