package differential

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// TestPlanted gives the test candidates with a fault each. It must find every one.
func TestPlanted(t *testing.T) {
	const most, seed = 2500, 3
	w := newWorld(t, seed, form{copies: 1})
	m := newMaker(seed, w.data)
	good := system{referenceEngine(lookback), w.reference}
	bad := map[string]system{
		"lookback a millisecond too long":   {referenceEngine(lookback + time.Millisecond), w.reference},
		"one bit of a sample in 50":         {good.engine, &faulty{Queryable: w.reference, sample: oneBit}},
		"stale markers are not seen":        {good.engine, &faulty{Queryable: w.reference, sample: unstale}},
		"-0 is 0":                           {good.engine, &faulty{Queryable: w.reference, sample: unsigned}},
		"a sample in 200 is lost":           {good.engine, &faulty{Queryable: w.reference, sample: lost}},
		"sums go the other way round":       {good.engine, &faulty{Queryable: w.reference, reverse: true}},
		"one ULP in one point of an answer": {&wrong{good.engine}, w.reference},
	}
	for name, candidate := range bad {
		t.Run(name, func(t *testing.T) {
			j := &judge{reference: good, candidate: candidate}
			for number := range most {
				q := m.question(number)
				if v, d, _ := j.ask(t.Context(), q); v == different {
					t.Logf("found by query %d, %s", number, j.report(t.Context(), seed, number, q, d))
					return
				}
			}
			t.Errorf("not found by %d queries", most)
		})
	}
}

func oneBit(n int, v float64) (float64, bool) {
	if n%50 == 7 && !math.IsNaN(v) {
		return math.Float64frombits(math.Float64bits(v) ^ 1), true
	}
	return v, true
}

func lost(n int, v float64) (float64, bool) { return v, n%200 != 7 }

func unsigned(_ int, v float64) (float64, bool) {
	if v == 0 {
		return 0, true
	}
	return v, true
}

func unstale(_ int, v float64) (float64, bool) { return v, !value.IsStaleNaN(v) }

// wrong is an engine that makes the last point of long answers one ULP too large.
type wrong struct{ promql.QueryEngine }

func (e *wrong) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, step time.Duration) (promql.Query, error) {
	inner, err := e.QueryEngine.NewRangeQuery(ctx, q, opts, qs, start, end, step)
	if err != nil {
		return nil, err
	}
	return &wrongQuery{inner}, nil
}

type wrongQuery struct{ promql.Query }

func (q *wrongQuery) Exec(ctx context.Context) *promql.Result {
	r := q.Query.Exec(ctx)
	if m, ok := r.Value.(promql.Matrix); ok && len(m) > 0 && len(m[0].Floats) > 20 {
		p := &m[0].Floats[len(m[0].Floats)-1]
		p.F = math.Nextafter(p.F, math.Inf(1))
	}
	return r
}

// faulty is a storage that changes samples or the order of series.
type faulty struct {
	storage.Queryable
	// sample, if set, is given each float and how many came before it in its series. False loses it.
	sample func(n int, v float64) (float64, bool)
	// reverse gives the series of range queries, whose answers the engine sorts, in reverse order.
	reverse bool
}

func (f *faulty) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := f.Queryable.Querier(mint, maxt)
	return &faultyQuerier{q, f}, err
}

type faultyQuerier struct {
	storage.Querier
	f *faulty
}

func (q *faultyQuerier) Select(ctx context.Context, s bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := q.Querier.Select(ctx, s, hints, matchers...)
	out := &faultySet{SeriesSet: set}
	for set.Next() {
		at := set.At()
		if q.f.sample != nil {
			at = &faultySeries{at, q.f}
		}
		out.all = append(out.all, at)
	}
	if q.f.reverse && hints.Step > 0 {
		slices.Reverse(out.all)
	}
	return out
}

type faultySet struct {
	storage.SeriesSet
	all []storage.Series
	n   int
}

func (s *faultySet) Next() bool {
	s.n++
	return s.n <= len(s.all)
}

func (s *faultySet) At() storage.Series { return s.all[s.n-1] }

type faultySeries struct {
	storage.Series
	f *faulty
}

func (s *faultySeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &faultyIterator{Iterator: s.Series.Iterator(nil), f: s.f}
}

type faultyIterator struct {
	chunkenc.Iterator
	f       *faulty
	n       int
	v       float64
	current chunkenc.ValueType
}

func (i *faultyIterator) Next() chunkenc.ValueType {
	for keep := false; !keep; {
		if i.current = i.Iterator.Next(); i.current != chunkenc.ValFloat {
			break
		}
		_, i.v = i.Iterator.At()
		i.v, keep = i.f.sample(i.n, i.v)
		i.n++
	}
	return i.current
}

func (i *faultyIterator) Seek(t int64) chunkenc.ValueType { //nolint:govet // the name is the interface's, not io.Seeker's
	if i.current == chunkenc.ValNone {
		i.Next()
	}
	for i.current != chunkenc.ValNone && i.AtT() < t {
		i.Next()
	}
	return i.current
}

func (i *faultyIterator) At() (int64, float64) { return i.AtT(), i.v }
