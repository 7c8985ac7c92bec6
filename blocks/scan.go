package blocks

import (
	"context"

	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
)

// stretchScan is a stretch on its way from series pages to matches.
type stretchScan struct {
	stretch
	key     string          // of the matches in the cache; "" without one
	matches *stretchMatches // nil if the pages have to be read
}

// scans looks up what is known of the stretches.
func (s *selector) scans(ctx context.Context, stretches []stretch) []*stretchScan {
	out := make([]*stretchScan, len(stretches))
	for i, st := range stretches {
		out[i] = &stretchScan{stretch: st}
		if s.warm != nil && s.warm.parsed != nil {
			out[i].key = s.warm.matchesKey(st.series, s.q.Matchers)
			out[i].matches = s.warm.matches(ctx, out[i].key, st.series)
		}
	}
	return out
}

// scanStretch scans the series pages in b. Selects that come to the same stretch at the same time scan it once.
func (s *selector) scanStretch(ctx context.Context, c *stretchScan, b []byte) (err error) {
	if c.key == "" {
		c.matches, err = s.scanPages(c.series.Offset, b)
		return err
	}
	v, _, err := s.warm.parsed.Do(ctx, c.key, func() (any, int64, error) {
		m, err := s.scanPages(c.series.Offset, b)
		if err != nil {
			return nil, 0, err
		}
		return m, m.bytes(), nil
	})
	if err != nil {
		return err
	}
	c.matches = v.(*stretchMatches)
	return nil
}

// scanPages scans the series pages in b, which begins at offset of the block.
func (s *selector) scanPages(offset int64, b []byte) (*stretchMatches, error) {
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	out := &stretchMatches{}
	for len(b) > 0 {
		raw, n, err := page.Decode(*buf, b, page.Series)
		var found *pageMatches
		if err == nil {
			*buf = raw
			found, err = s.scanPage(raw)
		}
		if err != nil {
			return nil, corruptAt(s.key, offset, err)
		}
		if found != nil {
			found.offset, found.length = offset, int64(n)
			out.pages = append(out.pages, *found)
		}
		offset, b = offset+int64(n), b[n:]
	}
	return out, nil
}

// scanPage returns nil if nothing in the page matches.
func (s *selector) scanPage(raw []byte) (found *pageMatches, err error) {
	p, err := index.ParsePage(raw)
	if err != nil {
		return nil, err
	}
	var g *native.Group
	err = p.Scan(s.q.Matchers, func(i int, e *index.Entry) error {
		if g == nil {
			// Only now: most pages of a stretch may have no match.
			if g, err = native.Locate(p, native.Section(s.m.Chunks)); err != nil {
				return err
			}
			found = &pageMatches{chunkPages: g.Pages}
		}
		found.series = append(found.series, match{labels: e.Labels(), refs: g.Of(i)})
		return nil
	})
	if found != nil && err == nil {
		found.tighten(g)
	}
	return found, err
}

// take adds the matches that have chunks in the range to the selection.
func (s *selector) take(m *stretchMatches) error {
	for i := range m.pages {
		p := &m.pages[i]
		before := len(s.sel.series)
		if err := s.takePage(p); err != nil {
			return corruptAt(s.key, p.offset, err)
		}
		if len(s.sel.series) > before {
			s.seriesHits += p.length
		}
	}
	return nil
}

func (s *selector) takePage(p *pageMatches) error {
	var pages []*chunkPage // nil where no series needs the page
	if !s.q.LabelsOnly {
		pages = make([]*chunkPage, len(p.chunkPages))
	}
	batch := make([]series, 0, len(p.series))
	for i := range p.series {
		x := &p.series[i]
		refs, err := s.inRange(x.refs)
		if err != nil {
			return err
		}
		if len(refs) == 0 {
			continue
		}
		if !s.q.LabelsOnly {
			for _, ref := range refs {
				if pages[ref.Page] == nil {
					pages[ref.Page] = s.sel.page(p.chunkPages[ref.Page])
				}
			}
		}
		batch = append(batch, series{sel: s.sel, labels: x.labels, refs: refs, pages: pages, bare: s.q.LabelsOnly})
		s.sel.series = append(s.sel.series, &batch[len(batch)-1])
	}
	return nil
}
