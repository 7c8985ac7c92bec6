package query

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// warmed is a queryable with caches over a bucket that counts.
type warmed struct {
	*Queryable
	counted *countblob.Driver
	bytes   *cache.Bucket
	parsed  *cache.Parsed[any]
	close   func()
}

// warm opens one; memory and dir as cache.BucketOptions have them.
func (w *world) warm(memory int64, dir string, from func(cache.Reader) cache.Reader, keepParsed bool) *warmed {
	parsed := int64(0)
	if keepParsed {
		parsed = 64 << 20
	}
	return w.warmSized(&cache.BucketOptions{MemoryBytes: memory, Dir: dir, KeepFree: 1}, from, parsed, nil)
}

// warmSized opens one of that size; parsedBytes of 0 keeps nothing parsed.
func (w *world) warmSized(opts *cache.BucketOptions, from func(cache.Reader) cache.Reader, parsedBytes int64, reg prometheus.Registerer) *warmed {
	counted := countblob.Wrap(w.driver, nil)
	bucket := blob.New(counted, nil)
	m := cache.NewMetrics(reg)
	below := cache.Reader(bucket)
	if from != nil {
		below = from(below)
	}
	bytes, err := cache.NewBucket(opts, cache.Components{From: below, Metrics: m})
	require.NoError(w.t, err)
	var parsed *cache.Parsed[any]
	if parsedBytes > 0 {
		parsed, err = cache.NewParsed[any](&cache.Options{MaxBytes: parsedBytes, TypicalBytes: 64 << 10, Metrics: m})
		require.NoError(w.t, err)
	}
	q, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: blocks.NewCache(bytes, parsed), Logs: bucket})
	require.NoError(w.t, err)
	return &warmed{q, counted, bytes, parsed, func() {
		require.NoError(w.t, q.Close())
		if parsed != nil {
			parsed.Close()
		}
		require.NoError(w.t, bytes.Close())
	}}
}

// ask counts what one call does.
func (q *warmed) ask(ctx context.Context, run func(context.Context, *Queryable)) (blockGets, otherGets int, e Explain) {
	q.counted.Reset()
	ctx, a := WithAccount(ctx)
	run(ctx, q.Queryable)
	q.views.cache.Settle()
	if q.parsed != nil {
		q.parsed.Settle()
	}
	for key, n := range q.counted.Stats().Keys {
		if strings.HasPrefix(key, "d/") {
			blockGets += n
		} else {
			otherGets += n
		}
	}
	return blockGets, otherGets, a.Explain()
}

// targets makes series of many targets with timestamps of their own, and values that do not compress.
func targets(seed uint64, n int, from, stepMs int64, samples int) iter.Seq2[blocks.BuildSeries, error] {
	r := rand.New(rand.NewPCG(seed, 5))
	return func(yield func(blocks.BuildSeries, error) bool) {
		var c model.Columns
		for _, name := range []string{"cpu", "disk", "mem"} {
			for i := range n {
				c.Reset()
				for k := range samples {
					c.Append(from+int64(i%50)*100+int64(k)*stepMs, r.Float64())
				}
				ls := labels.FromStrings(metricName, name, "instance", fmt.Sprintf("host-%05d", i), "job", fmt.Sprintf("job-%d", i%7))
				if !yield(blocks.BuildSeries{Labels: ls, Columns: &c}, nil) {
					return
				}
			}
		}
	}
}

func (w *world) flushTargets(gen uint64, day model.Day, from int64, series int) *blocks.Meta {
	var b strings.Builder
	p := &blocks.Params{Tenant: testTenant, Day: day, Writer: "w1", Generation: gen}
	m, err := blocks.Build(context.Background(), p, targets(gen, series, from, 60_000, 120), &b)
	require.NoError(w.t, err)
	_, err = w.bucket.Put(context.Background(), blocks.Key(m), []byte(b.String()))
	require.NoError(w.t, err)
	w.commit(m)
	return m
}

// TestWarm asks everything twice: the second time no request is made but those that ask whether roster, root and catalogs have
// changed, with memory, with copies and with both, and for selections of some KiB and of many MiB.
func TestWarm(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t)
	w.cfg.SpeculationBytes = 1 << 20 // so that the large ones go beyond it
	const days, perDay = 2, 3
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.setState("w1", catalog.Clean)
	var size int64
	for d := range model.Day(days) {
		for g := range uint64(perDay) {
			m := w.flushTargets(g+1, day0+d, (day0+d).Range().MinMs+int64(g)*7_200_000, 1000)
			size += m.Size
		}
	}
	asks := targetAsks(days, perDay)
	for _, c := range []struct {
		name   string
		memory int64
		dir    bool
	}{{"memory", 64 << 20, false}, {"copies", 0, true}, {"both", 64 << 20, true}} {
		for name, ask := range asks {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				dir := ""
				if c.dir {
					dir = t.TempDir()
				}
				q := w.warm(c.memory, dir, nil, c.memory > 0)
				defer q.close()
				run := func(ctx context.Context, q *Queryable) { ask(ctx, t, q) }
				cold, views, e := q.ask(w.ctx(), run)
				require.Positive(t, cold)
				if name != "names" { // of which each question reads the same series pages
					require.Zero(t, e.CacheHits, "hits of a cold query")
				}
				fetched := e.BytesFetched
				for n := 0; c.memory == 0 && len(copiesIn(t, dir)) < days*perDay; n++ {
					require.Less(t, n, 200, "copies of all blocks")
					q.ask(w.ctx(), run)
					q.bytes.Drain(t.Context())
				}
				warm, again, e := q.ask(w.ctx(), run)
				require.Zero(t, warm, "gets of blocks")
				require.LessOrEqual(t, again, views)
				require.Equal(t, again, q.counted.Stats().NotModified, "nothing but questions whether something has changed")
				require.Zero(t, e.BytesFetched)
				require.Positive(t, e.CacheHits)
				require.Zero(t, e.GetsByKind.Block)
				t.Logf("cold %d gets, %d bytes of %d; warm %d hits, %d bytes", cold, fetched, size, e.CacheHits, e.CacheBytes)
			})
		}
	}
}

// targetAsks are queries, small and large, over days of perDay blocks of 1,000 targets.
func targetAsks(days, perDay int) map[string]func(context.Context, *testing.T, *Queryable) {
	mint, maxt := t0, t0+int64(days)*model.MsPerDay-1
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	one := labels.MustNewMatcher(labels.MatchEqual, "instance", "host-00042")
	job := labels.MustNewMatcher(labels.MatchEqual, "job", "job-3")
	sel := func(back int64, want int, ms ...*labels.Matcher) func(context.Context, *testing.T, *Queryable) {
		return func(ctx context.Context, t *testing.T, q *Queryable) {
			querier, err := q.Querier(mint+back, maxt)
			require.NoError(t, err)
			defer querier.Close()
			set := querier.Select(ctx, true, nil, ms...)
			require.Equal(t, want, count(t, set))
		}
	}
	return map[string]func(context.Context, *testing.T, *Queryable){
		"one series":       sel(0, days*perDay*120, cpu, one),
		"part of a metric": sel(3_600_000, (days*perDay*120-60)*143, cpu, job),
		"a metric":         sel(0, days*perDay*120*1000, cpu),
		"no name":          sel(0, days*perDay*120*3, one),
		"everything":       sel(0, days*perDay*120*3000),
		"names": func(ctx context.Context, t *testing.T, q *Queryable) {
			querier, err := q.Querier(mint, maxt)
			require.NoError(t, err)
			defer querier.Close()
			names, _, err := querier.LabelNames(ctx, nil)
			require.NoError(t, err)
			require.Len(t, names, 3)
			values, _, err := querier.LabelValues(ctx, "instance", nil, cpu)
			require.NoError(t, err)
			require.Len(t, values, 1000)
			values, _, err = querier.LabelValues(ctx, metricName, nil)
			require.NoError(t, err)
			require.Len(t, values, 3)
		},
	}
}

// count decodes the series and returns their samples.
func count(t *testing.T, set storage.SeriesSet) int {
	t.Helper()
	n, err := tally(set)
	require.NoError(t, err)
	return n
}

func tally(set storage.SeriesSet) (samples int, err error) {
	var c model.Columns
	for set.Next() {
		s := set.At().(*series)
		c.Reset()
		for _, p := range s.parts {
			if err := p.Samples(&c, s.r); err != nil {
				return 0, err
			}
		}
		samples += c.Len()
	}
	return samples, set.Err()
}

func copiesIn(t testing.TB, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".copy") {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names
}

// TestColdThroughCaches: what is asked for the first time takes the requests and the bytes that it takes without caches, a
// directory for copies or not.
func TestColdThroughCaches(t *testing.T) {
	w := newWorld(t)
	const days, perDay = 1, 3
	for g := range uint64(perDay) {
		w.flushTargets(g+1, day0, day0.Range().MinMs+int64(g)*7_200_000, 1000)
	}
	for _, w.cfg.SpeculationBytes = range []int64{1, 1 << 30} { // in between it is chance which blocks get it
		for name, ask := range targetAsks(days, perDay) {
			if name == "names" {
				continue // several calls, of which the later ones may find what the first one read
			}
			counted := countblob.Wrap(w.driver, nil)
			bucket := blob.New(counted, nil)
			plain, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: blocks.Stored{Bucket: bucket}, Logs: bucket})
			require.NoError(t, err)
			ctx, a := WithAccount(w.ctx())
			ask(ctx, t, plain)
			require.NoError(t, plain.Close())
			want := a.Explain()
			for _, dir := range []string{"", t.TempDir()} {
				q := w.warm(64<<20, dir, nil, true)
				_, _, e := q.ask(w.ctx(), func(ctx context.Context, q *Queryable) { ask(ctx, t, q) })
				require.Equal(t, want, e, name)
				q.close()
			}
		}
	}
}
