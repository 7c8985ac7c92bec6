package query

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// tombstone commits one to the day.
func (w *world) tombstone(id string, day model.Day, r model.TimeRange, matchers string) {
	_, err := w.store.Commit(context.Background(), testTenant, day, catalog.AddTombstone{ID: id, CreatedMs: time.Now().UnixMilli(), Range: r, Matchers: matchers})
	require.NoError(w.t, err)
}

// TestDeletedBoundaries: the ends of a tombstone's range are deleted, what lies beside them is not; a series of which nothing is left is not in
// the answer, and what is written after the delete is there, with the same times too.
func TestDeletedBoundaries(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	src := &fakeSource{writer: "w1", generations: map[uint64]data{}}
	w.sources = []model.Source{src}
	w.flush("w1", 1, day0, data{}.add("a", t0, 1).add("a", t0+1, 2).add("a", t0+2, 3).add("a", t0+3, 4).add("b", t0+1, 5).add("c", t0+2, 6))
	q := w.queryable()
	all := func() data {
		got := selectAll(w.ctx(), t, q, t0, t0+1000, everything)
		require.NoError(t, got.err)
		return got.data
	}
	require.Len(t, all(), 3)
	w.tombstone("x", day0, model.TimeRange{MinMs: t0 + 1, MaxMs: t0 + 2}, `{__name__=~"a|b"}`)
	require.Equal(t, data{"a": {t0: 1, t0 + 3: 4}, "c": {t0 + 2: 6}}, all(), "at once, though the catalog was cached")
	got := selectAll(w.ctx(), t, q, t0+1, t0+2, everything)
	require.Equal(t, []string{"c"}, got.names)

	src.generations[2] = data{}.add("a", t0+1, 20).add("b", t0+1, 50)
	want := data{"a": {t0: 1, t0 + 1: 20, t0 + 3: 4}, "b": {t0 + 1: 50}, "c": {t0 + 2: 6}}
	require.Equal(t, want, all(), "written since, in a memtable")
	w.flush("w1", 2, day0, src.generations[2])
	src.drop(2)
	require.Equal(t, want, all(), "and flushed")
	w.tombstone("y", day0, model.TimeRange{MinMs: t0, MaxMs: t0 + 5}, `{__name__!="c"}`)
	require.Equal(t, data{"c": {t0 + 2: 6}}, all())

	querier, err := q.Querier(t0, t0+1000)
	require.NoError(t, err)
	defer querier.Close()
	set := querier.Select(w.ctx(), true, &storage.SelectHints{Start: t0, End: t0 + 1000, Func: "series"}, everything)
	var names []string
	for set.Next() {
		names = append(names, set.At().Labels().Get(metricName))
	}
	require.NoError(t, set.Err())
	require.Equal(t, []string{"c"}, names)
	values, _, err := querier.LabelValues(w.ctx(), metricName, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, values)
}

// TestDeletedModel compares random writes and deletes with a map of samples.
func TestDeletedModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 20 {
		w := newWorld(t)
		q := w.queryable()
		left := data{}
		for n := range uint64(20) {
			day := day0 + model.Day(rng.IntN(2))
			base := day.Range().MinMs
			if rng.IntN(3) > 0 {
				d := data{}
				for range 1 + rng.IntN(30) {
					name, at := fmt.Sprint("m", rng.IntN(4)), base+int64(rng.IntN(20))
					d.add(name, at, float64(n))
					left.add(name, at, float64(n))
				}
				w.flush("w", n, day, d)
				continue
			}
			r := model.TimeRange{MinMs: base + int64(rng.IntN(20)) - 3}
			r.MaxMs = r.MinMs + int64(rng.IntN(10))
			name := fmt.Sprint("m", rng.IntN(4))
			w.tombstone(fmt.Sprint("x", n), day, r, fmt.Sprintf("{__name__=%q}\n{__name__=%q,no=\"\"}", name, "m0"))
			for _, s := range []string{name, "m0"} {
				maps.DeleteFunc(left[s], func(at int64, _ float64) bool { return r.Contains(at) && day.Range().Contains(at) })
			}
		}
		for range 10 {
			from := t0 + int64(rng.IntN(20))
			to := from + int64(rng.IntN(20)) + int64(rng.IntN(2))*model.MsPerDay
			want := data{}
			for name, samples := range left {
				for at, v := range samples {
					if from <= at && at <= to {
						want.add(name, at, v)
					}
				}
			}
			got := selectAll(w.ctx(), t, q, from, to, everything)
			require.NoError(t, got.err)
			require.Equal(t, want, got.data)
			require.Equal(t, want.sorted(), got.names)
		}
		// Label calls count blocks as a whole: over all of the days nothing of that shows.
		all := model.TimeRange{MinMs: day0.Range().MinMs, MaxMs: (day0 + 1).Range().MaxMs}
		want := data{}
		for name, samples := range left {
			if len(samples) > 0 {
				want[name] = samples
			}
		}
		querier, err := q.Querier(all.MinMs, all.MaxMs)
		require.NoError(t, err)
		values, _, err := querier.LabelValues(w.ctx(), metricName, nil)
		require.NoError(t, err)
		require.Equal(t, want.sorted(), values)
		names, _, err := querier.LabelNames(w.ctx(), nil)
		require.NoError(t, err)
		require.Equal(t, len(want) > 0, len(names) > 0)
		set := querier.Select(w.ctx(), true, &storage.SelectHints{Start: all.MinMs, End: all.MaxMs, Func: FuncSeries}, everything)
		var listed []string
		for set.Next() {
			listed = append(listed, set.At().Labels().Get(metricName))
		}
		require.NoError(t, set.Err())
		require.Equal(t, want.sorted(), listed)
		require.NoError(t, querier.Close())
	}
}

// TestDeletedBadSelector: a tombstone that cannot be read fails the query rather than show what was deleted.
func TestDeletedBadSelector(t *testing.T) {
	w := newWorld(t)
	w.flush("w1", 1, day0, data{}.add("a", t0, 1))
	w.tombstone("x", day0, day0.Range(), "{")
	got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, labels.MustNewMatcher(labels.MatchEqual, metricName, "a"))
	require.ErrorIs(t, got.err, model.ErrCorrupt)
	require.ErrorContains(t, got.err, "tombstone x")
}
