package query

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// compactCold merges the blocks of each day to one of parquet, as lifecycle does, and returns those.
func (w *world) compactCold(t *testing.T, all []coldBlock) []coldBlock {
	days := make([]coldBlock, coldDays)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range days {
		g.Go(func() error {
			b := &days[i]
			b.day = day0 + model.Day(i)
			inputs, ids := []*blocks.Meta{}, []string{}
			for _, in := range all {
				if in.day == b.day {
					inputs, ids = append(inputs, in.meta), append(ids, in.meta.ID)
				}
			}
			m := blocks.NewMerger(blocks.Stored{Bucket: w.bucket}, inputs, nil)
			defer m.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var out bytes.Buffer
			var err error
			b.meta, err = blocks.Build(ctx, blocks.MergeParams(inputs, blocks.Parquet, 0, 0), m.Series(ctx, func() bool { return true }), &out)
			if err != nil {
				return err
			}
			b.data = out.Bytes()
			if _, err = w.bucket.Put(ctx, blocks.Key(b.meta), b.data); err != nil {
				return err
			}
			_, err = w.store.Commit(ctx, testTenant, b.day, catalog.Replace{Inputs: ids, Outputs: []*blocks.Meta{b.meta}})
			return err
		})
	}
	require.NoError(t, g.Wait())
	return days
}

// lateCold adds to each day a hot block that came late: two hours of what writer 0 had flushed last.
func (w *world) lateCold(t *testing.T) (late []coldBlock) {
	for day := range model.Day(coldDays) {
		b := coldBlock{from: (day0 + day).Range().MaxMs + 1 - coldFlush, day: day0 + day}
		p := &blocks.Params{Tenant: testTenant, Day: b.day, Writer: "w0", Generation: 1 << 20}
		var out bytes.Buffer
		m, err := blocks.Build(t.Context(), p, coldSeries(rand.New(rand.NewPCG(8, uint64(day))), 0, b.from, false), &out)
		require.NoError(t, err)
		b.meta, b.data = m, out.Bytes()
		_, err = w.bucket.Put(t.Context(), blocks.Key(m), b.data)
		require.NoError(t, err)
		w.commit(m)
		late = append(late, b)
	}
	return late
}

// windows reports of each window of the day whether the range overlaps it.
func (b *coldBlock) windows(r model.TimeRange) (in [parquet.Windows]bool, n int) {
	r = r.Intersect(b.meta.Range())
	for w := range in {
		from := b.day.Range().MinMs + int64(w)*parquet.WindowMs
		if in[w] = r.Overlaps(model.TimeRange{MinMs: from, MaxMs: from + parquet.WindowMs - 1}); in[w] {
			n++
		}
	}
	return in, n
}

// needsRows is needs of a parquet block: series pages with a match, and of the stripes in which those have rows, in the windows of the range, the
// pages that samples are made of.
func (b *coldBlock) needsRows(t *testing.T, r model.TimeRange, ms []*labels.Matcher) (n need) {
	var in [parquet.Windows]bool
	in, n.windows = b.windows(r)
	var seriesPages, rowPages []blob.Range
	stripes := map[int64]bool{}
	for _, p := range b.rowPages(t) {
		before := n.series
		require.NoError(t, p.series.Scan(ms, func(i int, _ *index.Entry) error {
			found := false
			for w := range in {
				from, to := p.rows.Rows(i, w)
				if !in[w] || from == to {
					continue
				}
				found = true
				row := 0
				for j := range p.rows.Stripes[w] {
					st := &p.rows.Stripes[w][j]
					if row < to && from < row+st.Rows && !stripes[st.Key()] {
						stripes[st.Key()] = true
						for _, ref := range st.Needed(model.Count) {
							rowPages = append(rowPages, blob.Range(ref))
						}
					}
					row += st.Rows
				}
			}
			if found {
				n.series++
			}
			return nil
		}))
		if n.series > before {
			seriesPages = append(seriesPages, p.at)
		}
	}
	for _, pages := range [][]blob.Range{seriesPages, rowPages} {
		bytes, gaps := weigh(pages)
		n.bytes, n.gaps = n.bytes+bytes, n.gaps+gaps
	}
	return n
}

// rowPage is a series page of a parquet block, and where the rows of its series lie.
type rowPage struct {
	at     blob.Range
	series *index.Page
	rows   *parquet.Group
}

// rowPages returns those of the block, which it keeps.
func (b *coldBlock) rowPages(t *testing.T) []rowPage {
	if b.parsed != nil {
		return b.parsed
	}
	at := b.meta.SeriesPages.Offset
	for rest := b.section(b.meta.SeriesPages); len(rest) > 0; {
		raw, size, err := page.Decode(nil, rest, page.Series)
		require.NoError(t, err)
		p, err := index.ParsePage(raw)
		require.NoError(t, err)
		g, err := parquet.Locate(p, parquet.Section(b.meta.Chunks), parquet.Samples)
		require.NoError(t, err)
		b.parsed = append(b.parsed, rowPage{blob.Range{Offset: at, Length: int64(size)}, p, g})
		at, rest = at+int64(size), rest[size:]
	}
	return b.parsed
}

// speculatedRows is the size of the row groups, in the windows of the range, of the ranges that directory entries [lo, hi) lie in; not of the first if
// the metric begins with the next.
func (b *coldBlock) speculatedRows(metric string, lo, hi int, r model.TimeRange) (size int64) {
	if lo+1 < hi && b.meta.Directory[lo].FirstMetric != metric && b.meta.Directory[lo+1].FirstMetric == metric {
		lo++
	}
	in, _ := b.windows(r)
	from, to := b.meta.Directory[lo].ChunkOffset, b.meta.Chunks.End()
	i := slices.IndexFunc(b.meta.Directory[hi:], func(e index.DirEntry) bool { return e.ChunkOffset > b.meta.Directory[hi-1].ChunkOffset })
	if i >= 0 {
		to = b.meta.Directory[hi+i].ChunkOffset
	}
	for _, g := range b.meta.RowGroups {
		if g.Offset >= from && g.Offset < to && in[g.Window] {
			size += g.Length
		}
	}
	return size
}
