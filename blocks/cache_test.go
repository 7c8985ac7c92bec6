package blocks_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// shelf is a bucket of blocks that counts.
type shelf struct {
	objects map[string][]byte
	mu      sync.Mutex
	ranges  int
}

func (s *shelf) ReadRanges(ctx context.Context, key string, ranges []blob.Range, _ *blob.ReadOptions) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges += len(ranges)
	return blocks.Bytes(s.objects[key]).ReadRanges(ctx, key, ranges)
}

func (s *shelf) took() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.ranges
	s.ranges = 0
	return n
}

func caches(t *testing.T, from *shelf, opts cache.BucketOptions, fs *memfs.FS) (*blocks.Cache, *cache.Bucket) {
	c := cache.Components{From: from}
	if fs != nil {
		c.FS = fs
	}
	b, err := cache.NewBucket(&opts, c)
	require.NoError(t, err)
	parsed, err := cache.NewParsed[any](&cache.Options{MaxBytes: 8 << 20})
	require.NoError(t, err)
	t.Cleanup(parsed.Close)
	return blocks.NewCache(b, parsed), b
}

// TestCache asks many questions of a block in all orders and compares the answers with those without a cache.
func TestCache(t *testing.T) {
	m, b := build(t, large(20, 40, 200))
	s := &shelf{objects: map[string][]byte{blocks.Key(m): b}}
	c, _ := caches(t, s, cache.BucketOptions{MemoryBytes: 64 << 20}, nil)
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	hour := model.TimeRange{MinMs: day.Range().MinMs, MaxMs: day.Range().MinMs + 3_600_000}
	questions := []blocks.Query{
		{Range: day.Range(), Matchers: []*labels.Matcher{eq("__name__", "metric_007")}},
		{Range: hour, Matchers: []*labels.Matcher{eq("__name__", "metric_007")}},
		{Range: day.Range(), Matchers: []*labels.Matcher{eq("__name__", "metric_007"), eq("instance", "host-0003")}},
		{Range: day.Range(), Matchers: []*labels.Matcher{eq("__name__", "metric_007"), labels.MustNewMatcher(labels.MatchNotEqual, "instance", "host-0003")}},
		{Range: hour, Matchers: []*labels.Matcher{eq("instance", "host-0003")}},
		{Range: day.Range(), Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "metric_00[1-9]")}},
		{Range: day.Range(), Matchers: []*labels.Matcher{eq("__name__", "metric_007")}, LabelsOnly: true},
		{Range: day.Range(), Matchers: []*labels.Matcher{eq("__name__", "nothing")}},
	}
	answer := func(r blocks.RangeReader, q blocks.Query) (out []string, needed int64) {
		q.Speculation, q.Stats = blocks.NewBudget(100<<10), &blocks.Stats{}
		sel, err := blocks.Select(t.Context(), r, m, &q)
		require.NoError(t, err)
		defer sel.Close()
		for _, x := range sel.Series {
			var c model.Columns
			if !q.LabelsOnly {
				require.NoError(t, x.Samples(&c, q.Range))
			}
			out = append(out, fmt.Sprint(x.Labels(), c))
		}
		return out, q.Stats.Needed.Load()
	}
	var all sync.WaitGroup
	for n := range 6 {
		order := slices.Clone(questions)
		slices.Reverse(order[n:])
		all.Go(func() {
			for _, q := range order {
				want, wantNeeded := answer(blocks.Bytes(b), q)
				got, needed := answer(c, q)
				require.Equal(t, want, got)
				require.Equal(t, wantNeeded, needed)
			}
		})
	}
	all.Wait()
	s.took()
	for _, q := range questions {
		answer(c, q)
	}
	require.Zero(t, s.took())
}

// TestCopies copies a block of each format, and one that is spoiled in its footer.
func TestCopies(t *testing.T) {
	for _, build := range []func(testing.TB, []blocks.BuildSeries) (*blocks.Meta, []byte){build, buildParquet} {
		m, b := build(t, large(20, 40, 200))
		for _, at := range []int64{-1, 0, m.Postings.End() + 5} {
			s := &shelf{objects: map[string][]byte{blocks.Key(m): slices.Clone(b)}}
			if at >= 0 {
				s.objects[blocks.Key(m)][at] ^= 4
			}
			c, bucket := caches(t, s, cache.BucketOptions{Dir: "/cache", KeepFree: 1}, memfs.New())
			for range 4 {
				s.took()
				sel, err := blocks.Select(t.Context(), c, m, &blocks.Query{Range: day.Range(), LabelsOnly: true, Matchers: []*labels.Matcher{
					labels.MustNewMatcher(labels.MatchEqual, "instance", "host-0003"),
				}})
				require.NoError(t, err)
				require.Len(t, sel.Series, 20)
				sel.Close()
				sel, err = blocks.Select(t.Context(), c, m, &blocks.Query{Range: day.Range()})
				require.NoError(t, err)
				sel.Close()
				bucket.Drain(t.Context())
			}
			if at < 0 {
				require.Zero(t, s.took(), "format %d", m.Format)
			} else {
				require.Positive(t, s.took(), "format %d, byte %d", m.Format, at)
			}
			require.NoError(t, bucket.Close())
		}
	}
}
