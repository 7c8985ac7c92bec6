package blocks

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/parquet"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// rowSelector is one Select of a parquet block at work. It plans as for a hot block; series pages tell where rows lie, page by
// page, so that the Parquet footer is never read.
type rowSelector struct {
	selector
	rows *rowSelection
	// windows are those that overlap the range, bit w for window w.
	windows uint8
}

func selectRows(ctx context.Context, r RangeReader, m *Meta, q *Query, rng model.TimeRange) (*model.Selection, error) {
	if m.Format.ResolutionMs() > 0 && q.Aggregate >= model.Aggregates {
		return nil, fmt.Errorf("select from block %s: %s: %w", m.ID, q.Aggregate, model.ErrInvalid)
	}
	h := &held{memory: model.MemoryOf(ctx)}
	s := &rowSelector{selector: selector{r: r, m: m, q: q, key: Key(m), rng: rng, warm: warmOf(r, m), held: h}, windows: windowsOf(m, rng)}
	s.rows = &rowSelection{key: s.key, rng: rng, aggregate: q.Aggregate, stripes: map[int64]*rowStripe{}, held: h}
	if s.warm != nil {
		s.r = s.warm
	}
	stretches, err := s.plan(ctx)
	if err == nil && len(stretches) > 0 {
		if err = s.scan(ctx, stretches); err == nil {
			err = s.fetchRows(ctx)
		}
	}
	if err != nil {
		h.close()
		s.warm.distrust(err)
		return nil, err
	}
	if q.Stats != nil {
		q.Stats.Series.Add(int64(len(s.rows.series)))
		q.Stats.Needed.Add(s.seriesHits + s.rows.needed())
	}
	return s.rows.result(), nil
}

// windowsOf returns the windows of the block's day that overlap the range.
func windowsOf(m *Meta, r model.TimeRange) (windows uint8) {
	begin, length := m.Day.Range().MinMs, m.Format.rows().WindowMs()
	for w := range m.Format.rows().Windows() {
		from := begin + int64(w)*length
		if r.Overlaps(model.TimeRange{MinMs: from, MaxMs: from + length - 1}) {
			windows |= 1 << w
		}
	}
	return windows
}

// scan fetches the series pages of the stretches, with speculated row groups, and finds the series in them.
func (s *rowSelector) scan(ctx context.Context, stretches []stretch) error {
	ranges := make([]blob.Range, len(stretches))
	for i, st := range stretches {
		ranges[i] = st.series
	}
	ranges = s.guess(ranges, stretches)
	pages, err := s.takeFetch(ranges, len(stretches))
	if err != nil {
		return err
	}
	data, err := s.fetch(ctx, ranges)
	if err != nil {
		return err
	}
	for i := len(stretches); i < len(data); i++ {
		s.speculated = append(s.speculated, fetched{ranges[i].Offset, data[i]})
	}
	for i, b := range data[:len(stretches)] {
		if err := s.scanPages(ranges[i].Offset, b); err != nil {
			return err
		}
	}
	s.held.give(pages)
	return s.takeSeries()
}

// guess appends the row groups of the stretches, as far as the budget goes, those of a stretch all or none.
func (s *rowSelector) guess(ranges []blob.Range, stretches []stretch) []blob.Range {
	if s.q.LabelsOnly {
		return ranges
	}
	done := int64(0) // ranges of row groups ascend, and neighbours may share one
	for _, st := range stretches {
		if st.chunks.Offset == 0 {
			continue // all series pages, in place of postings: no guess
		}
		var fresh []blob.Range
		size := int64(0)
		for _, r := range s.m.rowsOf(st, s.windows, s.q.Aggregate) {
			if skip := done - r.Offset; skip > 0 {
				r.Offset, r.Length = r.Offset+skip, r.Length-skip
			}
			if r.Length > 0 && !s.warm.has(r) {
				size += r.Length + passedOver(fresh, r)
				fresh = append(fresh, r)
			}
		}
		if len(fresh) > 0 && s.q.Speculation.Take(size+passedOver(fresh, st.series)) {
			ranges = append(ranges, fresh...)
			last := fresh[len(fresh)-1]
			done = last.Offset + last.Length
		}
	}
	return ranges
}

// passedOver is how many bytes between the last range and r, which follows it, a bucket may read for the sake of fewer requests: the
// columns of a rollup that nobody asked for, or the rows of other metrics on the way to the series pages.
func passedOver(before []blob.Range, r blob.Range) int64 {
	if len(before) == 0 {
		return 0
	}
	last := before[len(before)-1]
	gap := r.Offset - last.Offset - last.Length
	if gap > max(last.Length, r.Length) {
		return 0
	}
	return gap
}

// scanPages scans the series pages in b, which begins at offset of the block.
func (s *rowSelector) scanPages(offset int64, b []byte) error {
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	for len(b) > 0 {
		raw, n, err := page.Decode(*buf, b, page.Series)
		found := len(s.rows.series)
		if err == nil {
			*buf = raw
			err = s.scanPage(raw)
		}
		if err != nil {
			return corruptAt(s.key, offset, err)
		}
		if len(s.rows.series) > found {
			s.seriesHits += int64(n)
		}
		offset, b = offset+int64(n), b[n:]
	}
	return nil
}

func (s *rowSelector) scanPage(raw []byte) error {
	p, err := index.ParsePage(raw)
	if err != nil {
		return err
	}
	var g *parquet.Group
	return p.Scan(s.q.Matchers, func(i int, e *index.Entry) error {
		if g == nil {
			// Only now: most pages of a stretch may have no match.
			if g, err = parquet.Locate(p, parquet.Section(s.m.Chunks), s.m.Format.rows()); err != nil {
				return err
			}
		}
		x := &rowSeries{sel: s.rows, bare: s.q.LabelsOnly}
		found := false
		for w := range parquet.Windows {
			from, to := g.Rows(i, w)
			if from == to || s.windows>>w&1 == 0 {
				continue
			}
			found = true
			if !s.q.LabelsOnly {
				x.parts = s.rows.appendParts(x.parts, g.Stripes[w], from, to)
			}
		}
		if found {
			x.labels = e.Labels()
			s.rows.series = append(s.rows.series, x)
		}
		return nil
	})
}

// fetchRows fills the pages of the stripes that series need: from what was speculated, else by one more stage.
func (s *rowSelector) fetchRows(ctx context.Context) error {
	var missing []pagePlace
	for _, st := range s.rows.inOrder {
		refs := st.stripe.Needed(s.rows.aggregate)
		st.stored = make([][]byte, len(refs))
		for i, ref := range refs {
			if st.stored[i] = s.speculatedRange(ref.Offset, ref.Length); st.stored[i] == nil {
				missing = append(missing, pagePlace{ref, &st.stored[i]})
			}
		}
	}
	s.speculated = nil
	return fetchPages(missing, func(ranges []blob.Range) ([][]byte, error) {
		if _, err := s.takeFetch(ranges, 0); err != nil {
			return nil, err
		}
		return s.fetch(ctx, ranges)
	})
}
