package blocks_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// counting counts reads and the bytes of them.
type counting struct {
	blocks.Bytes
	calls, ranges int
	bytes         int64
}

func (c *counting) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	c.calls++
	c.ranges += len(ranges)
	for _, r := range ranges {
		c.bytes += r.Length
	}
	return c.Bytes.ReadRanges(ctx, key, ranges)
}

func buildOf(t *testing.T, f blocks.Format, in []blocks.BuildSeries) (*blocks.Meta, []byte) {
	if f == blocks.Parquet {
		return buildParquet(t, in)
	}
	return build(t, in)
}

// TestMaskedLabels compares what is listed of masked blocks with what is left in them, sample by sample.
func TestMaskedLabels(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for n := range 60 {
		f := []blocks.Format{blocks.Native, blocks.Parquet}[n%2]
		var in []blocks.BuildSeries
		series := 1 + rng.IntN(40)
		if n%10 == 0 {
			series = 3000 // with postings
		}
		for i := range series {
			c := &model.Columns{}
			for at := int64(rng.IntN(40)); at < 100; at += 1 + int64(rng.IntN(40)) {
				c.Append(day.Range().MinMs+at, float64(i))
			}
			if c.Len() == 0 {
				continue
			}
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%4), "i", fmt.Sprintf("%04d", i), "only"+fmt.Sprint(i%7), "x"), Columns: c})
		}
		slices.SortFunc(in, func(a, b blocks.BuildSeries) int {
			return max(-1, min(1, labels.Compare(a.Labels, b.Labels)))
		})
		m, b := buildOf(t, f, in)
		var masks blocks.Masks
		for k := range 1 + rng.IntN(3) {
			r := model.TimeRange{MinMs: day.Range().MinMs + int64(rng.IntN(60)) - 10}
			r.MaxMs = r.MinMs + int64(rng.IntN(90))
			if rng.IntN(3) == 0 {
				r = day.Range()
			}
			selectors := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", fmt.Sprintf("m%d", rng.IntN(6)))}}
			if rng.IntN(2) == 0 {
				selectors = append(selectors, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "i", fmt.Sprintf("..%d.", rng.IntN(4)))})
			}
			masks = append(masks, blocks.Mask{ID: fmt.Sprint(k), Range: r, Selectors: selectors})
		}
		var matchers []*labels.Matcher
		if rng.IntN(2) == 0 {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "m1"))
		}
		names, values, listed := map[string]bool{}, map[string]bool{}, []string{}
		for _, s := range in {
			if len(matchers) > 0 && s.Labels.Get("__name__") == "m1" {
				continue
			}
			hidden := masks.Hidden(s.Labels, day.Range())
			if !slices.ContainsFunc(s.Columns.T, func(at int64) bool {
				return !slices.ContainsFunc(hidden, func(r model.TimeRange) bool { return r.Contains(at) })
			}) {
				continue
			}
			listed = append(listed, s.Labels.String())
			s.Labels.Range(func(l labels.Label) { names[l.Name] = true })
			values[s.Labels.Get("i")] = true
		}
		got, err := blocks.LabelNames(t.Context(), blocks.Bytes(b), m, matchers, masks)
		require.NoError(t, err)
		require.Equal(t, slices.Sorted(maps.Keys(names)), got)
		got, err = blocks.LabelValues(t.Context(), blocks.Bytes(b), m, "i", matchers, masks)
		require.NoError(t, err)
		require.Equal(t, slices.Sorted(maps.Keys(values)), got)
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), Matchers: matchers, Masks: masks, LabelsOnly: true})
		require.NoError(t, err)
		all := []string{}
		for _, s := range sel.Series {
			all = append(all, s.Labels().String())
		}
		sel.Close()
		require.Equal(t, listed, all)
	}
}

// TestMaskedLabelsCost: without masks nothing is read that was not before; a mask of what the block has not adds the look for it, and no chunk is read.
func TestMaskedLabelsCost(t *testing.T) {
	var in []blocks.BuildSeries
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		c := &model.Columns{}
		c.Append(day.Range().MinMs+int64(i), float64(i))
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%03d", i/100), "i", fmt.Sprintf("%06d-%x", i, rng.Uint64())), Columns: c})
	}
	for _, f := range []blocks.Format{blocks.Native, blocks.Parquet} {
		m, b := buildOf(t, f, in)
		cost := func(name string, want int, masks ...blocks.Mask) *counting {
			c := &counting{Bytes: b}
			got, err := blocks.LabelValues(t.Context(), c, m, name, nil, masks)
			require.NoError(t, err)
			require.Len(t, got, want)
			return c
		}
		mask := func(metric string, r model.TimeRange) blocks.Mask {
			return blocks.Mask{ID: "x", Range: r, Selectors: [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "__name__", metric)}}}
		}
		plain := cost("__name__", 200)
		require.Equal(t, 1, plain.calls)
		absent := cost("__name__", 200, mask("zzz", day.Range()))
		require.LessOrEqual(t, absent.bytes, plain.bytes+m.SeriesPages.Length/4, "format %d: %d series bytes", f, m.SeriesPages.Length)
		part := day.Range()
		part.MinMs += 5
		partial := cost("__name__", 200, mask("m000", part)) // a few of its series are left
		require.Less(t, partial.bytes, plain.bytes+m.SeriesPages.Length*5/2+m.Runs.Length+m.Chunks.Length, "format %d", f)
		cost("__name__", 199, mask("m001", part))
		whole := cost("__name__", 199, mask("m000", day.Range()))
		require.Less(t, whole.bytes, 2*m.SeriesPages.Length+plain.bytes, "no chunk is read")
	}
}
