package query

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

const day0 = model.Day(20000)

var t0 = day0.Range().MinMs

func TestPriorities(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.sources = []model.Source{&fakeSource{writer: "w1", generations: map[uint64]data{3: data{}.add("m", t0+2, 30).add("m", t0+5, 31)}}}
	w.flush("w1", 1, day0, data{}.add("m", t0, 1).add("m", t0+1, 1).add("m", t0+2, 1).add("m", t0+9, 1))
	w.flush("w1", 2, day0, data{}.add("m", t0+1, 2).add("m", t0+2, 2).add("m", t0+3, 2))
	w.flush("w1", 1, day0+1, data{}.add("m", (day0+1).Range().MinMs, 7))

	got := selectAll(w.ctx(), t, w.queryable(), t0, t0+2*model.MsPerDay, everything)
	require.NoError(t, got.err)
	require.Equal(t, data{"m": {t0: 1, t0 + 1: 2, t0 + 2: 30, t0 + 3: 2, t0 + 5: 31, t0 + 9: 1, t0 + model.MsPerDay: 7}}, got.data)

	got = selectAll(w.ctx(), t, w.queryable(), t0+1, t0+5, everything)
	require.Equal(t, data{"m": {t0 + 1: 2, t0 + 2: 30, t0 + 3: 2, t0 + 5: 31}}, got.data, "closed range")

	got = selectAll(w.ctx(), t, w.queryable(), t0+10, t0+1000, everything)
	require.NoError(t, got.err)
	require.Empty(t, got.data, "a range between the samples")
}

func TestHints(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	src := &fakeSource{writer: "w1", generations: map[uint64]data{2: data{}.add("a", t0, 1).add("d", t0+50, 1)}}
	w.sources = []model.Source{src}
	w.flush("w1", 1, day0, data{}.add("b", t0, 1).add("c", t0+10, 1))
	querier, err := w.queryable().Querier(t0-1000, t0+1000)
	require.NoError(t, err)

	got := drain(t, querier.Select(w.ctx(), false, nil, everything))
	require.Equal(t, []string{"a", "b", "c", "d"}, got.names, "sorted though not asked for")
	got = drain(t, querier.Select(w.ctx(), true, &storage.SelectHints{Start: t0 + 10, End: t0 + 1000}, everything))
	require.Equal(t, data{"c": {t0 + 10: 1}, "d": {t0 + 50: 1}}, got.data)
	got = drain(t, querier.Select(w.ctx(), true, &storage.SelectHints{Start: t0, End: t0 + 1000, Limit: 2}, everything))
	require.Equal(t, []string{"a", "b"}, got.names)

	set := querier.Select(w.ctx(), true, &storage.SelectHints{Start: t0, End: t0 + 1000, Func: "series"}, labels.MustNewMatcher(labels.MatchNotEqual, metricName, "c"))
	var names []string
	for set.Next() {
		names = append(names, set.At().Labels().Get(metricName))
		it := set.At().Iterator(nil)
		require.Equal(t, chunkenc.ValNone, it.Next(), "names alone")
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	require.Equal(t, []string{"a", "b", "d"}, names)

	require.NoError(t, querier.Close())
	require.NoError(t, querier.Close(), "a second time")
	src.unpinned(t)
	require.ErrorIs(t, querier.Select(w.ctx(), true, nil, everything).Err(), model.ErrInvalid)
}

func TestLabelCalls(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	src := &fakeSource{writer: "w1", generations: map[uint64]data{2: data{}.add("a", t0, 1).add("d", t0+50, 1)}}
	w.sources = []model.Source{src}
	w.flush("w1", 1, day0, data{}.add("b", t0, 1).add("d", t0+10, 1))
	w.flush("w1", 1, day0-3000, data{}.add("old", t0-3000*model.MsPerDay, 1))

	for _, c := range []struct {
		name       string
		mint, maxt int64
		limit      int
		matchers   []*labels.Matcher
		want       []string
	}{
		{"a day", t0, t0 + 1000, 0, nil, []string{"a", "b", "d"}},
		{"no bounds", math.MinInt64, math.MaxInt64, 0, nil, []string{"a", "b", "d", "old"}},
		{"limit", math.MinInt64, math.MaxInt64, 2, nil, []string{"a", "b"}},
		{"matcher", math.MinInt64, math.MaxInt64, 0, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, metricName, "d|old")}, []string{"d", "old"}},
		{"empty range", 5, 4, 0, nil, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			querier, err := w.queryable().Querier(c.mint, c.maxt)
			require.NoError(t, err)
			defer querier.Close()
			got, _, err := querier.LabelValues(w.ctx(), metricName, &storage.LabelHints{Limit: c.limit}, c.matchers...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			names, _, err := querier.LabelNames(w.ctx(), nil, c.matchers...)
			require.NoError(t, err)
			if len(c.want) == 0 {
				require.Empty(t, names)
				return
			}
			require.Equal(t, []string{metricName}, names)
			none, _, err := querier.LabelValues(w.ctx(), "nosuch", nil, c.matchers...)
			require.NoError(t, err)
			require.Empty(t, none)
		})
	}
	src.unpinned(t)
}

func TestUnreachable(t *testing.T) {
	setup := func(t *testing.T) *world {
		w := newWorld(t)
		w.register(catalog.Writer{ID: "w1", Mode: "fsync", Address: "host-1:9", Shipping: true}, catalog.Writer{ID: "w2", Mode: "fsync"})
		w.sources = []model.Source{&fakeSource{writer: "w2", generations: map[uint64]data{1: data{}.add("a", t0, 1)}}}
		return w
	}
	for _, c := range []struct {
		name   string
		change func(*world)
	}{
		{"left out", func(*world) {}},
		{"reported", func(w *world) { w.missing = []Unreachable{{"w1", model.ErrUnavailable}} }},
		{"does not answer", func(w *world) {
			w.sources = append(w.sources, &fakeSource{writer: "w1", err: model.ErrUnavailable})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := setup(t)
			c.change(w)
			got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
			require.ErrorIs(t, got.err, model.ErrUnavailable)
			require.ErrorContains(t, got.err, "w1")
			require.ErrorContains(t, got.err, "host-1:9")
			w.sources[0].(*fakeSource).unpinned(t)

			got = selectAll(WithPartialResponse(w.ctx()), t, w.queryable(), t0, t0+1000, everything)
			require.NoError(t, got.err)
			require.Equal(t, data{"a": {t0: 1}}, got.data)
			require.Len(t, got.warnings, 1)
			require.Contains(t, got.warnings[0], "w1")

			w.setState("w1", catalog.Adopted)
			got = selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
			require.NoError(t, got.err, "adopted")
			require.Empty(t, got.warnings)
		})
	}
	t.Run("other errors fail the query", func(t *testing.T) {
		w := setup(t)
		w.sources = append(w.sources, &fakeSource{writer: "w1", err: model.ErrCorrupt})
		got := selectAll(WithPartialResponse(w.ctx()), t, w.queryable(), t0, t0+1000, everything)
		require.ErrorIs(t, got.err, model.ErrCorrupt)
		require.ErrorContains(t, got.err, "w1")
		w.sources[0].(*fakeSource).unpinned(t)
	})
}

// TestBlockGone has a block replaced and deleted at each moment of a query.
func TestBlockGone(t *testing.T) {
	d := data{}.add("a", t0, 1).add("b", t0+1, 2)
	calls := 0
	for n := 1; n == 1 || n <= calls+1; n++ {
		w := newWorld(t)
		m := w.flush("w1", 1, day0, d)
		s := &schedule{steps: map[int][]func(){}}
		merged := w.build("merge", 1, day0, d)
		merged.Replaces, merged.Writer = []string{m.ID}, ""
		s.at(n, func() {
			_, err := w.store.Commit(t.Context(), testTenant, day0, catalog.Replace{Inputs: []string{m.ID}, Outputs: []*blocks.Meta{merged}})
			require.NoError(t, err)
			require.NoError(t, w.bucket.Delete(t.Context(), blocks.Key(m)))
		})
		w.driver.SetHook(func(faultblob.Call) faultblob.Action { s.event(); return faultblob.Action{} })
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
		require.NoError(t, got.err, "gone before call %d", n)
		require.Equal(t, d, got.data, "gone before call %d", n)
		calls = s.n
	}

	w := newWorld(t)
	m := w.flush("w1", 1, day0, d)
	require.NoError(t, w.bucket.Delete(t.Context(), blocks.Key(m)))
	got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
	require.ErrorIs(t, got.err, model.ErrCorrupt)
	require.ErrorContains(t, got.err, m.ID)
}

// TestNeverLists asserts that no call of a querier lists or writes.
func TestNeverLists(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "object"})
	w.flush("w1", 1, day0, data{}.add("a", t0, 1))
	w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
		if c.Op != faultblob.OpGet {
			t.Errorf("%s of %s", c.Op, c.Key)
		}
		return faultblob.Action{}
	})
	querier, err := w.queryable().Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer querier.Close()
	require.NoError(t, drain(t, querier.Select(w.ctx(), true, nil, everything)).err)
	_, _, err = querier.LabelNames(w.ctx(), nil)
	require.NoError(t, err)
	_, _, err = querier.LabelValues(w.ctx(), "x", nil)
	require.NoError(t, err)
}

// TestTenants checks that the tenant of the context is the only one that shows.
func TestTenants(t *testing.T) {
	w := newWorld(t)
	w.flush("w1", 1, day0, data{}.add("a", t0, 1))
	got := selectAll(t.Context(), t, w.queryable(), t0, t0+1000, everything)
	require.NoError(t, got.err)
	require.Empty(t, got.data)
}

// TestBucketDown checks that what cannot be read is an error and not an empty answer, whichever call it is.
func TestBucketDown(t *testing.T) {
	calls := 0
	for n := 0; n <= calls; n++ { // 0 counts the calls
		w := newWorld(t)
		w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
		w.sources = []model.Source{&fakeSource{writer: "w1"}}
		w.flush("w1", 1, day0, data{}.add("a", t0, 1))
		seen := 0
		s := &schedule{}
		w.driver.SetHook(func(c faultblob.Call) faultblob.Action {
			s.mu.Lock()
			defer s.mu.Unlock()
			if seen++; seen == n {
				return faultblob.Action{Kind: faultblob.Fail, Err: model.ErrCorrupt}
			}
			return faultblob.Action{}
		})
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
		w.sources[0].(*fakeSource).unpinned(t)
		if n == 0 {
			require.NoError(t, got.err)
			calls = seen
			continue
		}
		require.ErrorIs(t, got.err, model.ErrCorrupt, "call %d of %d", n, calls)
	}
	require.Greater(t, calls, 4)
}
