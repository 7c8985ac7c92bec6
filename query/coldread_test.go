package query

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestColdReads holds promise P5: a stone-cold querier over 744 blocks of two writers, instant to 31 days, one series to fifty
// thousand; then over the same data with every day compacted to parquet; then with blocks that came late on top. What is needed is computed
// here, from the page tables of the blocks; requests and bytes are what the bucket counted, and stages what its clock says.
func TestColdReads(t *testing.T) {
	if testing.Short() {
		t.Skip("builds 744 blocks")
	}
	w := newWorld(t)
	all := coldWorld(t, w)
	t.Run("hot", func(t *testing.T) { coldTable(t, w, all, 744) })
	days := w.compactCold(t, all)
	t.Run("parquet", func(t *testing.T) { coldTable(t, w, days, 31) })
	late := w.lateCold(t)
	t.Run("late", func(t *testing.T) { coldTable(t, w, append(days, late...), 31+31) })
}

// coldCase is a selector of the table.
type coldCase struct {
	name     string
	matchers []*labels.Matcher
	series   int
	names    []string // that the directory is asked for
	postings bool
}

func coldCases() []coldCase {
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	re := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchRegexp, n, v) }
	return []coldCase{
		{"one series", []*labels.Matcher{eq(metricName, "some"), eq("instance", "host-00042"), eq("writer", "0")}, 1, []string{"some"}, false},
		{"a metric of one series", []*labels.Matcher{eq(metricName, "z_metric_0777")}, 2, []string{"z_metric_0777"}, false},
		{"a job of a metric", []*labels.Matcher{eq(metricName, "some"), eq("job", "job-3")}, 58, []string{"some"}, false},
		{"a metric", []*labels.Matcher{eq(metricName, "some")}, 400, []string{"some"}, false},
		{"three metrics", []*labels.Matcher{re(metricName, "a_metric_0001|some|z_metric_0900")}, 404, []string{"a_metric_0001", "some", "z_metric_0900"}, false},
		{"50,000 series", []*labels.Matcher{eq(metricName, "huge")}, 50_000, []string{"huge"}, false},
		{"a seventh of 50,000 series", []*labels.Matcher{eq(metricName, "huge"), eq("job", "job-3")}, 7_142, []string{"huge"}, false},
		{"three of 50,000 series, far apart", []*labels.Matcher{eq(metricName, "huge"), eq("writer", "1"), re("instance", "host-(00001|12000|24999)")}, 3, []string{"huge"}, false},
		{"a big metric", []*labels.Matcher{eq(metricName, "big")}, 50_000, []string{"big"}, true},
		{"a few of a big metric", []*labels.Matcher{eq(metricName, "big"), re("instance", "host-(00042|17000)")}, 4, []string{"big"}, true},
		{"no name", []*labels.Matcher{eq("instance", "host-00142")}, 6, nil, true},
		{"no such metric", []*labels.Matcher{eq(metricName, "nothing")}, 0, []string{"nothing"}, false},
	}
}

// coldTable asks for every selector over every range. most is how many blocks 31 days have.
func coldTable(t *testing.T, w *world, all []coldBlock, most int) {
	const (
		minute = int64(time.Minute / time.Millisecond)
		hour   = 60 * minute
	)
	now := t0 + coldDays*model.MsPerDay - hour/2 + minute // a minute after a scrape
	for _, c := range coldCases() {
		for _, span := range []struct {
			name string
			back int64
		}{{"instant", 5 * minute}, {"1h", hour}, {"24h", 24 * hour}, {"7d", 7 * 24 * hour}, {"31d", 31 * 24 * hour}} {
			t.Run(c.name+", "+span.name, func(t *testing.T) {
				touched := c.read(t, w, all, model.TimeRange{MinMs: now - span.back, MaxMs: now})
				require.True(t, span.name != "31d" || touched == most, "%d blocks", touched)
			})
		}
	}
	t.Run("expressions", func(t *testing.T) { coldExpressions(t, w, now) })
}

// read selects once and holds what that took against what it may take. It returns how many blocks have something of the range.
func (c *coldCase) read(t *testing.T, w *world, all []coldBlock, r model.TimeRange) int {
	const free = 64 << 10
	var total need
	var speculation int64
	touched := map[string]need{}
	for i := range all {
		b := &all[i]
		if !b.meta.Range().Overlaps(r) {
			continue
		}
		n := b.needs(t, r, c.matchers)
		touched[blocks.Key(b.meta)] = n
		total.bytes, total.series = total.bytes+n.bytes, total.series+n.series
		for _, name := range c.names {
			speculation += b.speculation(name, r)
		}
	}
	stages, postings := 2, 0
	if speculation > blocks.DefaultSpeculation || len(c.names) == 0 {
		stages++
	}
	if c.postings {
		stages, postings = stages+1, len(c.matchers)
	}
	e, s := coldSelect(t, w, r, c.matchers, c.series)
	gets := 0
	for key, got := range s.Keys {
		if !strings.HasPrefix(key, "d/") {
			continue
		}
		gets += got
		n, ok := touched[key]
		require.True(t, ok, "%s has nothing of the range", key)
		require.LessOrEqual(t, got, 4*n.windows+postings+n.gaps, "%s: %d windows, %d gaps", key, n.windows, n.gaps)
	}
	bound := 2*total.bytes + free*int64(gets) + blocks.DefaultSpeculation
	t.Logf("%d blocks: %d stages of %d, %d gets of blocks of %d, %d bytes needed, %d fetched, %.2f of the bound, %d of catalogs",
		len(touched), e.Stages, stages, gets, e.Gets, total.bytes, e.BytesFetched, float64(e.BytesFetched)/float64(bound), e.CatalogBytes)
	require.LessOrEqual(t, e.Stages, stages)
	require.LessOrEqual(t, e.BytesFetched, bound)
	require.Zero(t, s.Requests[countblob.OpList])
	require.Zero(t, s.Requests[countblob.OpPut])
	// What the query says of itself is what the bucket and the page tables say.
	require.Equal(t, total.bytes, e.BytesNeeded)
	require.Equal(t, total.series, int(e.Series))
	require.Equal(t, s.Requests[countblob.OpGet], e.Gets)
	require.Equal(t, gets, e.GetsByKind.Block)
	require.Equal(t, s.Bytes, e.BytesFetched+e.CatalogBytes)
	days := 1 + int(model.DayOf(r.MaxMs)-model.DayOf(r.MinMs))
	require.LessOrEqual(t, e.Gets-gets, 2*(2+days), "roster, root and catalogs, read and confirmed")
	return len(touched)
}

// coldSelect selects from a queryable with nothing cached, and returns what that took by its own account and by that of the bucket, which
// agree on the stages.
func coldSelect(t *testing.T, w *world, r model.TimeRange, matchers []*labels.Matcher, want int) (e Explain, s countblob.Stats) {
	t.Helper()
	s, stages := w.cold(t, func(ctx context.Context, t *testing.T, q *Queryable) {
		ctx, a := WithAccount(ctx)
		querier, err := q.Querier(r.MinMs, r.MaxMs)
		require.NoError(t, err)
		defer querier.Close()
		set, got := querier.Select(ctx, true, nil, matchers...), 0
		for set.Next() {
			got++
		}
		require.NoError(t, set.Err())
		require.Equal(t, want, got)
		e = a.Explain()
	})
	require.Equal(t, float64(e.Stages), stages, "by the clock")
	require.Equal(t, e.Stages, s.Stages)
	return e, s
}

// coldExpressions evaluates PromQL with engines of their own: the selectors of an expression are read together.
func coldExpressions(t *testing.T, w *world, now int64) {
	at := time.UnixMilli(now)
	for _, c := range []struct {
		expr   string
		back   time.Duration // of a range query
		stages int
	}{
		{`some{instance="host-00042"}`, 0, 2},
		{`sum by (job) (rate(some[30m])) / sum by (job) (rate(a_metric_0500[30m]))`, 0, 2},
		{`sum(a_metric_0001) + sum(a_metric_0002 offset 1h) - sum(z_metric_0003)`, time.Hour, 2},
		{`max_over_time(sum(rate(z_metric_0001[20m]))[6h:10m]) > bool sum(a_metric_0007)`, 0, 2},
		{`sum(rate(huge[30m])) / sum(rate(some[30m]))`, time.Hour, 3},
		{`sum by (writer) ({instance="host-00142"}) / sum by (writer) (some)`, time.Hour, 4},
	} {
		t.Run(c.expr, func(t *testing.T) {
			var e Explain
			s, stages := w.cold(t, func(ctx context.Context, t *testing.T, q *Queryable) {
				ctx, a := WithAccount(ctx)
				engine := NewEngine(nil, NewParser(), nil, nil)
				defer func() { require.NoError(t, engine.Close()) }()
				var p promql.Query
				var err error
				if c.back > 0 {
					p, err = engine.NewRangeQuery(ctx, q, nil, c.expr, at.Add(-c.back), at, time.Minute)
				} else {
					p, err = engine.NewInstantQuery(ctx, q, nil, c.expr, at)
				}
				require.NoError(t, err)
				defer p.Close()
				r := p.Exec(ctx)
				require.NoError(t, r.Err)
				require.NotContains(t, []string{"", "{}"}, strings.TrimSpace(r.Value.String()), "an answer")
				e = a.Explain()
			})
			t.Logf("%d stages, %d gets, %d bytes needed, %d fetched", e.Stages, e.Gets, e.BytesNeeded, e.BytesFetched)
			require.Equal(t, float64(e.Stages), stages, "by the clock: nothing that could be read at once is read one after the other")
			require.LessOrEqual(t, e.Stages, c.stages)
			require.Equal(t, s.Requests[countblob.OpGet], e.Gets)
		})
	}
}
