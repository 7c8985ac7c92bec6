package index

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/page"
)

var update = flag.Bool("update", false, "rewrite golden files")

// goldenSeries have what the format of pages tells apart: names that come and go, values that return, are new, or are empty, a series
// without a metric name.
func goldenSeries() []labels.Labels {
	return []labels.Labels{
		labels.FromStrings("instance", "10.0.0.1:9100"),
		labels.FromStrings("__name__", "http_requests_total", "code", "200", "instance", "10.0.0.1:9100"),
		labels.FromStrings("__name__", "http_requests_total", "code", "200", "instance", "10.0.0.2:9100"),
		labels.FromStrings("__name__", "http_requests_total", "code", "500", "instance", "10.0.0.1:9100", "über", "ja"),
		labels.FromStrings("__name__", "http_requests_total", "code", "500", "instance", "10.0.0.2:9100"),
		labels.FromStrings("__name__", "up", "instance", "10.0.0.1:9100"),
		labels.FromStrings("__name__", "up", "instance", "10.0.0.2:9100"),
	}
}

// goldenSection has two series pages, the first one of two groups.
func goldenSection(t *testing.T) *Section {
	enc := page.NewEncoder()
	defer enc.Close()
	b := NewBuilder(enc)
	b.maxUnposted = 0
	for i, ls := range goldenSeries() {
		require.NoError(t, b.Add(ls, []byte{byte(i), 0xff}[:1+i%2]))
		switch i {
		case 1:
			b.Group(8, 100<<10)
		case 4:
			b.Cut([]byte("first"), 8+(100<<10), 100<<10)
		}
	}
	b.Cut([]byte("second"), 8+(200<<10), 50)
	s, err := b.Finish(1 << 20)
	require.NoError(t, err)
	return s
}

// rawPages are the pages of a section as they are before compression, in hexadecimal digits, a line each: a new compressor changes nothing but the
// lengths of pages in the head.
func rawPages(t *testing.T, s *Section) (out []byte) {
	line := func(kind page.Kind, raw []byte) {
		out = append(append(append(out, byte(kind), ' '), hex.EncodeToString(raw)...), '\n')
	}
	for _, raw := range pages(t, s.SeriesPages, page.Series) {
		line(page.Series, raw)
	}
	for _, raw := range pages(t, s.Postings[:s.PostingsHead], page.Head) {
		line(page.Head, raw)
	}
	for _, raw := range pages(t, s.Postings[s.PostingsHead:], page.Postings) {
		line(page.Postings, raw)
	}
	return out
}

const goldenFile = "section-v2.txt"

// TestGoldenWriter writes a section and compares it with the one in testdata, byte for byte.
func TestGoldenWriter(t *testing.T) {
	got := rawPages(t, goldenSection(t))
	name := filepath.Join("testdata", goldenFile)
	if *update {
		require.NoError(t, os.WriteFile(name, got, 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// TestGoldenReader reads the section in testdata.
func TestGoldenReader(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", goldenFile))
	require.NoError(t, err)
	in := goldenSeries()
	var got []labels.Labels
	var prefixes, lists []string
	for line := range bytes.Lines(b) {
		raw := make([]byte, hex.DecodedLen(len(line)-3))
		_, err := hex.Decode(raw, line[2:len(line)-1])
		require.NoError(t, err)
		switch page.Kind(line[0]) {
		case page.Series:
			p, err := ParsePage(raw)
			require.NoError(t, err)
			prefixes = append(prefixes, string(p.Prefix))
			at := len(got)
			require.NoError(t, p.Scan(nil, func(_ int, e *Entry) error {
				got = append(got, e.Labels())
				return nil
			}))
			require.NoError(t, p.Locators(func(l []byte) error {
				require.Equal(t, []byte{byte(at), 0xff}[:1+at%2], l)
				at++
				return nil
			}))
		case page.Head:
			h, err := ParseHead(raw, int64(len(in)))
			require.NoError(t, err)
			require.Equal(t, []string{"__name__", "code", "instance", "über"}, h.Names)
			require.Len(t, h.Groups, 3)
			require.Equal(t, h.Groups[0].Offset, h.Groups[1].Offset)
			require.Equal(t, HeadGroup{Offset: h.Groups[0].Length, Length: h.Groups[2].Length, First: 5, Series: 2, ChunkOffset: 8 + 200<<10}, h.Groups[2])
		case page.Postings:
			require.NoError(t, ScanPostings(raw, func(name, value, list []byte) (bool, error) {
				set := NewSet(len(in))
				require.NoError(t, set.AddList(list, len(in)))
				for i, ls := range in {
					require.Equal(t, ls.Get(string(name)) == string(value), set.Has(i))
				}
				lists = append(lists, string(name)+"="+string(value))
				return true, nil
			}))
		}
	}
	require.Equal(t, in, got)
	require.Equal(t, []string{"first", "second"}, prefixes)
	require.Equal(t, []string{
		"__name__=http_requests_total", "__name__=up", "code=200", "code=500", "instance=10.0.0.1:9100", "instance=10.0.0.2:9100", "über=ja",
	}, lists)
}
