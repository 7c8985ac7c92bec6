package blocks

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// rowInput is one parquet block of a merge, or the block of a RollupReader. Of the series pages it reads a window at a time; of the row groups, with one call for each
// series page, the stripes of all its series, which it keeps as they are stored. So it holds the rows of a range at most, compressed, and
// one decoded stripe of each window: series ascend, and with them the rows of each window.
type rowInput struct {
	seriesWalk
	aggregates []model.Aggregate // those that are read; of samples one, which says nothing

	group  *parquet.Group
	stored map[int64][][][]byte // of the stripes of the group, by Key, for each aggregate
	open   [parquet.Windows]openRows

	readRows int64
}

// openRows is the decoded stripe of a window, for each aggregate.
type openRows struct {
	key  int64
	rows []parquet.Rows
	ok   bool
}

func newRowInput(r RangeReader, m *Meta, priority int, budget int64, sequential bool) *rowInput {
	return &rowInput{aggregates: make([]model.Aggregate, 1), seriesWalk: seriesWalk{m: m, priority: priority, series: stream{
		r: r, key: Key(m), window: min(max(budget*seriesShare/8, 16<<10), maxWindow), sequential: sequential,
		off: m.SeriesPages.Offset, next: m.SeriesPages.Offset, end: m.SeriesPages.End(),
	}}}
}

func (in *rowInput) close()      { in.series.close() }
func (in *rowInput) read() int64 { return in.series.off - in.m.SeriesPages.Offset + in.readRows }

// fetchFirst does not send for the second window, which would have to be there before the context ends: begin does.
func (in *rowInput) fetchFirst(ctx context.Context) (err error) {
	s := &in.series
	rg := blob.Range{Offset: s.off, Length: min(s.window, s.end-s.off)}
	if s.have, err = readOne(ctx, s.r, s.key, rg); err == nil {
		s.next += rg.Length
	}
	return err
}

func (in *rowInput) begin(ctx context.Context) (bool, error) {
	in.series.prefetch(ctx)
	return in.next(ctx)
}

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
		in.group, err = parquet.Locate(p, parquet.Section(in.m.Chunks), in.m.Format.rows())
		return err
	})
	if err != nil {
		return err
	}
	return in.fetchStripes(ctx)
}

// fetchStripes reads the stripes of the group, but for those of the group before, and forgets all others.
func (in *rowInput) fetchStripes(ctx context.Context) error {
	kept := map[int64][][][]byte{}
	var pages []pagePlace
	for w := range in.group.Stripes {
		for i := range in.group.Stripes[w] {
			st := &in.group.Stripes[w][i]
			stored := in.stored[st.Key()]
			if stored == nil {
				stored = make([][][]byte, len(in.aggregates))
				for k, a := range in.aggregates {
					refs := st.Needed(a)
					stored[k] = make([][]byte, len(refs))
					for j, ref := range refs {
						pages = append(pages, pagePlace{ref, &stored[k][j]})
					}
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
	err := in.each(func(rows []parquet.Rows, from, to int) error {
		if err := checkAscending(rows[0].T[from:to], dst.T[start:]); err != nil {
			return err
		}
		rows[0].Append(dst, from, to)
		return nil
	})
	in.readSamples += int64(len(dst.T) - start)
	return err
}

// each calls fn with the rows of the series, stripe by stripe: of each aggregate those from from to to.
func (in *rowInput) each(fn func(rows []parquet.Rows, from, to int) error) error {
	for w := range parquet.Windows {
		from, to := in.group.Rows(in.page.Place(), w)
		at := 0
		for i := range in.group.Stripes[w] {
			st := &in.group.Stripes[w][i]
			if lo, hi := max(from-at, 0), min(to-at, st.Rows); lo < hi {
				rows, err := in.rows(w, st)
				if err == nil {
					err = fn(rows, lo, hi)
				}
				if err != nil {
					return corruptAt(in.series.key, st.Key(), err)
				}
			}
			if at += st.Rows; at >= to {
				break
			}
		}
	}
	return nil
}

// rows returns the decoded stripe of the window.
func (in *rowInput) rows(w int, st *parquet.Stripe) ([]parquet.Rows, error) {
	o := &in.open[w]
	if o.ok && o.key == st.Key() {
		return o.rows, nil
	}
	if o.rows == nil {
		o.rows = make([]parquet.Rows, len(in.aggregates))
	}
	o.ok, o.key = false, st.Key()
	for i, a := range in.aggregates {
		if _, err := st.Decode(&o.rows[i], a, in.stored[st.Key()][i]); err != nil {
			return nil, err
		}
	}
	o.ok = true
	return o.rows, nil
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
