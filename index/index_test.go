package index

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// section builds a section with postings whose page i is cut after every perPage series; locators are the labels as text.
func section(t require.TestingT, in []labels.Labels, perPage int, offset int64) *Section {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	b.maxUnposted = 0
	at := int64(8)
	for i, ls := range in {
		require.NoError(t, b.Add(ls, []byte(ls.String())))
		if (i+1)%perPage == 0 {
			b.Cut([]byte("prefix"), at, 100)
			at += 100
		}
	}
	b.Cut([]byte("prefix"), at, 100)
	s, err := b.Finish(offset)
	require.NoError(t, err)
	return s
}

func pages(t require.TestingT, b []byte, kind page.Kind) [][]byte {
	var out [][]byte
	for len(b) > 0 {
		raw, n, err := page.Decode(nil, b, kind)
		require.NoError(t, err)
		out = append(out, raw)
		b = b[n:]
	}
	return out
}

func anySeries() *rapid.Generator[[]labels.Labels] {
	return rapid.Custom(func(t *rapid.T) []labels.Labels {
		seen := map[string]bool{}
		var out []labels.Labels
		for range rapid.IntRange(1, 60).Draw(t, "series") {
			m := map[string]string{}
			for range rapid.IntRange(1, 10).Draw(t, "labels") {
				m[rapid.SampledFrom([]string{"__name__", "a", "B", "instance", "ü", "l6", "l7", "l8", "l9", "l10", "l11"}).Draw(t, "name")] = rapid.OneOf(rapid.StringN(1, 8, 20), rapid.SampledFrom([]string{"x", "xy", "10.0.0.1"})).Draw(t, "value")
			}
			if ls := labels.FromMap(m); !seen[ls.String()] {
				seen[ls.String()] = true
				out = append(out, ls)
			}
		}
		sort.Slice(out, func(i, j int) bool { return Less(out[i], out[j]) })
		return out
	})
}

func TestSection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anySeries().Draw(t, "in")
		s := section(t, in, rapid.IntRange(1, 20).Draw(t, "per page"), 1000)
		ordinal := 0
		for _, raw := range pages(t, s.SeriesPages, page.Series) {
			p, err := ParsePage(raw)
			require.NoError(t, err)
			require.Equal(t, "prefix", string(p.Prefix))
			first := ordinal
			require.NoError(t, p.Scan(nil, func(i int, e *Entry) error {
				require.Equal(t, in[first+i].String(), e.Labels().String())
				ordinal++
				return nil
			}))
			i := first
			require.NoError(t, p.Locators(func(l []byte) error {
				require.Equal(t, in[i].String(), string(l))
				i++
				return nil
			}))
		}
		require.Equal(t, len(in), ordinal)
		requirePostings(t, in, s)
	})
}

// requirePostings compares every list with the series.
func requirePostings(t require.TestingT, in []labels.Labels, s *Section) {
	raw, _, err := page.Decode(nil, s.Postings, page.Head)
	require.NoError(t, err)
	head, err := ParseHead(raw, int64(len(in)))
	require.NoError(t, err)
	names := map[string]bool{}
	pairs := 0
	seen := map[labels.Label]bool{}
	for _, ls := range in {
		ls.Range(func(l labels.Label) {
			names[l.Name] = true
			if !seen[l] {
				seen[l] = true
				pairs++
			}
		})
	}
	require.Len(t, head.Names, len(names))
	require.True(t, slices.IsSorted(head.Names))
	for _, raw := range pages(t, s.Postings[s.PostingsHead:], page.Postings) {
		require.NoError(t, ScanPostings(raw, func(name, value, list []byte) (bool, error) {
			set := NewSet(len(in))
			require.NoError(t, set.AddList(list, len(in)))
			for i, ls := range in {
				require.Equal(t, ls.Get(string(name)) == string(value), set.Has(i), "%s=%s in %s", name, value, ls)
				require.Equal(t, set.Has(i), set.Any(i, i+1))
			}
			pairs--
			return true, nil
		}))
	}
	require.Zero(t, pairs)
}

func TestBuilderRefusesDisorder(t *testing.T) {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	require.NoError(t, b.Add(labels.FromStrings("__name__", "b", "A", "1"), nil))
	require.ErrorIs(t, b.Add(labels.FromStrings("__name__", "b", "A", "1"), nil), model.ErrInvalid)
	require.ErrorIs(t, b.Add(labels.FromStrings("__name__", "a", "Z", "1"), nil), model.ErrInvalid, "by metric name first")
	require.NoError(t, b.Add(labels.FromStrings("__name__", "c", "A", "0"), nil))
}

// TestFences looks up keys of all lengths, above all those that fences cut.
func TestFences(t *testing.T) {
	long := strings.Repeat("x", MaxFence)
	words := []string{"", "a", "ab", "b", long[:MaxFence-1], long, long + "a", long + "b", long + "bb", "y"}
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.Map(rapid.SliceOfN(rapid.SampledFrom(words), 2, 2), func(p []string) [2]string { return [2]string{p[0], p[1]} }), 1, 40, rapid.ID).Draw(t, "keys")
		slices.SortFunc(keys, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
		per := rapid.IntRange(1, 5).Draw(t, "per page")
		var fences []Fence
		var dir []DirEntry
		for i := 0; i < len(keys); i += per {
			fences = append(fences, Fence{Name: cutFence(keys[i][0]), Value: fenceValue(keys[i][0], keys[i][1])})
			dir = append(dir, DirEntry{FirstMetric: cutFence(keys[i][0])})
		}
		for i, k := range keys {
			lo, hi := FindPostings(fences, k[0], k[1], k[1], false)
			require.True(t, lo <= i/per && i/per < hi, "key %d of %v in [%d, %d)", i, keys, lo, hi)
			lo, hi = FindPostings(fences, k[0], "", "", true)
			require.True(t, lo <= i/per && i/per < hi, "name of key %d in [%d, %d)", i, lo, hi)
			lo, hi = FindMetric(dir, k[0])
			require.True(t, lo <= i/per && i/per < hi, "metric of key %d in [%d, %d)", i, lo, hi)
		}
	})
	lo, hi := FindMetric([]DirEntry{{FirstMetric: "b"}, {FirstMetric: "c"}, {FirstMetric: "d"}, {FirstMetric: "d"}}, "c")
	require.Equal(t, [2]int{0, 2}, [2]int{lo, hi}, "c may begin in b's entry")
	lo, hi = FindMetric([]DirEntry{{FirstMetric: "b"}, {FirstMetric: "c"}}, "a")
	require.Equal(t, lo, hi, "nothing below the first")
}

func TestDirectoryStaysSmall(t *testing.T) {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	at := int64(8)
	for i := range 3000 {
		require.NoError(t, b.Add(labels.FromStrings("__name__", fmt.Sprintf("m%06d", i)), nil))
		b.Cut(nil, at, 100<<10)
		at += 100 << 10
	}
	s, err := b.Finish(at)
	require.NoError(t, err)
	require.LessOrEqual(t, len(s.Directory), MaxEntries)
	require.Greater(t, len(s.Directory), MaxEntries/2)
	require.LessOrEqual(t, len(s.Fences), MaxEntries)
}

func FuzzPage(f *testing.F) {
	for _, raw := range pages(f, section(f, []labels.Labels{labels.FromStrings("__name__", "a", "b", "c"), labels.FromStrings("__name__", "b", "x", "y")}, 5, 0).SeriesPages, page.Series) {
		f.Add(raw)
	}
	m := labels.MustNewMatcher(labels.MatchNotEqual, "b", "c")
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePage(raw)
		if err == nil {
			err = p.Scan([]*labels.Matcher{m}, func(_ int, e *Entry) error {
				if e.Labels().Len() > maxPageLabels {
					t.Fatal("too many labels")
				}
				return nil
			})
		}
		if err == nil {
			err = p.Locators(func([]byte) error { return nil })
		}
		if err == nil {
			c := p.Cursor()
			for more := true; more && err == nil; {
				more, err = c.Next()
			}
		}
		if err != nil && !errors.Is(err, model.ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func FuzzPostings(f *testing.F) {
	s := section(f, []labels.Labels{labels.FromStrings("__name__", "a", "b", "c"), labels.FromStrings("__name__", "b", "x", "y")}, 5, 0)
	head, _, err := page.Decode(nil, s.Postings, page.Head)
	require.NoError(f, err)
	f.Add(head, 2)
	for _, raw := range pages(f, s.Postings[s.PostingsHead:], page.Postings) {
		f.Add(raw, 2)
	}
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		if n < 0 || n > 1<<16 {
			return
		}
		_, herr := ParseHead(raw, int64(n))
		err := ScanPostings(raw, func(_, _, list []byte) (bool, error) { return true, NewSet(n).AddList(list, n) })
		for _, err := range []error{herr, err} {
			if err != nil && !errors.Is(err, model.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}
