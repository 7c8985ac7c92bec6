package index

import (
	"bytes"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/internal/page"
)

// TestCursorKeys compares the order of keys with the order of series, on names and values that are hard on encodings.
func TestCursorKeys(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'A', 'a', 'b', '_', 0x7f, 0xff}), 0, 4, -1)
	name := rapid.OneOf(rapid.Just(MetricName), rapid.StringOfN(rapid.SampledFrom([]rune{'A', 'Z', '_', 'a', 'z'}), 1, 3, -1))
	rapid.Check(t, func(t *rapid.T) {
		var all []labels.Labels
		for range rapid.IntRange(1, 40).Draw(t, "n") {
			all = append(all, labels.FromMap(rapid.MapOfN(name, part, 0, 4).Draw(t, "labels")))
		}
		less := func(a, b labels.Labels) int {
			switch {
			case Less(a, b):
				return -1
			case Less(b, a):
				return 1
			}
			return 0
		}
		slices.SortFunc(all, less)
		all = slices.CompactFunc(all, func(a, b labels.Labels) bool { return labels.Equal(a, b) })
		enc := page.NewEncoder()
		defer enc.Close()
		b := NewBuilder(enc)
		for _, ls := range all {
			require.NoError(t, b.Add(ls, []byte{1}))
		}
		b.Cut(nil, 0, 0)
		s, err := b.Finish(0)
		require.NoError(t, err)
		raw, _, err := page.Decode(nil, s.SeriesPages, page.Series)
		require.NoError(t, err)
		p, err := ParsePage(raw)
		require.NoError(t, err)
		c := p.Cursor()
		var before []byte
		for i, want := range all {
			ok, err := c.Next()
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, i, c.Place())
			require.Equal(t, want.String(), c.Labels().String())
			require.True(t, i == 0 || bytes.Compare(before, c.Key()) < 0, "%v", want)
			before = bytes.Clone(c.Key())
		}
		ok, err := c.Next()
		require.NoError(t, err)
		require.False(t, ok)
	})
}

// FuzzCursor walks any bytes that pass for a series page: with a cursor they must give what a scan gives, errors included.
func FuzzCursor(f *testing.F) {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	for _, ls := range []labels.Labels{labels.FromStrings("__name__", "a", "x", "1"), labels.FromStrings("__name__", "a", "x", "2"), labels.FromStrings("__name__", "b", "A", "1")} {
		if err := b.Add(ls, []byte{1, 2}); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.page.appendRaw(nil, []byte("prefix")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParsePage(raw)
		if err != nil {
			return
		}
		var want []string
		wantErr := p.Scan(nil, func(_ int, e *Entry) error {
			want = append(want, e.Labels().String())
			return nil
		})
		c := p.Cursor()
		for i := 0; ; i++ {
			ok, err := c.Next()
			if err != nil || !ok {
				require.Equal(t, wantErr == nil, err == nil, "%v", err)
				require.Len(t, want, i)
				return
			}
			require.Equal(t, want[i], c.Labels().String())
			require.NotEmpty(t, c.Key())
		}
	})
}
