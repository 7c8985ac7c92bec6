package index

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// placed is where a test put a series.
type placed struct {
	metric                string
	page                  int
	chunkOffset, chunkEnd int64
}

// TestDirectoryLeadsToAll makes pages of groups of any sizes and asks the directory for every metric: the stretch that it names must hold
// the series pages and the chunks of all its series, and begin and end with a page.
func TestDirectoryLeadsToAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		enc := page.NewEncoder()
		defer enc.Close()
		b := NewBuilder(enc)
		metric, at := 0, int64(8)
		var all []placed
		for p := range rapid.IntRange(1, 30).Draw(t, "pages") {
			groups := rapid.IntRange(1, 5).Draw(t, "groups")
			for g := range groups {
				bytes := rapid.Int64Range(0, 200<<10).Draw(t, "bytes")
				for range rapid.IntRange(1, 3).Draw(t, "series") {
					metric += rapid.IntRange(0, 1).Draw(t, "next metric")
					all = append(all, placed{fmt.Sprintf("m%04d", metric), p, at, at + bytes})
					require.NoError(t, b.Add(labels.FromStrings("__name__", all[len(all)-1].metric, "n", fmt.Sprintf("%05d", len(all))), nil))
				}
				if at += bytes; g == groups-1 {
					b.Cut(nil, at-bytes, bytes)
				} else {
					b.Group(at-bytes, bytes)
				}
			}
		}
		const offset = 1 << 40
		s, err := b.Finish(offset)
		require.NoError(t, err)
		starts := []int64{offset}
		for rest := s.SeriesPages; len(rest) > 0; {
			n, _, err := page.Length(rest)
			require.NoError(t, err)
			starts, rest = append(starts, starts[len(starts)-1]+int64(n)), rest[n:]
		}
		end := starts[len(starts)-1]
		require.LessOrEqual(t, len(s.Directory), MaxEntries)
		for _, x := range all {
			lo, hi := FindMetric(s.Directory, x.metric)
			require.Less(t, lo, hi)
			from, to := s.Directory[lo].SeriesOffset, SeriesEnd(s.Directory, hi-1, end)
			require.Contains(t, starts, from)
			require.Contains(t, starts, to)
			require.True(t, from <= starts[x.page] && starts[x.page+1] <= to, "%v is not in [%d, %d) of %v", x, from, to, starts)
			chunkEnd := at
			if hi < len(s.Directory) {
				chunkEnd = s.Directory[hi].ChunkOffset
			}
			require.True(t, s.Directory[lo].ChunkOffset <= x.chunkOffset && x.chunkEnd <= chunkEnd, "%v", x)
		}
	})
}

// TestDirectoryIsFine holds that groups which share a series page have entries of their own.
func TestDirectoryIsFine(t *testing.T) {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	for i := range 40 {
		require.NoError(t, b.Add(labels.FromStrings("__name__", fmt.Sprintf("m%02d", i)), nil))
		if i%10 == 9 {
			b.Cut(nil, int64(i)<<16, 1<<16)
		} else {
			b.Group(int64(i)<<16, 1<<16)
		}
	}
	s, err := b.Finish(1 << 30)
	require.NoError(t, err)
	require.Len(t, s.Directory, 40)
	require.Equal(t, s.Directory[10].SeriesOffset, s.Directory[19].SeriesOffset)
	require.Equal(t, s.Directory[20].SeriesOffset, SeriesEnd(s.Directory, 12, 0))
	require.EqualValues(t, 77, SeriesEnd(s.Directory, 35, 77))
}

// TestUnposted holds which blocks go without postings: small ones whose postings would be as large as the series pages.
func TestUnposted(t *testing.T) {
	build := func(in []labels.Labels) *Section {
		enc := page.NewEncoder()
		defer enc.Close()
		b := NewBuilder(enc)
		for _, ls := range in {
			require.NoError(t, b.Add(ls, []byte{1, 0}))
			if b.PageLarge() {
				b.Cut(nil, 0, 0)
			}
		}
		b.Cut(nil, 0, 0)
		s, err := b.Finish(0)
		require.NoError(t, err)
		return s
	}
	unique := func(n int) (in []labels.Labels) {
		for i := range n {
			in = append(in, labels.FromStrings("__name__", fmt.Sprintf("%08x", uint32(i)<<15), "word", fmt.Sprintf("%08x", uint32(i)*2654435761)))
		}
		return in
	}
	small := build(unique(1000))
	require.Empty(t, small.Postings)
	require.Empty(t, small.Fences)
	require.Zero(t, small.PostingsHead)
	large := build(unique(20_000))
	require.Greater(t, len(large.SeriesPages), maxUnposted)
	require.NotEmpty(t, large.Postings)
	cheap := build(targets(200, 20))
	require.Less(t, len(cheap.SeriesPages), maxUnposted)
	require.NotEmpty(t, cheap.Postings)
	require.LessOrEqual(t, len(cheap.Postings), len(cheap.SeriesPages)/2)
}

// TestLongValues has values so long that written out they would blow up the memory of a reader, were pages not cut in time.
func TestLongValues(t *testing.T) {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	long := strings.Repeat("x", 200_000)
	const n = 50
	for i := range n {
		require.NoError(t, b.Add(labels.FromStrings("__name__", "m", "long", fmt.Sprintf("%s%03d", long, i)), []byte{0}))
		if b.PageFull() {
			b.Cut(nil, 0, 0)
		}
	}
	b.Cut(nil, 0, 0)
	s, err := b.Finish(0)
	require.NoError(t, err)
	found := 0
	for _, raw := range pages(t, s.SeriesPages, page.Series) {
		p, err := ParsePage(raw)
		require.NoError(t, err)
		require.Less(t, p.Size(), maxPageText)
		require.NoError(t, p.Scan(nil, func(_ int, e *Entry) error {
			require.Equal(t, fmt.Sprintf("%s%03d", long, found), e.Labels().Get("long"))
			found++
			return nil
		}))
	}
	require.Equal(t, n, found)
}

// TestForgedPages has pages that no writer makes and that would lead a careless reader astray.
func TestForgedPages(t *testing.T) {
	name := []byte{1, 1, 'a', 1, 1, 1} // one name: "a", one value, a byte of references, a byte of text
	build := func(series byte, patterns, uses []byte, rest ...byte) []byte {
		raw := append([]byte{series, 0}, name...)
		raw = append(raw, patterns...)
		raw = append(append(raw, byte(len(uses))), uses...)
		return append(raw, rest...)
	}
	tail := []byte{0, 1, 2, 0, 1, 'v', 0} // reference, bytes of text, sizes, text, locator
	good := build(1, []byte{1, 1, 1}, []byte{0}, tail...)
	scan := func(raw []byte) error {
		p, err := ParsePage(raw)
		if err != nil {
			return err
		}
		return p.Scan(nil, func(_ int, e *Entry) error {
			require.Equal(t, `{a="v"}`, e.Labels().String())
			return nil
		})
	}
	require.NoError(t, scan(good))
	for what, raw := range map[string][]byte{
		"a label that never had a value": build(1, []byte{1, 1, 0}, []byte{0}, tail...),
		"a name that is not there":       build(1, []byte{1, 1, 3}, []byte{0}, tail...),
		"a pattern that is not there":    build(1, []byte{1, 1, 1}, []byte{1}, tail...),
		"patterns out of order":          build(2, []byte{2, 1, 1, 1, 0}, []byte{1, 0}, append(tail, 0)...),
		"a value that is not there":      build(1, []byte{1, 1, 1}, []byte{0}, 2, 1, 2, 0, 1, 'v', 0),
		"a value before the first":       build(1, []byte{1, 1, 1}, []byte{0}, 1, 1, 2, 0, 1, 'v', 0),
		"text longer than said":          build(1, []byte{1, 1, 1}, []byte{0}, 0, 0, 2, 0, 1, 'v', 0),
		"text shorter than said":         build(1, []byte{1, 1, 1}, []byte{0}, 0, 9, 2, 0, 1, 'v', 0),
		"no locator":                     good[:len(good)-1],
	} {
		require.ErrorIs(t, scan(raw), model.ErrCorrupt, what)
	}
}
