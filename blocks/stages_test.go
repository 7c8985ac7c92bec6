package blocks_test

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// counter counts the stages and bytes of a RangeReader.
type counter struct {
	blocks.Bytes
	mu     sync.Mutex
	stages int
	ranges int
	bytes  int64
}

func (c *counter) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stages++
	c.ranges += len(ranges)
	for _, r := range ranges {
		c.bytes += r.Length
	}
	return c.Bytes.ReadRanges(ctx, key, ranges)
}

// large is a block of several directory entries, of noise so that pages are large.
func large(metrics, series, samples int) []blocks.BuildSeries {
	r := rand.New(rand.NewSource(5))
	var in []blocks.BuildSeries
	for m := range metrics {
		for s := range series {
			in = append(in, blocks.BuildSeries{
				Labels:  labels.FromStrings("__name__", fmt.Sprintf("metric_%03d", m), "instance", fmt.Sprintf("host-%04d", s), "job", fmt.Sprintf("job-%d", s%7)),
				Columns: columns(r, 3, samples, s%10 == 0),
			})
		}
	}
	return in
}

// TestStages holds P5: how many dependent reads a cold select takes, and how many ranges in them.
func TestStages(t *testing.T) {
	m, b := build(t, large(20, 40, 200))
	require.Greater(t, len(m.Directory), 5)
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	for _, c := range []struct {
		name           string
		ms             []*labels.Matcher
		budget         int64
		stages, ranges int
		series         int
	}{
		{"metric, speculated", []*labels.Matcher{eq("__name__", "metric_007")}, 4 << 20, 1, 3, 40},
		{"metric, no budget", []*labels.Matcher{eq("__name__", "metric_007")}, 0, 2, 6, 40},
		{"series of a metric", []*labels.Matcher{eq("__name__", "metric_007"), eq("instance", "host-0003")}, 0, 2, 3, 1},
		{"no such metric below all", []*labels.Matcher{eq("__name__", "a")}, 0, 0, 0, 0},
		{"no such metric", []*labels.Matcher{eq("__name__", "metric_007x")}, 0, 1, 2, 0},
		{"no name, speculated", []*labels.Matcher{eq("instance", "host-0003"), eq("job", "job-3")}, 64 << 20, 2, 3 + 1 + 1 + 1, 20},
		{"no name", []*labels.Matcher{eq("instance", "host-0003")}, 0, 3, 2 + 2 + 20, 20},
		{"no match", []*labels.Matcher{eq("instance", "host-9999")}, 0, 1, 2, 0},
		{"regex on the name", []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "metric_001|metric_019")}, 4 << 20, 1, 5, 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &counter{Bytes: b}
			sel, err := blocks.Select(t.Context(), r, m, &blocks.Query{Range: day.Range(), Matchers: c.ms, Speculation: blocks.NewBudget(c.budget)})
			require.NoError(t, err)
			require.Len(t, sel.Series, c.series)
			require.Equal(t, c.stages, r.stages, "stages")
			require.LessOrEqual(t, r.ranges, c.ranges, "ranges")
			for _, s := range sel.Series {
				var col model.Columns
				require.NoError(t, s.Samples(&col, day.Range()))
				require.Len(t, col.T, 200)
			}
			sel.Close()
			require.Equal(t, c.stages, r.stages, "samples read nothing")
		})
	}
}

// TestBigMetric has more series pages of one metric than are scanned, so that postings find the series.
func TestBigMetric(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var in []blocks.BuildSeries
	c := &model.Columns{T: []int64{day.Range().MinMs}, V: []float64{1}}
	for i := range 20_000 {
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", "big", "id", fmt.Sprintf("%016x", r.Uint64()), "n", fmt.Sprint(i%5000)), Columns: c})
	}
	m, b := build(t, in)
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	want := in[7777].Labels
	for _, ms := range [][]*labels.Matcher{
		{eq("__name__", "big"), eq("id", want.Get("id"))},
		{eq("__name__", "big"), eq("n", want.Get("n")), labels.MustNewMatcher(labels.MatchRegexp, "id", want.Get("id")[:6]+".*")},
		{eq("id", want.Get("id")), eq("absent", "")},
		{labels.MustNewMatcher(labels.MatchRegexp, "id", want.Get("id")+"|nonsense")},
	} {
		rd := &counter{Bytes: b}
		q := &blocks.Query{Range: day.Range(), Matchers: ms}
		sel, err := blocks.Select(t.Context(), rd, m, q.ScanAtMost(100<<10))
		require.NoError(t, err)
		require.Len(t, sel.Series, 1)
		require.Equal(t, want.String(), sel.Series[0].Labels().String())
		require.Equal(t, 3, rd.stages)
		require.Less(t, rd.bytes, m.Size)
		sel.Close()
	}
}

// TestManyPagesInAnEntry has series so cheap that a directory entry takes several series pages.
func TestManyPagesInAnEntry(t *testing.T) {
	var in []blocks.BuildSeries
	for i := range 60_000 {
		in = append(in, blocks.BuildSeries{
			Labels:  labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i)),
			Columns: &model.Columns{T: []int64{day.Range().MinMs}, V: []float64{1}},
		})
	}
	m, b := build(t, in)
	require.Less(t, len(m.Directory), 6, "fewer than the series pages, of which there are more than 60,000 / 8192")
	for _, c := range []struct {
		m    *labels.Matcher
		want int
	}{
		{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m1"), 20_000},
		{labels.MustNewMatcher(labels.MatchEqual, "i", "41234"), 1},
		{labels.MustNewMatcher(labels.MatchRegexp, "i", "4123.*"), 11},
		{labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "m1"), 40_000},
	} {
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), Matchers: []*labels.Matcher{c.m}, LabelsOnly: true})
		require.NoError(t, err)
		require.Len(t, sel.Series, c.want, "%s", c.m)
	}
}

// TestNeeded compares what a select says it needed with what it fetched.
func TestNeeded(t *testing.T) {
	m, b := build(t, large(20, 40, 200))
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	sel := func(q *blocks.Query, ms ...*labels.Matcher) (needed, fetched int64) {
		q.Range, q.Stats, q.Matchers = day.Range(), &blocks.Stats{}, ms
		r := &counter{Bytes: b}
		got, err := blocks.Select(t.Context(), r, m, q)
		require.NoError(t, err)
		require.EqualValues(t, len(got.Series), q.Stats.Series.Load())
		got.Close()
		return q.Stats.Needed.Load(), r.bytes
	}
	// Everything, of which nothing but the postings is not needed.
	needed, fetched := sel(&blocks.Query{}, eq("absent", ""))
	require.Equal(t, m.Chunks.Length+m.Runs.Length+m.SeriesPages.Length, needed)
	require.LessOrEqual(t, needed, fetched)
	// Without speculation all that is fetched for a whole metric are its pages, and neighbours' in the same ones.
	metric, fetched := sel(&blocks.Query{}, eq("__name__", "metric_007"))
	require.Less(t, metric, needed/2) // most of it runs
	require.LessOrEqual(t, metric, fetched)
	one, _ := sel(&blocks.Query{}, eq("__name__", "metric_007"), eq("instance", "host-0003"))
	require.Less(t, one, metric)
	require.Positive(t, one)
	none, fetched := sel(&blocks.Query{Speculation: blocks.NewBudget(1 << 20)}, eq("__name__", "metric_007"), eq("instance", "nowhere"))
	require.Zero(t, none)
	require.Positive(t, fetched)
	bare, _ := sel(&blocks.Query{LabelsOnly: true}, eq("__name__", "metric_007"))
	require.Less(t, bare, metric)
}

func TestBudget(t *testing.T) {
	budget := blocks.NewBudget(10)
	require.True(t, budget.Take(4))
	require.False(t, budget.Take(7))
	require.True(t, budget.Take(6))
	require.False(t, (*blocks.Budget)(nil).Take(1))
}

func TestLabels(t *testing.T) {
	m, b := build(t, large(5, 30, 20))
	names, err := blocks.LabelNames(t.Context(), blocks.Bytes(b), m, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "instance", "job"}, names)
	is := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-0003")
	names, err = blocks.LabelNames(t.Context(), blocks.Bytes(b), m, []*labels.Matcher{is}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "instance", "job"}, names)
	values, err := blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "job", nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"job-0", "job-1", "job-2", "job-3", "job-4", "job-5", "job-6"}, values)
	values, err = blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "job", []*labels.Matcher{is}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"job-3"}, values)
	values, err = blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "absent", nil, nil)
	require.NoError(t, err)
	require.Empty(t, values)
	r := &counter{Bytes: b}
	_, err = blocks.LabelValues(t.Context(), r, m, "__name__", nil, nil)
	require.NoError(t, err)
	require.Equal(t, 1, r.stages)
	require.Less(t, r.bytes, int64(4096))
	sel, err := blocks.Select(t.Context(), r, m, &blocks.Query{Range: day.Range(), LabelsOnly: true})
	require.NoError(t, err)
	require.ErrorIs(t, sel.Series[0].Samples(&model.Columns{}, day.Range()), model.ErrInvalid)
}
