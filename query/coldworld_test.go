package query

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// The shape of the data of TestColdReads: two writers that each flush every two hours for 31 days, 2,003 metrics.
const (
	coldDays    = 31
	coldWriters = 2
	coldFlush   = int64(2 * time.Hour / time.Millisecond)
	coldScrape  = int64(10 * time.Minute / time.Millisecond)
	coldMetrics = 2_000 // of one series; those named below are on top
	coldSome    = 200   // series of "some" of a writer
	coldHuge    = 25_000
	// Labels of "big" are so long that its series pages are more than is scanned for one metric: its postings are asked.
	coldBig      = 25_000
	coldBigLabel = 200 // random bytes
)

// coldWorld fills a bucket, and returns the blocks with their bytes. "huge" and "big" exist in the last flush only.
func coldWorld(t *testing.T, w *world) []coldBlock {
	var all []coldBlock
	for day := range model.Day(coldDays) {
		r := (day0 + day).Range()
		for from := r.MinMs; from < r.MaxMs; from += coldFlush {
			for writer := range coldWriters {
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
			p := &blocks.Params{Tenant: testTenant, Day: b.day, Writer: fmt.Sprintf("w%d", b.writer), Generation: uint64(i/coldWriters + 1)}
			series := coldSeries(rand.New(rand.NewPCG(7, uint64(i))), b.writer, b.from, i >= len(all)-coldWriters)
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

// coldSeries yields the series of one block.
func coldSeries(r *rand.Rand, writer int, from int64, last bool) iter.Seq2[blocks.BuildSeries, error] {
	var c model.Columns
	// Scrape targets have timestamps of their own.
	times := make([][]int64, 20)
	for i := range times {
		for t := from + r.Int64N(5_000); t < from+coldFlush-10_000; t += coldScrape {
			times[i] = append(times[i], t)
		}
	}
	return func(yield func(blocks.BuildSeries, error) bool) {
		metric := func(name string, series int, more func(i int) []string) bool {
			for i := range series {
				c.Reset()
				for _, t := range times[i%len(times)] {
					c.Append(t, r.Float64())
				}
				pairs := []string{metricName, name, "instance", fmt.Sprintf("host-%05d", i), "job", fmt.Sprintf("job-%d", i%7), "writer", fmt.Sprint(writer)}
				if more != nil {
					pairs = append(pairs, more(i)...)
				}
				if !yield(blocks.BuildSeries{Labels: labels.FromStrings(pairs...), Columns: &c}, nil) {
					return false
				}
			}
			return true
		}
		noise := make([]byte, coldBigLabel)
		long := func(i int) []string {
			for i := range noise {
				noise[i] = byte(r.Uint32())
			}
			// The order of the series is that of this label, the first of the alphabet.
			return []string{"id", fmt.Sprintf("%05d-%s", i, base64.StdEncoding.EncodeToString(noise))}
		}
		for i := range coldMetrics / 2 {
			if !metric(fmt.Sprintf("a_metric_%04d", i), 1, nil) {
				return
			}
		}
		if last && !(metric("big", coldBig, long) && metric("huge", coldHuge, nil)) || !metric("some", coldSome, nil) {
			return
		}
		for i := range coldMetrics / 2 {
			if !metric(fmt.Sprintf("z_metric_%04d", i), 1, nil) {
				return
			}
		}
	}
}

// coldBlock is a block whose page tables the test reads by itself.
type coldBlock struct {
	from   int64
	day    model.Day
	writer int
	meta   *blocks.Meta
	data   []byte
	parsed []rowPage // of a parquet block, once asked for
}

func (b *coldBlock) section(s blocks.Section) []byte { return b.data[s.Offset:s.End()] }

// need is what of a block a selection is made of.
type need struct {
	// bytes are the compressed pages that hold a series that is selected, a chunk of it with a sample in the range, or the
	// timestamps of such a chunk.
	bytes  int64
	series int
	// gaps are those between needed chunk pages, and between needed series pages, of more than 64 KiB and of more bytes than are
	// needed beside them.
	gaps int
	// windows are those of a parquet block that the range overlaps; a hot block counts as one.
	windows int
}

// needs finds out what of the block the matchers select in the range, from nothing but the pages.
func (b *coldBlock) needs(t *testing.T, r model.TimeRange, ms []*labels.Matcher) (n need) {
	if b.meta.Format == blocks.Parquet {
		return b.needsRows(t, r, ms)
	}
	n.windows = 1
	runs, runPages, _, err := native.ParseRuns(b.section(b.meta.Runs))
	require.NoError(t, err)
	inside := make([]bool, len(runs))
	for i, run := range runs {
		times, err := chunk.DecodeRun(nil, run)
		require.NoError(t, err)
		inside[i] = slices.ContainsFunc(times, r.Contains)
	}
	usedRuns := make([]bool, len(runs))
	chunks := map[native.PageRef]bool{}
	var seriesPages, chunkPages []blob.Range
	at := b.meta.SeriesPages.Offset
	for rest := b.section(b.meta.SeriesPages); len(rest) > 0; {
		raw, size, err := page.Decode(nil, rest, page.Series)
		require.NoError(t, err)
		p, err := index.ParsePage(raw)
		require.NoError(t, err)
		g, err := native.Locate(p, native.Section(b.meta.Chunks))
		require.NoError(t, err)
		before := n.series
		require.NoError(t, p.Scan(ms, func(i int, _ *index.Entry) error {
			refs := g.Of(i)
			require.Len(t, refs, 1, "the data are such that a series has one chunk, with a shared run")
			require.False(t, refs[0].Inline)
			if inside[refs[0].Run] {
				n.series++
				chunks[g.Pages[refs[0].Page]], usedRuns[refs[0].Run] = true, true
			}
			return nil
		}))
		if n.series > before {
			seriesPages = append(seriesPages, blob.Range{Offset: at, Length: int64(size)})
		}
		at, rest = at+int64(size), rest[size:]
	}
	for ref := range chunks {
		chunkPages = append(chunkPages, blob.Range(ref))
	}
	from := 0
	for _, p := range runPages {
		if slices.Contains(usedRuns[from:p.End], true) {
			n.bytes += p.Length
		}
		from = p.End
	}
	for _, pages := range [][]blob.Range{seriesPages, chunkPages} {
		bytes, gaps := weigh(pages)
		n.bytes, n.gaps = n.bytes+bytes, n.gaps+gaps
	}
	return n
}

// weigh adds up the pages, and counts the gaps between them that are worth a request.
func weigh(pages []blob.Range) (bytes int64, gaps int) {
	slices.SortFunc(pages, func(a, b blob.Range) int { return int(a.Offset - b.Offset) })
	var stretches []blob.Range // of pages without a gap
	for _, p := range pages {
		bytes += p.Length
		if n := len(stretches); n > 0 && stretches[n-1].Offset+stretches[n-1].Length == p.Offset {
			stretches[n-1].Length += p.Length
			continue
		}
		stretches = append(stretches, p)
	}
	for i := 1; i < len(stretches); i++ {
		a, b := stretches[i-1], stretches[i]
		if gap := b.Offset - a.Offset - a.Length; gap > max(64<<10, min(a.Length, b.Length)) {
			gaps++
		}
	}
	return bytes, gaps
}

// speculation is what of the block is fetched on suspicion of holding the metric, while the budget lasts.
func (b *coldBlock) speculation(name string, r model.TimeRange) int64 {
	lo, hi := index.FindMetric(b.meta.Directory, name)
	if lo >= hi {
		return 0
	}
	if b.meta.Format == blocks.Parquet {
		return b.speculatedRows(name, lo, hi, r)
	}
	end := b.meta.Chunks.End()
	if hi < len(b.meta.Directory) {
		end = b.meta.Directory[hi].ChunkOffset
	}
	return end - b.meta.Directory[lo].ChunkOffset
}
