package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// rowInput is one parquet block of a merge. Of the series pages it reads a window at a time; of the row groups, with one call for each
// series page, the stripes of all its series, which it keeps as they are stored. So it holds the rows of a range at most, compressed, and
// one decoded stripe of each window: series ascend, and with them the rows of each window.
type rowInput struct {
	seriesWalk

	group  *parquet.Group
	stored map[int64][][]byte // of the stripes of the group, by Key
	open   [parquet.Windows]openRows

	readRows int64
}

// openRows is the decoded stripe of a window.
type openRows struct {
	key  int64
	rows parquet.Rows
	ok   bool
}

func newRowInput(r RangeReader, m *Meta, priority int, budget int64, sequential bool) *rowInput {
	return &rowInput{seriesWalk: seriesWalk{m: m, priority: priority, series: stream{
		r: r, key: Key(m), window: min(max(budget*seriesShare/8, 16<<10), maxWindow), sequential: sequential,
		off: m.SeriesPages.Offset, next: m.SeriesPages.Offset, end: m.SeriesPages.End(),
	}}}
}

func (in *rowInput) close()      { in.series.close() }
func (in *rowInput) read() int64 { return in.series.off - in.m.SeriesPages.Offset + in.readRows }

func (in *rowInput) fetchFirst(ctx context.Context) error {
	_, err := in.series.peek(ctx, page.HeadSize)
	return err
}

func (in *rowInput) begin(ctx context.Context) (bool, error) { return in.next(ctx) }

func (in *rowInput) next(ctx context.Context) (bool, error) {
	ok, err := in.walk(ctx, in.nextPage)
	if !ok && err == nil {
		// Columns that samples are not made of are passed over.
		in.readRows = in.m.Chunks.Length
	}
	return ok, err
}

func (in *rowInput) nextPage(ctx context.Context) error {
	err := in.openPage(ctx, func(p *index.Page) (err error) {
		in.group, err = parquet.Locate(p, parquet.Section(in.m.Chunks))
		return err
	})
	if err != nil {
		return err
	}
	return in.fetchStripes(ctx)
}

// fetchStripes reads the stripes of the group, but for those of the group before, and forgets all others.
func (in *rowInput) fetchStripes(ctx context.Context) error {
	kept := map[int64][][]byte{}
	var pages []pagePlace
	for w := range in.group.Stripes {
		for i := range in.group.Stripes[w] {
			st := &in.group.Stripes[w][i]
			stored := in.stored[st.Key()]
			if stored == nil {
				refs := st.Needed()
				stored = make([][]byte, len(refs))
				for j, ref := range refs {
					pages = append(pages, pagePlace{ref, &stored[j]})
				}
			}
			kept[st.Key()] = stored
		}
	}
	in.stored = kept
	return fetchPages(pages, func(ranges []blob.Range) ([][]byte, error) {
		for _, r := range ranges {
			in.readRows += r.Length
		}
		return readRanges(ctx, in.series.r, in.series.key, ranges)
	})
}

func (in *rowInput) samples(_ context.Context, dst *model.Columns) error {
	start := len(dst.T)
	for w := range parquet.Windows {
		from, to := in.group.Rows(in.page.Place(), w)
		at := 0
		for i := range in.group.Stripes[w] {
			st := &in.group.Stripes[w][i]
			if lo, hi := max(from-at, 0), min(to-at, st.Rows); lo < hi {
				rows, err := in.rows(w, st)
				if err == nil {
					err = checkAscending(rows.T[lo:hi], dst.T[start:])
				}
				if err != nil {
					return corruptAt(in.series.key, st.Key(), err)
				}
				rows.Append(dst, lo, hi)
			}
			if at += st.Rows; at >= to {
				break
			}
		}
	}
	in.readSamples += int64(len(dst.T) - start)
	return nil
}

// rows returns the decoded stripe of the window.
func (in *rowInput) rows(w int, st *parquet.Stripe) (*parquet.Rows, error) {
	o := &in.open[w]
	if o.ok && o.key == st.Key() {
		return &o.rows, nil
	}
	o.ok, o.key = false, st.Key()
	if _, err := st.Decode(&o.rows, in.stored[st.Key()]); err != nil {
		return nil, err
	}
	o.ok = true
	return &o.rows, nil
}

// checkAscending reports timestamps that do not ascend, or begin before the end of those before them.
func checkAscending(t, earlier []int64) error {
	last, have := int64(0), false
	if n := len(earlier); n > 0 {
		last, have = earlier[n-1], true
	}
	for _, at := range t {
		if have && at <= last {
			return fmt.Errorf("row at %d after %d: %w", at, last, model.ErrCorrupt)
		}
		last, have = at, true
	}
	return nil
}

// pagePlace is a page to fetch and where its bytes go.
type pagePlace struct {
	parquet.PageRef
	stored *[]byte
}

// fetchPages fetches pages, which it sorts, those that touch as one range.
func fetchPages(pages []pagePlace, fetch func([]blob.Range) ([][]byte, error)) error {
	slices.SortFunc(pages, func(a, b pagePlace) int { return int(a.Offset - b.Offset) })
	var ranges []blob.Range
	in := make([]int, len(pages)) // the range of each page
	for i, p := range pages {
		n := len(ranges) - 1
		if n >= 0 && ranges[n].Offset+ranges[n].Length >= p.Offset {
			ranges[n].Length = max(ranges[n].Length, p.Offset+p.Length-ranges[n].Offset)
		} else {
			ranges = append(ranges, blob.Range{Offset: p.Offset, Length: p.Length})
			n++
		}
		in[i] = n
	}
	data, err := fetch(ranges)
	if err != nil {
		return err
	}
	for i, p := range pages {
		at := p.Offset - ranges[in[i]].Offset
		*p.stored = data[in[i]][at : at+p.Length : at+p.Length]
	}
	return nil
}
