package blocks_test

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// manyRanges is a day of several ranges: metrics of noise, one of them with more rows than a row group may have.
func manyRanges(big int) []blocks.BuildSeries {
	r := rand.New(rand.NewSource(5))
	var in []blocks.BuildSeries
	noise := func(n int) *model.Columns {
		c := &model.Columns{}
		for i := range n {
			c.Append(day.Range().MinMs+int64(i)*(model.MsPerDay/int64(n))+int64(r.Intn(40)), r.NormFloat64())
		}
		return c
	}
	shared := []*model.Columns{noise(5760), noise(5760), noise(5760)}
	for m := range 6 {
		n := 60
		if m == 3 {
			n = big
		}
		for s := range n {
			in = append(in, blocks.BuildSeries{
				Labels:  labels.FromStrings("__name__", fmt.Sprintf("metric_%d", m), "instance", fmt.Sprintf("host-%05d", s), "job", fmt.Sprintf("job-%d", s%7)),
				Columns: shared[s%3],
			})
		}
	}
	return in
}

// TestParquetStages holds P5: how many dependent reads a cold select takes, and how many bytes.
func TestParquetStages(t *testing.T) {
	m, b := buildParquet(t, manyRanges(1300))
	require.Greater(t, len(m.RowGroups), 12)
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	hour := int64(3600e3)
	whole, one := day.Range(), model.TimeRange{MinMs: m.MinT + 5*hour, MaxMs: m.MinT + 6*hour}
	for _, c := range []struct {
		name           string
		ms             []*labels.Matcher
		rg             model.TimeRange
		budget         int64
		stages, series int
	}{
		{"metric, speculated", []*labels.Matcher{eq("__name__", "metric_1")}, one, 4 << 20, 1, 60},
		{"metric behind a big one, speculated", []*labels.Matcher{eq("__name__", "metric_4")}, one, 3 << 16, 1, 60},
		{"metric, whole day", []*labels.Matcher{eq("__name__", "metric_1")}, whole, 0, 2, 60},
		{"series of a metric", []*labels.Matcher{eq("__name__", "metric_1"), eq("instance", "host-00003")}, whole, 0, 2, 1},
		{"series of a big metric", []*labels.Matcher{eq("__name__", "metric_3"), eq("instance", "host-01203")}, whole, 4 << 20, 2, 1},
		{"no such metric", []*labels.Matcher{eq("__name__", "metric_1x")}, whole, 0, 1, 0},
		{"no name", []*labels.Matcher{eq("instance", "host-00003")}, one, 0, 3, 6},
		{"no match", []*labels.Matcher{eq("instance", "nowhere")}, whole, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &counter{Bytes: b}
			q := &blocks.Query{Range: c.rg, Matchers: c.ms, Speculation: blocks.NewBudget(c.budget), Stats: &blocks.Stats{}}
			sel, err := blocks.Select(t.Context(), r, m, q)
			require.NoError(t, err)
			defer sel.Close()
			require.Len(t, sel.Series, c.series)
			if c.stages < 3 {
				require.Equal(t, c.stages, r.stages, "stages")
			}
			require.LessOrEqual(t, r.stages, c.stages)
			if c.budget == 0 {
				// Postings are the way to the answer, and no part of what it needs.
				require.LessOrEqual(t, r.bytes, 2*q.Stats.Needed.Load()+64<<10*int64(r.ranges)+m.Postings.Length)
			}
			stages := r.stages
			for _, s := range sel.Series {
				var col model.Columns
				require.NoError(t, s.Samples(&col, c.rg))
				if c.rg == whole {
					require.Len(t, col.T, 5760)
				}
			}
			require.Equal(t, stages, r.stages, "samples read nothing")
		})
	}
}

// TestParquetRanges holds how rows are laid out: whole metrics in ranges, and a big one in several.
func TestParquetRanges(t *testing.T) {
	in := manyRanges(1300)
	m, b := buildParquet(t, in)
	windows := map[int]int{}
	for i, g := range m.RowGroups {
		windows[g.Window]++
		require.Equal(t, i%6, g.Window, "a range is six row groups")
	}
	// 60 series are 57,600 rows a window: metrics 0, 1 and 2 fill a range, 1,092 series of metric 3 another, the rest of it a third, and
	// metrics 4 and 5 begin a fourth.
	require.Equal(t, map[int]int{0: 4, 1: 4, 2: 4, 3: 4, 4: 4, 5: 4}, windows)
	nm, nb := build(t, in)
	for _, ms := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-010[89].|host-00000|host-01299"),
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_4"),
	} {
		requireSame(t, blocks.Bytes(nb), blocks.Bytes(b), nm, m, day.Range(), ms)
	}
}

// TestParquetConcurrentSamples uses one selection from several goroutines, out of order, so that stripes are evicted and decoded again.
func TestParquetConcurrentSamples(t *testing.T) {
	in := manyRanges(100)
	m, b := buildParquet(t, in)
	want := map[string]*model.Columns{}
	for _, s := range in {
		want[s.Labels.String()] = s.Columns
	}
	sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range()})
	require.NoError(t, err)
	defer sel.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(g)))
			var c model.Columns
			for range 50 {
				s := sel.Series[r.Intn(len(sel.Series))]
				c.Reset()
				if err := s.Samples(&c, day.Range()); err != nil || !slices.Equal(c.V, want[s.Labels().String()].V) {
					errs <- fmt.Errorf("goroutine %d: wrong samples: %w", g, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
}

func TestParquetLabels(t *testing.T) {
	m, b := buildParquet(t, manyRanges(100))
	names, err := blocks.LabelNames(t.Context(), blocks.Bytes(b), m, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "instance", "job"}, names)
	is := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-00003")
	values, err := blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "job", []*labels.Matcher{is}, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"job-3"}, values)
	r := &counter{Bytes: b}
	values, err = blocks.LabelValues(t.Context(), r, m, "job", nil, nil)
	require.NoError(t, err)
	require.Len(t, values, 7)
	require.Equal(t, 1, r.stages)
	sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), LabelsOnly: true})
	require.NoError(t, err)
	require.ErrorIs(t, sel.Series[0].Samples(&model.Columns{}, day.Range()), model.ErrInvalid)
}
