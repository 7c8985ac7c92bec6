package query

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// The shape of the data of TestColdReads: two writers that each flush every two hours for 31 days, 2,001 metrics and more.
const (
	coldDays    = 31
	coldFlush   = int64(2 * time.Hour / time.Millisecond)
	coldMetrics = 2_000 // of one series; "some" and, in the last four hours, "huge" are on top
	coldSome    = 200
	coldHuge    = 10_000 // a writer
	coldScrape  = 600_000
)

// coldSeries yields the series of one block.
func coldSeries(r *rand.Rand, writer int, from int64, huge bool) iter.Seq2[blocks.BuildSeries, error] {
	var c model.Columns
	// Scrape targets have timestamps of their own.
	times := make([][]int64, 20)
	for i := range times {
		for t := from + r.Int64N(5_000); t < from+coldFlush-10_000; t += coldScrape {
			times[i] = append(times[i], t)
		}
	}
	return func(yield func(blocks.BuildSeries, error) bool) {
		metric := func(name string, series int) bool {
			for i := range series {
				c.Reset()
				for _, t := range times[i%len(times)] {
					c.Append(t, r.Float64())
				}
				ls := labels.FromStrings(metricName, name, "instance", fmt.Sprintf("host-%05d", i), "job", fmt.Sprintf("job-%d", i%7), "writer", fmt.Sprint(writer))
				if !yield(blocks.BuildSeries{Labels: ls, Columns: &c}, nil) {
					return false
				}
			}
			return true
		}
		for i := range coldMetrics / 2 {
			if !metric(fmt.Sprintf("a_metric_%04d", i), 1) {
				return
			}
		}
		if huge && !metric("huge", coldHuge) || !metric("some", coldSome) {
			return
		}
		for i := range coldMetrics / 2 {
			if !metric(fmt.Sprintf("z_metric_%04d", i), 1) {
				return
			}
		}
	}
}

// coldWorld fills a bucket, and returns the blocks with their bytes.
func coldWorld(t *testing.T, w *world) []coldBlock {
	var all []coldBlock
	for day := range model.Day(coldDays) {
		r := (day0 + day).Range()
		for from := r.MinMs; from < r.MaxMs; from += coldFlush {
			for writer := range 2 {
				all = append(all, coldBlock{from: from, day: day0 + day, writer: writer})
			}
		}
	}
	var g errgroup.Group
	g.SetLimit(4)
	for i := range all {
		g.Go(func() error {
			b := &all[i]
			var out bytes.Buffer
			p := &blocks.Params{Tenant: testTenant, Day: b.day, Writer: fmt.Sprintf("w%d", b.writer), Generation: uint64(i/2 + 1)}
			series := coldSeries(rand.New(rand.NewPCG(7, uint64(i))), b.writer, b.from, i >= len(all)-4)
			m, err := blocks.Build(t.Context(), p, series, &out)
			if err != nil {
				return err
			}
			b.meta, b.data = m, out.Bytes()
			_, err = w.bucket.Put(t.Context(), blocks.Key(m), b.data)
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, b := range all {
		w.commit(b.meta)
	}
	return all
}

// coldBlock is a block whose page tables the test reads by itself.
type coldBlock struct {
	from   int64
	day    model.Day
	writer int
	meta   *blocks.Meta
	data   []byte
}

// needs are the compressed pages of the block that hold something that the matchers select: their bytes, the gaps of more than
// 64 KiB between them, and the number of series. All samples of a series in a block make one chunk here.
func (b *coldBlock) needs(t *testing.T, ms []*labels.Matcher) (bytes int64, gaps, series int) {
	section := func(s blocks.Section) []byte { return b.data[s.Offset:s.End()] }
	runs, runPages, _, err := native.ParseRuns(section(b.meta.Runs))
	require.NoError(t, err)
	used := make([]bool, len(runs))
	chunks := map[native.PageRef]bool{}
	var pages []blob.Range
	at := b.meta.SeriesPages.Offset
	for rest := section(b.meta.SeriesPages); len(rest) > 0; {
		raw, n, err := page.Decode(nil, rest, page.Series)
		require.NoError(t, err)
		p, err := index.ParsePage(raw)
		require.NoError(t, err)
		g, err := native.Locate(p, native.Section(b.meta.Chunks))
		require.NoError(t, err)
		before := series
		require.NoError(t, p.Scan(ms, func(i int, _ *index.Entry) error {
			series++
			for _, ref := range g.Of(i) {
				chunks[g.Pages[ref.Page]] = true
				if !ref.Inline {
					used[ref.Run] = true
				}
			}
			return nil
		}))
		if series > before {
			pages = append(pages, blob.Range{Offset: at, Length: int64(n)})
		}
		at, rest = at+int64(n), rest[n:]
	}
	for ref := range chunks {
		pages = append(pages, blob.Range(ref))
	}
	from, end := 0, b.meta.Runs.Offset
	for _, p := range runPages {
		if slices.Contains(used[from:p.End], true) {
			pages = append(pages, blob.Range{Offset: end, Length: p.Length})
		}
		from, end = p.End, end+p.Length
	}
	slices.SortFunc(pages, func(a, b blob.Range) int { return int(a.Offset - b.Offset) })
	for i, p := range pages {
		bytes += p.Length
		if i > 0 && p.Offset-pages[i-1].Offset-pages[i-1].Length > 64<<10 {
			gaps++
		}
	}
	return bytes, gaps, series
}

// speculation is what of the block is fetched on suspicion of holding the metric, while the budget lasts.
func (b *coldBlock) speculation(name string) int64 {
	lo, hi := index.FindMetric(b.meta.Directory, name)
	if lo >= hi {
		return 0
	}
	end := b.meta.Chunks.End()
	if hi < len(b.meta.Directory) {
		end = b.meta.Directory[hi].ChunkOffset
	}
	return end - b.meta.Directory[lo].ChunkOffset
}

// TestColdReads holds promise P5: a stone-cold querier over 744 blocks, instant to 31 days, one series to twenty thousand, and
// no right to list. What is needed is computed here from the page tables of the blocks.
func TestColdReads(t *testing.T) {
	if testing.Short() {
		t.Skip("builds 744 blocks")
	}
	const (
		hour    = int64(time.Hour / time.Millisecond)
		gap     = 64 << 10
		latency = 30 * time.Millisecond
	)
	w := newWorld(t)
	all := coldWorld(t, w)
	now := t0 + coldDays*model.MsPerDay - hour/2 + hour/60 // a minute after a scrape
	eq := func(n, v string) *labels.Matcher { return labels.MustNewMatcher(labels.MatchEqual, n, v) }
	one := []*labels.Matcher{eq(metricName, "some"), eq("instance", "host-00042"), eq("writer", "0")}
	job := []*labels.Matcher{eq(metricName, "some"), eq("job", "job-3")}
	some := []*labels.Matcher{eq(metricName, "some")}
	huge := []*labels.Matcher{eq(metricName, "huge")}
	part := []*labels.Matcher{eq(metricName, "huge"), eq("job", "job-3")}
	nameless := []*labels.Matcher{eq("instance", "host-00042")}
	lookback := hour / 12
	for _, c := range []struct {
		name     string
		matchers []*labels.Matcher
		back     int64
		series   int
	}{
		{"one series, instant", one, lookback, 1},
		{"one series, 1h", one, hour, 1},
		{"one series, 24h", one, 24 * hour, 1},
		{"one series, 7d", one, 7 * 24 * hour, 1},
		{"one series, 31d", one, 31 * 24 * hour, 1},
		{"a job of a metric, 24h", job, 24 * hour, 58},
		{"a job of a metric, 31d", job, 31 * 24 * hour, 58},
		{"a metric, instant", some, lookback, 400},
		{"a metric, 7d", some, 7 * 24 * hour, 400},
		{"a metric, 31d", some, 31 * 24 * hour, 400},
		{"20,000 series, instant", huge, lookback, 20_000},
		{"20,000 series, 1h", huge, hour, 20_000},
		{"20,000 series, 31d", huge, 31 * 24 * hour, 20_000},
		{"a seventh of 20,000, 24h", part, 24 * hour, 2_858},
		{"no name, 1h", nameless, hour, 4},
		{"no name, 7d", nameless, 7 * 24 * hour, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := model.TimeRange{MinMs: now - c.back, MaxMs: now}
			var needed, speculation int64
			touched, gaps := 0, 0
			named := c.matchers[0].Name == metricName
			for i := range all {
				b := &all[i]
				if !b.meta.Range().Overlaps(r) {
					continue
				}
				n, g, _ := b.needs(t, c.matchers)
				needed, gaps, touched = needed+n, gaps+g, touched+1
				if named {
					speculation += b.speculation(c.matchers[0].Value)
				}
			}
			stages, postings := 2, 0
			if speculation > blocks.DefaultSpeculation {
				stages++
			}
			if !named {
				stages, postings = 4, touched // postings, series pages, chunks
			}
			var e Explain
			s := coldQuery(t, w, latency, stages, func(q *Queryable) {
				ctx, a := WithAccount(tenant.NewContext(t.Context(), testTenant))
				querier, err := q.Querier(r.MinMs, r.MaxMs)
				require.NoError(t, err)
				defer querier.Close()
				set, got := querier.Select(ctx, true, nil, c.matchers...), 0
				for set.Next() {
					got++
				}
				require.NoError(t, set.Err())
				require.Equal(t, c.series, got)
				e = a.Explain()
			})
			gets := 0
			for key, n := range s.Keys {
				if strings.HasPrefix(key, "d/") {
					gets += n
				}
			}
			fetched := e.BytesFetched
			bound := 2*needed + gap*int64(gets) + blocks.DefaultSpeculation
			t.Logf("%d blocks: %d stages (%d by the clock), %d gets of blocks of %d, %d bytes needed, %d fetched, %.2f of the bound, %d of catalogs",
				touched, e.Stages, s.Stages, gets, e.Gets, needed, fetched, float64(fetched)/float64(bound), e.CatalogBytes)
			require.LessOrEqual(t, e.Stages, stages)
			require.Equal(t, needed, e.BytesNeeded, "the query's own idea of what it needed")
			require.Equal(t, s.Requests[countblob.OpGet], e.Gets)
			require.Equal(t, s.Bytes, e.BytesFetched+e.CatalogBytes)
			require.LessOrEqual(t, gets, 4*touched+gaps+postings)
			require.LessOrEqual(t, fetched, bound)
			require.Zero(t, s.Requests[countblob.OpList])
			require.Zero(t, s.Requests[countblob.OpPut])
		})
	}
}

// coldQuery runs a query on a queryable with nothing cached over a bucket with the latency and unlimited parallelism. Up to a day's blocks
// the clock must see as many stages as the account; more of them do not begin at one moment on a small machine.
func coldQuery(t *testing.T, w *world, latency time.Duration, stages int, run func(*Queryable)) (s countblob.Stats) {
	t.Helper()
	cfg := w.cfg
	cfg.MaxParallelBlocks = 4096
	for range 5 {
		counted := countblob.Wrap(w.driver, &countblob.Options{Latency: latency})
		bucket := blob.New(counted, &blob.Options{MaxInFlight: 4096})
		q, err := New(&cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: rangeReader{bucket}, Logs: bucket})
		require.NoError(t, err)
		run(q)
		require.NoError(t, q.Close())
		s = counted.Stats()
		if s.Stages <= stages || s.Requests[countblob.OpGet] > 200 {
			return s
		}
	}
	t.Fatalf("%d stages by the clock, want at most %d", s.Stages, stages)
	return s
}
