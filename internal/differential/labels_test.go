package differential

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/tenant"
)

// TestLabels compares names, values and series for random matchers. Over all of the time both sides must agree. For a part of it Prometheus answers
// from everything its head knows of; there ours must lie between the series that have a sample in that part and those of all time.
func TestLabels(t *testing.T) {
	seed := setting(t, "DIFF_SEED", uint64(time.Now().UnixNano()))
	t.Logf("DIFF_SEED=%d", seed)
	for name, f := range map[string]form{
		"hot": {copies: 1, merged: true, cached: true}, "parquet": {copies: 1, parquet: true}, "late": {copies: 1, parquet: true, late: true, cached: true},
		"deleted": {copies: 1, merged: true, deletes: true}, "deleted parquet": {copies: 1, parquet: true, late: true, deletes: true, cached: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, seed, f)
			l := &labelTest{t: t, w: w, rng: rand.New(rand.NewPCG(seed, 1)), ctx: tenant.NewContext(t.Context(), tenant.Default)}
			filled := 0
			for number := range 400 {
				filled += l.ask(number)
			}
			require.Greater(t, filled, 130, "most matchers match nothing")
		})
	}
}

type labelTest struct {
	t   *testing.T
	w   *world
	rng *rand.Rand
	ctx context.Context
}

// ask returns 1 if there was something to be found.
func (l *labelTest) ask(number int) int {
	matchers := l.matchers()
	from, to := dataFrom-minute, dataTo+minute
	where := fmt.Sprintf("DIFF_SEED number %d: %v", number, matchers)
	want, got := l.read(l.w.reference, from, to, matchers), l.read(l.w.candidate, from, to, matchers)
	require.Equal(l.t, want.names, got.names, where)
	require.Equal(l.t, want.values, got.values, where)
	require.Equal(l.t, want.series, got.series, where)
	// Prometheus limits to any of them, we to the first.
	require.Equal(l.t, got.values[:min(2, len(got.values))], got.limited, where)

	a, b := dataFrom+l.rng.Int64N(dataTo-dataFrom), dataFrom+l.rng.Int64N(dataTo-dataFrom)
	part := l.read(l.w.candidate, min(a, b), max(a, b), matchers)
	require.Subset(l.t, want.series, part.series, where)
	require.Subset(l.t, part.series, l.present(min(a, b), max(a, b), matchers), where)
	require.Subset(l.t, want.names, part.names, where)
	require.Subset(l.t, want.values, part.values, where)
	return min(len(want.series), 1)
}

// found is what the endpoints of labels give.
type found struct {
	names, values, limited, series []string // limited are 2 of the values
}

func (l *labelTest) read(data storage.Queryable, from, to int64, matchers []*labels.Matcher) (f found) {
	q, err := data.Querier(from, to)
	require.NoError(l.t, err)
	defer q.Close()
	f.names, _, err = q.LabelNames(l.ctx, nil, matchers...)
	require.NoError(l.t, err)
	name := matchers[0].Name
	f.values, _, err = q.LabelValues(l.ctx, name, nil, matchers...)
	require.NoError(l.t, err)
	f.limited, _, err = q.LabelValues(l.ctx, name, &storage.LabelHints{Limit: 2}, matchers...)
	require.NoError(l.t, err)
	for _, list := range []*[]string{&f.names, &f.values, &f.limited} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	set := q.Select(l.ctx, true, &storage.SelectHints{Start: from, End: to, Func: "series"}, matchers...)
	for set.Next() {
		f.series = append(f.series, set.At().Labels().String())
	}
	require.NoError(l.t, set.Err())
	return f
}

// present are the series that have a sample in the range.
func (l *labelTest) present(from, to int64, matchers []*labels.Matcher) (all []string) {
	if l.w.deletes {
		return l.left(from, to, matchers)
	}
	for i := range l.w.data.series {
		s := &l.w.data.series[i]
		matches := !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) })
		if matches && slices.ContainsFunc(s.samples, func(x sample) bool { return x.t >= from && x.t <= to }) {
			all = append(all, s.labels.String())
		}
	}
	return all
}

// left is what the reference has samples of.
func (l *labelTest) left(from, to int64, matchers []*labels.Matcher) (all []string) {
	q, err := l.w.reference.Querier(from, to)
	require.NoError(l.t, err)
	defer q.Close()
	set := q.Select(l.ctx, true, nil, matchers...)
	for set.Next() {
		if set.At().Iterator(nil).Next() != chunkenc.ValNone {
			all = append(all, set.At().Labels().String())
		}
	}
	require.NoError(l.t, set.Err())
	return all
}

// matchers are one to three, at least one of which does not match the empty string.
func (l *labelTest) matchers() (all []*labels.Matcher) {
	for {
		s := &l.w.data.series[l.rng.IntN(len(l.w.data.series))]
		var pairs []labels.Label
		s.labels.Range(func(p labels.Label) { pairs = append(pairs, p) })
		pairs = append(pairs, labels.Label{Name: "zone", Value: ""}, labels.Label{Name: "absent", Value: "x"})
		for range 1 + l.rng.IntN(3) {
			all = append(all, l.matcher(pairs[l.rng.IntN(len(pairs))]))
		}
		if slices.ContainsFunc(all, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return all
		}
	}
}

func (l *labelTest) matcher(p labels.Label) *labels.Matcher {
	head, tail := regexp.QuoteMeta(p.Value[:len(p.Value)/2]), regexp.QuoteMeta(p.Value[len(p.Value)/2:])
	patterns := []string{
		head + ".*", ".*" + tail, head + ".+", ".*", ".+", "", head + tail, "(?i)" + head + tail, "nothing|" + head + tail, head + tail + "|", "[a-d].*", ".", head + ".?" + tail,
		"(" + head + "|x)" + tail,
	}
	kind := labels.MatchType(l.rng.IntN(4))
	value := p.Value
	if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
		value = patterns[l.rng.IntN(len(patterns))]
	} else if l.rng.IntN(6) == 0 {
		value = []string{"", "nothing"}[l.rng.IntN(2)]
	}
	return labels.MustNewMatcher(kind, p.Name, value)
}
