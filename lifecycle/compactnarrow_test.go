package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// TestCompactWithout is the pure part: which blocks of a planned compaction stay behind, given the metrics of each.
func TestCompactWithout(t *testing.T) {
	type block struct {
		id      string
		order   uint64
		metrics []string
		hot     bool
	}
	cold := func(id string, order uint64, metrics ...string) block { return block{id, order, metrics, false} }
	hot := func(id string, order uint64, metrics ...string) block { return block{id, order, metrics, true} }
	for name, c := range map[string]struct {
		blocks []block
		want   []string
	}{
		"late data of all":               {[]block{cold("a", 4, "b", "d"), cold("b", 4, "e", "h"), hot("c", 7, "c", "f")}, []string{"a", "b", "c"}},
		"of the first":                   {[]block{cold("a", 4, "b", "d"), cold("b", 4, "e", "h"), hot("c", 7, "b")}, []string{"a", "c"}},
		"of the last":                    {[]block{cold("a", 4, "b", "d"), cold("b", 4, "e", "h"), hot("c", 7, "h")}, []string{"b", "c"}},
		"of the middle, twice":           {[]block{cold("a", 4, "b"), cold("b", 4, "e", "h"), cold("c", 4, "k"), hot("d", 7, "f"), hot("e", 9, "g")}, []string{"b", "d", "e"}},
		"of a metric in two blocks":      {[]block{cold("a", 4, "b", "d"), cold("b", 4, "d", "h"), cold("c", 4, "k"), hot("d", 7, "d")}, []string{"a", "b", "d"}},
		"a new metric before all":        {[]block{cold("a", 4, "e"), cold("b", 4, "b", "d"), hot("c", 7, "a")}, []string{"b", "c"}},
		"a new metric behind all":        {[]block{cold("a", 4, "b", "d"), cold("b", 4, "e", "h"), hot("c", 7, "z")}, []string{"b", "c"}},
		"a new metric between":           {[]block{cold("a", 4, "b", "d"), cold("b", 4, "f", "h"), hot("c", 7, "e")}, []string{"a", "c"}},
		"the touched one is above":       {[]block{cold("a", 4, "b", "d"), cold("c", 4, "i"), cold("b", 7, "e", "h"), hot("d", 9, "f")}, []string{"b", "d"}},
		"the touched one is below":       {[]block{cold("a", 4, "b", "d"), cold("c", 4, "i"), cold("b", 7, "e", "h"), hot("d", 9, "c")}, []string{"a", "b", "d"}},
		"late data below an idle one":    {[]block{cold("a", 4, "b"), hot("b", 5, "b"), cold("c", 6, "m"), hot("d", 7, "b")}, []string{"a", "b", "c", "d"}},
		"an idle one below it":           {[]block{cold("a", 4, "m"), hot("b", 5, "b"), cold("c", 6, "b"), hot("d", 7, "b")}, []string{"b", "c", "d"}},
		"late data without named series": {[]block{cold("a", 4, "b"), cold("b", 4, "d"), hot("c", 7)}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Merge{Format: blocks.Parquet}
			var spans metricSpans
			for _, b := range c.blocks {
				f := blocks.Native
				if !b.hot {
					f = blocks.Parquet
					spans = append(spans, metricSpan{id: b.id, first: b.metrics[0], last: b.metrics[len(b.metrics)-1]})
				}
				m.Inputs = append(m.Inputs, catalog.Entry{Meta: &blocks.Meta{ID: b.id, Format: f, Size: 10}, Order: b.order})
				m.Bytes += 10
			}
			for _, b := range c.blocks {
				if b.hot {
					spans.touch(b.metrics)
				}
			}
			got := m.without(spans)
			require.Equal(t, c.want, ids(got.Inputs))
			require.Equal(t, int64(10*len(c.want)), got.Bytes)
		})
	}
}

// flushOf adds a block of some series of one metric.
func (w *world) flushOf(metric string) {
	var in []blocks.BuildSeries
	for i := range 5 {
		c := &model.Columns{}
		for n := range int64(1 + w.rng.IntN(20)) {
			c.Append(testDay.Range().MinMs+1000*n, float64(w.rng.IntN(1000)))
		}
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", metric, "i", fmt.Sprint(i)), Columns: c})
	}
	w.gen++
	var b bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: testDay, Writer: "w", Generation: w.gen, CreatedMs: w.nowMs}, seqOf(in), &b)
	require.NoError(w.t, err)
	_, err = w.own.PutIfAbsent(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	_, err = w.catalog.Commit(context.Background(), "t", testDay, catalog.Add{Writer: "w", Generation: w.gen, Meta: m})
	require.NoError(w.t, err)
}

// TestCompactLateOfOneMetric: late data of one metric rewrites the block of that metric, and those above its order.
func TestCompactLateOfOneMetric(t *testing.T) {
	w := closedDay(t, 4)
	l, _ := w.worker(daily())
	require.Equal(t, 1, w.once(l).Compactions)
	live := func() (ids []string) {
		for _, e := range w.partition().Blocks {
			ids = append(ids, e.ID)
		}
		return ids
	}
	stay := func(before []string) (n int) {
		for _, id := range live() {
			if slices.Contains(before, id) {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		metric      string
		stay, after int
	}{
		{"m1", 2, 3},
		{"m1", 2, 3}, // whose block is above the others now
		{"m0", 1, 3}, // with that of m1, which is above it
		{"m9", 0, 4}, // with that of m2, the lowest
		{"m9", 3, 4}, // its own
	} {
		before := live()
		for range 8 {
			w.flushOf(c.metric)
		}
		w.later(1)
		want := w.read()
		r := w.once(l)
		require.Equal(t, 1, r.Compactions, "late %s", c.metric)
		require.Equal(t, want, w.read(), "late %s", c.metric)
		hot, cold := w.formats()
		require.Equal(t, []int{0, c.after}, []int{hot, cold}, "late %s", c.metric)
		require.Equal(t, c.stay, stay(before), "late %s", c.metric)
		require.Zero(t, w.once(l).Jobs, "late %s", c.metric)
	}
}
