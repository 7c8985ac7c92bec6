package blocks_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// oneProcess is what one process exposes: metrics of a series or two.
func oneProcess(metrics int) (in []blocks.BuildSeries) {
	for i := range metrics {
		for k := range 1 + i%3/2 {
			in = append(in, blocks.BuildSeries{
				Labels:  labels.FromStrings("__name__", fmt.Sprintf("metric_%x_total", uint32(i)*2654435761), "job", "p", "kind", fmt.Sprint("k", k)),
				Columns: &model.Columns{T: []int64{day.Range().MinMs + int64(i)}, V: []float64{float64(i)}},
			})
		}
	}
	return in
}

// TestUnposted asks a block without postings what postings would be asked: one read tells, two with chunks.
func TestUnposted(t *testing.T) {
	in := oneProcess(500)
	m, b := build(t, in)
	require.Zero(t, m.Postings.Length, "no postings")
	r := &counter{Bytes: b}
	names, err := blocks.LabelNames(t.Context(), r, m, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "job", "kind"}, names)
	values, err := blocks.LabelValues(t.Context(), r, m, "__name__", nil, nil)
	require.NoError(t, err)
	require.Len(t, values, 500)
	require.True(t, slices.IsSorted(values))
	values, err = blocks.LabelValues(t.Context(), r, m, "kind", nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"k0", "k1"}, values)
	values, err = blocks.LabelValues(t.Context(), r, m, "absent", nil, nil)
	require.NoError(t, err)
	require.Empty(t, values)
	require.Equal(t, 4, r.stages)
	require.Equal(t, 4, r.ranges)
	for _, c := range []struct {
		m      *labels.Matcher
		stages int
	}{
		{labels.MustNewMatcher(labels.MatchEqual, "kind", "k1"), 2},
		{labels.MustNewMatcher(labels.MatchNotEqual, "kind", "k0"), 2},
		{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "metric_[0-7].*"), 2},
		{labels.MustNewMatcher(labels.MatchEqual, "absent", ""), 2},
		{labels.MustNewMatcher(labels.MatchEqual, "absent", "x"), 1},
		{labels.MustNewMatcher(labels.MatchEqual, "job", "q"), 1},
	} {
		want := 0
		for _, s := range in {
			if c.m.Matches(s.Labels.Get(c.m.Name)) {
				want++
			}
		}
		r := &counter{Bytes: b}
		sel, err := blocks.Select(t.Context(), r, m, &blocks.Query{Range: day.Range(), Matchers: []*labels.Matcher{c.m}, Speculation: blocks.NewBudget(1 << 30)})
		require.NoError(t, err)
		require.Len(t, sel.Series, want, "%s", c.m)
		require.Equal(t, c.stages, r.stages, "%s", c.m)
		sel.Close()
	}
	b[m.SeriesPages.Offset+20] ^= 1
	_, err = blocks.LabelNames(t.Context(), blocks.Bytes(b), m, nil, nil)
	require.ErrorIs(t, err, model.ErrCorrupt)
	require.ErrorContains(t, err, blocks.Key(m))
}

// TestNamesOfOnePage selects by several metric names whose groups share a series page: no series may come twice.
func TestNamesOfOnePage(t *testing.T) {
	m, b := build(t, large(20, 20, 300))
	distinct := map[int64]bool{}
	for _, e := range m.Directory {
		distinct[e.SeriesOffset] = true
	}
	require.Less(t, len(distinct), len(m.Directory)/2, "groups share series pages")
	for _, names := range []string{"metric_003|metric_004", "metric_003|metric_009|metric_018", "metric_000|metric_019", "metric_00.|nothing"} {
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{
			Range: day.Range(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", names)}, Speculation: blocks.NewBudget(4 << 20),
		})
		require.NoError(t, err)
		want := map[string]bool{}
		for _, s := range large(20, 20, 1) {
			if labels.MustNewMatcher(labels.MatchRegexp, "__name__", names).Matches(s.Labels.Get("__name__")) {
				want[s.Labels.String()] = true
			}
		}
		require.Len(t, sel.Series, len(want), names)
		for _, s := range sel.Series {
			require.True(t, want[s.Labels().String()])
			delete(want, s.Labels().String())
			var c model.Columns
			require.NoError(t, s.Samples(&c, day.Range()))
			require.Equal(t, 300, c.Len())
		}
		sel.Close()
	}
}
