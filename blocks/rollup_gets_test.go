package blocks_test

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// noisyRollups are metrics of 5 m windows so noisy that their columns lie far apart; the third has big series. Max and increase of counters follow from last.
func noisyRollups(big int, counters bool) (in []blocks.BuildSeries) {
	r := rand.New(rand.NewSource(11))
	for m := range 5 {
		n := 150
		if m == 2 {
			n = big
		}
		for s := range n {
			x := &model.Rollup{}
			for at, last := day.Range().MinMs, 0.0; ; {
				v := [model.Aggregates]float64{model.Count: 20}
				for a := model.Sum; a < model.Aggregates; a++ {
					v[a] = r.NormFloat64()
				}
				if counters {
					v[model.Last] = last + math.Abs(v[model.Last])
					v[model.Max], v[model.Increase] = v[model.Last], v[model.Last]-last
					last = v[model.Last]
				}
				x.Append(at, &v, nil)
				next := model.WindowEnd(min(at+1, day.Range().MaxMs), 300_000)
				if next == at {
					break
				}
				at = next
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("metric_%d", m), "host", fmt.Sprintf("host-%04d", s), "job", fmt.Sprint("job-", s%7)), Rollup: x})
		}
	}
	return in
}

// TestRollupGets holds the numbers of P5 for rollups: stages, requests and bytes of a cold select, and that no column of another aggregate is fetched.
func TestRollupGets(t *testing.T) {
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	re := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchRegexp, n, v) }
	for _, counters := range []bool{false, true} {
		m, b := buildRollup(t, blocks.Rollup5m, noisyRollups(1400, counters))
		require.Len(t, m.RowGroups, 3, "metrics 0 and 1, metric 2 by itself, metrics 3 and 4")
		bucket := blob.New(mem.New(), nil)
		_, err := bucket.Put(t.Context(), blocks.Key(m), b)
		require.NoError(t, err)
		for _, c := range []struct {
			name           string
			ms             []*labels.Matcher
			places, stages int
		}{
			{"a metric", []*labels.Matcher{eq("__name__", "metric_1")}, 1, 2},
			{"a series", []*labels.Matcher{eq("__name__", "metric_4"), eq("host", "host-0017")}, 1, 2},
			{"a series of a large metric", []*labels.Matcher{eq("__name__", "metric_2"), eq("host", "host-0217")}, 1, 2},
			{"far apart", []*labels.Matcher{eq("__name__", "metric_2"), re("host", "host-(0003|0700|1399)")}, 3, 2},
			{"no name", []*labels.Matcher{eq("host", "host-0003")}, 3, 3},
			{"all", []*labels.Matcher{re("__name__", ".+")}, 3, 3},
		} {
			for a := range model.Aggregates {
				for _, budget := range []int64{0, blocks.DefaultSpeculation} {
					t.Run(fmt.Sprintf("counters %v, %s, %s, %d", counters, c.name, a, budget), func(t *testing.T) {
						rd := &bucketReader{bucket: bucket}
						q := &blocks.Query{Range: day.Range(), Matchers: c.ms, Aggregate: a, Speculation: blocks.NewBudget(budget), Stats: &blocks.Stats{}}
						sel, err := blocks.Select(t.Context(), rd, m, q)
						require.NoError(t, err)
						defer sel.Close()
						require.NotEmpty(t, sel.Series)
						needed, gets, fetched := q.Stats.Needed.Load(), rd.stats.Requests.Load(), rd.stats.Bytes.Load()
						t.Logf("%d stages, %d gets, %d bytes needed, %d fetched", rd.stages, gets, needed, fetched)
						require.LessOrEqual(t, rd.stages, c.stages)
						if c.name == "a metric" && budget > 0 {
							require.Equal(t, 1, rd.stages, "what the guess fetched is enough")
						}
						require.LessOrEqual(t, gets, int64(1+4*c.places+c.stages))
						require.LessOrEqual(t, fetched, 2*needed+64<<10*gets+budget+m.Postings.Length)
						for _, s := range sel.Series {
							require.NoError(t, s.Samples(&model.Columns{}, day.Range()))
						}
					})
				}
			}
		}
	}
}

// recorded notes what is asked for.
type recorded struct {
	blocks.RangeReader
	asked *[]blob.Range
}

func (r recorded) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	*r.asked = append(*r.asked, ranges...)
	return r.RangeReader.ReadRanges(ctx, key, ranges)
}

// TestRollupColumns: a reader of one aggregate asks for its columns and ts, and for last, and for a sum for count, only where it follows from them.
func TestRollupColumns(t *testing.T) {
	const texts, ts = 0, 1
	part := map[model.Aggregate]int{model.Last: 2, model.Increase: 3, model.Max: 4, model.Min: 5, model.Sum: 6, model.Count: 7}
	for _, counters := range []bool{false, true} {
		m, b := buildRollup(t, blocks.Rollup5m, noisyRollups(10, counters))
		for a := range model.Aggregates {
			for _, budget := range []int64{0, 64 << 20} {
				var asked []blob.Range
				rec := recorded{blocks.Bytes(b), &asked}
				sel, err := blocks.Select(t.Context(), rec, m, &blocks.Query{Range: day.Range(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_1")}, Aggregate: a, Speculation: blocks.NewBudget(budget)})
				require.NoError(t, err)
				sel.Close()
				want := map[int]bool{ts: true, part[a]: true}
				if counters && (a == model.Max || a == model.Increase) {
					want[part[model.Last]] = true
				}
				for _, g := range m.RowGroups {
					at := g.Offset
					for i, n := range g.Parts {
						for _, x := range asked {
							if x.Offset < at+n && at < x.Offset+x.Length {
								require.True(t, want[i], "%s asks for part %d, %v", a, i, want)
							}
						}
						at += n
					}
					require.Equal(t, g.Offset+g.Length, at)
				}
				require.False(t, want[texts])
			}
		}
	}
}

// TestRollupLabels: label calls are those of any block.
func TestRollupLabels(t *testing.T) {
	m, b := buildRollup(t, blocks.Rollup5m, noisyRollups(10, true))
	names, err := blocks.LabelNames(t.Context(), blocks.Bytes(b), m, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "host", "job"}, names)
	values, err := blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "job", []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "host", "host-0003")}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"job-3"}, values)
	values, err = blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "job", nil, nil)
	require.NoError(t, err)
	require.Len(t, values, 7)
}

// TestRollupRanges: a metric with more windows than a row group may have lies in several, and all are found, also by who has no list of row groups.
func TestRollupRanges(t *testing.T) {
	x := rolledUp(dayOf(1, "counter")[0].Columns, 300_000)
	var in []blocks.BuildSeries
	for i := range 4000 {
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%04d", i)), Rollup: x})
	}
	m, b := buildRollup(t, blocks.Rollup5m, in)
	require.Len(t, m.RowGroups, 2)
	unlisted := *m
	unlisted.RowGroups = nil
	for _, m := range []*blocks.Meta{m, &unlisted} {
		for _, i := range []string{"0000", "1999", "3999"} {
			for a := range model.Aggregates {
				r := &counter{Bytes: b}
				sel, err := blocks.Select(t.Context(), r, m, &blocks.Query{
					Range: day.Range(), Aggregate: a, Speculation: blocks.NewBudget(blocks.DefaultSpeculation), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"), labels.MustNewMatcher(labels.MatchEqual, "i", i)},
				})
				require.NoError(t, err)
				require.Len(t, sel.Series, 1)
				var c model.Columns
				require.NoError(t, sel.Series[0].Samples(&c, day.Range()))
				requireColumns(t, aggregateOf(x, a), &c, day.Range())
				require.LessOrEqual(t, r.stages, 2)
				sel.Close()
			}
		}
	}
	rd := blocks.NewRollupReader(t.Context(), blocks.Bytes(b), m, nil, &blocks.MergeOptions{ReadBytes: 1 << 20})
	defer rd.Close()
	n := 0
	for rd.Next() {
		require.Equal(t, in[n].Labels, rd.Labels())
		require.Equal(t, x.V[model.Increase], rd.Rollup().V[model.Increase])
		n++
	}
	require.NoError(t, rd.Err())
	require.Len(t, in, n)
}
