package blocks

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// cheapPostings is how many bytes of postings a matcher may cost that is not needed to find a start. Matchers left out
// here are no loss of truth: the scan of the series pages evaluates all of them.
const cheapPostings = 256 << 10

// question is one matcher put to the postings.
type question struct {
	m *labels.Matcher
	// want is the answer of the matcher for the values whose series are collected: true for a matcher that a
	// series without the label fails, and false for one that it passes, whose series are taken away.
	want bool
	// exact: the values are few and known.
	exact  bool
	pages  blob.Range
	offset int
}

// narrow asks the postings which series pages can hold a match. A block without postings is small: it takes no guess at its chunks,
// of which mostly few are needed, but all of its series pages.
func (s *selector) narrow(ctx context.Context) ([]stretch, error) {
	if s.m.PostingsHead == 0 {
		return []stretch{{series: blob.Range(s.m.SeriesPages)}}, nil
	}
	questions := s.choose()
	ranges := []blob.Range{{Offset: s.m.Postings.Offset, Length: s.m.PostingsHead}}
	for i := range questions {
		if questions[i].pages.Length > 0 {
			questions[i].offset = len(ranges)
			ranges = append(ranges, questions[i].pages)
		}
	}
	data, err := s.fetch(ctx, ranges)
	if err != nil {
		return nil, err
	}
	head, err := decodeHead(s.key, s.m, data[0])
	if err != nil {
		return nil, err
	}
	set := index.NewSet(int(s.m.Series))
	set.Fill(int(s.m.Series))
	for _, q := range questions {
		var pages [][]byte
		if q.offset > 0 {
			if pages, err = decodePostings(s.key, q.pages.Offset, data[q.offset]); err != nil {
				return nil, err
			}
		}
		found, err := index.Narrow(pages, q.m, q.want, int(s.m.Series))
		if err != nil {
			return nil, corruptAt(s.key, q.pages.Offset, err)
		}
		if q.want {
			set.And(found)
		} else {
			set.AndNot(found)
		}
	}
	return s.pagesOf(head, set)
}

// choose picks the matchers worth their postings.
func (s *selector) choose() []question {
	var all []question
	for _, m := range s.q.Matchers {
		q := question{m: m, want: !m.Matches("")}
		from, to := "", ""
		switch set := m.SetMatches(); {
		case q.want && m.Type == labels.MatchEqual:
			from, to, q.exact = m.Value, m.Value, true
		case q.want && m.Type == labels.MatchRegexp && len(set) > 0:
			from, to, q.exact = slices.Min(set), slices.Max(set), true
		}
		q.pages = fencedRange(s.m, m.Name, from, to, !q.exact)
		all = append(all, q)
	}
	slices.SortStableFunc(all, func(a, b question) int {
		if a.want != b.want {
			return cmpBool(a.want)
		}
		if a.exact != b.exact {
			return cmpBool(a.exact)
		}
		return cmp.Compare(a.pages.Length, b.pages.Length)
	})
	for i, q := range all {
		if i > 0 && !(q.want && q.exact) && q.pages.Length > cheapPostings {
			return all[:i]
		}
	}
	return all
}

func cmpBool(first bool) int {
	if first {
		return -1
	}
	return 1
}

// fencedRange is where the postings pages lie that can hold the keys (name, from) to (name, to), or all of the name.
func fencedRange(m *Meta, name, from, to string, all bool) blob.Range {
	lo, hi := index.FindPostings(m.PostingsFence, name, from, to, all)
	if lo >= hi {
		return blob.Range{}
	}
	end := m.Postings.End()
	if hi < len(m.PostingsFence) {
		end = m.PostingsFence[hi].Offset
	}
	return blob.Range{Offset: m.PostingsFence[lo].Offset, Length: end - m.PostingsFence[lo].Offset}
}

func decodeHead(key string, m *Meta, b []byte) (*index.Head, error) {
	raw, _, err := page.Decode(nil, b, page.Head)
	var head *index.Head
	if err == nil {
		head, err = index.ParseHead(raw, m.Series)
	}
	if err != nil {
		return nil, corruptAt(key, m.Postings.Offset, err)
	}
	return head, nil
}

// decodePostings decodes the postings pages in b, which begins at offset of the block.
func decodePostings(key string, offset int64, b []byte) ([][]byte, error) {
	var pages [][]byte
	for len(b) > 0 {
		raw, n, err := page.Decode(nil, b, page.Postings)
		if err != nil {
			return nil, corruptAt(key, offset, err)
		}
		pages = append(pages, raw)
		offset, b = offset+int64(n), b[n:]
	}
	return pages, nil
}

// pagesOf returns the stretches of the series pages that hold an ordinal of the set.
func (s *selector) pagesOf(head *index.Head, set index.Set) ([]stretch, error) {
	var out []stretch
	for i, g := range head.Groups {
		if !set.Any(g.First, g.First+g.Series) {
			continue
		}
		end := s.m.Chunks.End()
		if i+1 < len(head.Groups) {
			end = head.Groups[i+1].ChunkOffset
		}
		st := stretch{
			series: blob.Range{Offset: s.m.SeriesPages.Offset + g.Offset, Length: g.Length},
			chunks: blob.Range{Offset: g.ChunkOffset, Length: end - g.ChunkOffset},
		}
		if g.Offset+g.Length > s.m.SeriesPages.Length || g.ChunkOffset < s.m.Chunks.Offset || end > s.m.Chunks.End() || st.chunks.Length < 0 {
			return nil, corruptAt(s.key, s.m.Postings.Offset, fmt.Errorf("series page outside its section: %w", model.ErrCorrupt))
		}
		out = appendStretch(out, st)
	}
	return out, nil
}
