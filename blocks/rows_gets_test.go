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

// bucketReader reads from a bucket and counts its requests.
type bucketReader struct {
	bucket *blob.Bucket
	stats  blob.ReadStats
	stages int
}

func (r *bucketReader) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	r.stages++
	return r.bucket.ReadRanges(ctx, key, ranges, &blob.ReadOptions{Stats: &r.stats})
}

// TestParquetGets holds the numbers of P5 on a block so noisy that its columns lie far apart: stages, requests for each window, and bytes.
func TestParquetGets(t *testing.T) {
	r := rand.New(rand.NewSource(11))
	var in []blocks.BuildSeries
	for m := range 5 {
		n := 30
		if m == 2 {
			n = 400 // of one metric: 576,000 rows a window
		}
		for s := range n {
			c := &model.Columns{}
			for i := range 8640 {
				c.Append(day.Range().MinMs+int64(i)*10_000+int64(r.Intn(3000)), math.Float64frombits(r.Uint64()>>2))
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("metric_%d", m), "host", fmt.Sprintf("host-%03d", s)), Columns: c})
		}
	}
	m, b := buildParquet(t, in)
	require.Len(t, m.RowGroups, 3*6, "metrics 0 and 1, metric 2 by itself, metrics 3 and 4")
	bucket := blob.New(mem.New(), nil)
	_, err := bucket.Put(t.Context(), blocks.Key(m), b)
	require.NoError(t, err)
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	re := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchRegexp, n, v) }
	hour := int64(3600e3)
	for _, c := range []struct {
		name string
		ms   []*labels.Matcher
	}{
		{"a metric", []*labels.Matcher{eq("__name__", "metric_1")}},
		{"a series", []*labels.Matcher{eq("__name__", "metric_4"), eq("host", "host-017")}},
		{"a series of a large metric", []*labels.Matcher{eq("__name__", "metric_2"), eq("host", "host-217")}},
		{"a tenth of a large metric", []*labels.Matcher{eq("__name__", "metric_2"), re("host", "host-.*7")}},
		{"far apart", []*labels.Matcher{eq("__name__", "metric_2"), re("host", "host-(003|200|399)")}},
		{"all", []*labels.Matcher{re("__name__", ".+")}},
	} {
		for _, hours := range []int64{1, 6, 24} {
			for _, budget := range []int64{0, blocks.DefaultSpeculation} {
				t.Run(fmt.Sprintf("%s, %d h, %d", c.name, hours, budget), func(t *testing.T) {
					rg := model.TimeRange{MinMs: m.MinT + 1, MaxMs: m.MinT + hours*hour}
					rd := &bucketReader{bucket: bucket}
					q := &blocks.Query{Range: rg, Matchers: c.ms, Speculation: blocks.NewBudget(budget), Stats: &blocks.Stats{}}
					sel, err := blocks.Select(t.Context(), rd, m, q)
					require.NoError(t, err)
					defer sel.Close()
					require.NotEmpty(t, sel.Series)
					needed, gets, fetched := q.Stats.Needed.Load(), rd.stats.Requests.Load(), rd.stats.Bytes.Load()
					windows := (hours + 3) / 4
					t.Logf("%d stages, %d gets of %d windows, %d bytes needed, %d fetched", rd.stages, gets, windows, needed, fetched)
					require.LessOrEqual(t, rd.stages, 2)
					// Stripes of one window that are not needed make gaps; series far apart are three places.
					places := int64(1)
					if c.name == "far apart" || c.name == "a tenth of a large metric" {
						places = 3
					}
					require.LessOrEqual(t, gets, 1+4*windows*places)
					require.LessOrEqual(t, fetched, 2*needed+64<<10*gets+budget)
				})
			}
		}
	}
}
