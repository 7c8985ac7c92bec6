package blocks_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

var golden = flag.Bool("update", false, "rewrite golden files")

func fullMeta() *blocks.Meta {
	return &blocks.Meta{
		ID: "someid", Format: blocks.Native, Tenant: "t1", Day: day, MinT: day.Range().MinMs, MaxT: day.Range().MaxMs,
		Size: 100000, CRC: 0xdeadbeef, Series: 10, Samples: 1000, Histograms: 7,
		Writer: "w1", Generation: 42, Attempt: 3, CreatedMs: 1795392000123,
		Replaces: []string{"a", "b"}, Tombstones: []string{"x"},
		Chunks: blocks.Section{Offset: 8, Length: 50000}, Runs: blocks.Section{Offset: 50008, Length: 100},
		SeriesPages: blocks.Section{Offset: 50108, Length: 200}, Postings: blocks.Section{Offset: 50308, Length: 300}, PostingsHead: 20,
		Directory:     []blocks.DirEntry{{FirstMetric: "", SeriesOffset: 50108, ChunkOffset: 8}, {FirstMetric: "http_requests", SeriesOffset: 50200, ChunkOffset: 30000}, {FirstMetric: "http_requests_total", SeriesOffset: 50250, ChunkOffset: 40000}},
		PostingsFence: []blocks.Fence{{Name: "__name__", Value: "a", Offset: 50328}, {Name: "job", Value: "", Offset: 50400}},
	}
}

// mergedMeta has what only a merge has, and so version 2.
func mergedMeta() *blocks.Meta {
	m := fullMeta()
	m.Writer, m.Generation = "", 0
	m.Sources = []blocks.Source{{Writer: "w1", From: 3, To: 9}, {Writer: "w1", From: 12, To: 12}, {Writer: "w2", From: 0, To: 1}}
	return m
}

// rollupMeta is that of a rollup, and so of version 3.
func rollupMeta() *blocks.Meta {
	m := mergedMeta()
	m.Format = blocks.Rollup5m
	m.RowGroups = []blocks.RowGroup{
		{Offset: 8, Length: 20000, Parts: []int64{1000, 500, 4000, 4000, 3000, 3500, 3900, 90, 10}, Refers: 0x1a},
		{Offset: 20008, Length: 30000, Parts: []int64{0, 0, 0, 0, 30000, 0, 0, 0, 0}},
	}
	return m
}

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []*blocks.Meta{fullMeta(), mergedMeta(), rollupMeta(), {ID: "x", Tenant: "t", Format: blocks.Rollup1h}, {ID: "x", Tenant: "t", Format: blocks.Parquet}} {
		b := blocks.AppendMeta([]byte("before"), m)
		got, rest, err := blocks.DecodeMeta(append(b, "behind"...)[6:])
		require.NoError(t, err)
		require.Equal(t, m, got)
		require.Equal(t, "behind", string(rest))
	}
}

func TestMetaFaults(t *testing.T) {
	b := blocks.AppendMeta(nil, fullMeta())
	for i := range b {
		_, _, err := blocks.DecodeMeta(b[:i])
		require.ErrorIs(t, err, model.ErrCorrupt, "cut to %d", i)
		b[i] ^= 0x10
		_, _, err = blocks.DecodeMeta(b)
		require.True(t, errors.Is(err, model.ErrCorrupt) || i == 0 && errors.Is(err, model.ErrVersion), "byte %d: %v", i, err)
		b[i] ^= 0x10
	}
	b[0] = 9
	_, _, err := blocks.DecodeMeta(b)
	require.ErrorIs(t, err, model.ErrVersion)
	require.ErrorContains(t, err, "version 9")
}

// TestMetaIsChecked encodes metas that a writer would not make: a reader computes with these numbers.
func TestMetaIsChecked(t *testing.T) {
	for name, change := range map[string]func(m *blocks.Meta){
		"negative length":   func(m *blocks.Meta) { m.Runs.Length = -1 },
		"overlap":           func(m *blocks.Meta) { m.Runs.Offset = 20 },
		"past the end":      func(m *blocks.Meta) { m.Size = 50400 },
		"huge offset":       func(m *blocks.Meta) { m.Postings.Offset = 1 << 62 },
		"huge runs":         func(m *blocks.Meta) { m.Size, m.Runs.Length, m.SeriesPages.Offset = 0, 40<<20, 60<<20 },
		"entry outside":     func(m *blocks.Meta) { m.Directory[2].SeriesOffset = 50309 },
		"entries fall":      func(m *blocks.Meta) { m.Directory[1].ChunkOffset = 40001 },
		"names fall":        func(m *blocks.Meta) { m.Directory[0].FirstMetric = "z" },
		"fence in the head": func(m *blocks.Meta) { m.PostingsFence[0].Offset = 50310 },
		"long name":         func(m *blocks.Meta) { m.Directory[2].FirstMetric = strings.Repeat("z", 200) },
		"too many entries":  func(m *blocks.Meta) { m.Directory = make([]blocks.DirEntry, index.MaxEntries+1) },
		"too many series":   func(m *blocks.Meta) { m.Series = 1 << 40 },
		"more histograms":   func(m *blocks.Meta) { m.Histograms = 1001 },
		"tenant is a path":  func(m *blocks.Meta) { m.Tenant = "../.." },
		"id is a path":      func(m *blocks.Meta) { m.ID = "../x" },
		"head too long":     func(m *blocks.Meta) { m.PostingsHead = 301 },
		"empty source":      func(m *blocks.Meta) { m.Sources = []blocks.Source{{Writer: "w", From: 4, To: 3}} },
	} {
		m := fullMeta()
		change(m)
		_, _, err := blocks.DecodeMeta(blocks.AppendMeta(nil, m))
		require.ErrorIs(t, err, model.ErrCorrupt, name)
	}
	for name, change := range map[string]func(m *blocks.Meta){
		"parts too long":  func(m *blocks.Meta) { m.RowGroups[0].Parts[3]++ },
		"parts too short": func(m *blocks.Meta) { m.RowGroups[1].Parts[4]-- },
		"part of nothing": func(m *blocks.Meta) { m.RowGroups[0].Parts[3] = -1 },
		"a part less":     func(m *blocks.Meta) { m.RowGroups[1].Parts = m.RowGroups[1].Parts[:8] },
		"nothing":         func(m *blocks.Meta) { m.RowGroups[1].Parts[4] = 0 },
	} {
		m := rollupMeta()
		change(m)
		_, _, err := blocks.DecodeMeta(blocks.AppendMeta(nil, m))
		require.ErrorIs(t, err, model.ErrCorrupt, name)
	}
	for _, version := range []byte{1, 2} {
		b := blocks.AppendMeta(nil, rollupMeta())
		_, n := binary.Uvarint(b[1:])
		_, _, err := blocks.DecodeMeta(blocks.ForgeMeta(version, b[1+n:len(b)-4]))
		require.ErrorIs(t, err, model.ErrCorrupt, "a rollup of version %d", version)
	}
	m := fullMeta()
	m.Format = 9
	_, _, err := blocks.DecodeMeta(blocks.AppendMeta(nil, m))
	require.ErrorIs(t, err, model.ErrVersion)
}

func TestIDAndKey(t *testing.T) {
	id := blocks.ID("w", 1, "t", day, 0)
	require.Equal(t, "45e7ugdik9nk3ghfhs2e7ul52s", id, "ids must not change: a writer finds its own blocks by them")
	for _, other := range []string{blocks.ID("w", 2, "t", day, 0), blocks.ID("w", 1, "t", day, 1), blocks.ID("w", 1, "t2", day, 0), blocks.ID("w1", 1, "t", day, 0), blocks.ID("w", 1, "t", day+1, 0), blocks.ID("wt", 1, "", day, 0)} {
		require.NotEqual(t, id, other)
	}
	require.Equal(t, "d/tenant=t1/day=2024-10-04/someid.vb", blocks.Key(fullMeta()))
	require.Equal(t, "d/tenant=a/day=2024-10-04/i.parquet", blocks.KeyOf("a", day, "i", blocks.Parquet))
}

func TestGoldenMeta(t *testing.T) {
	for file, want := range map[string]*blocks.Meta{"meta-v1.hex": fullMeta(), "meta-v2.hex": mergedMeta(), "meta-v3.hex": rollupMeta()} {
		name := filepath.Join("testdata", file)
		if *golden {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(name, []byte(hex.EncodeToString(blocks.AppendMeta(nil, want))), 0o644))
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		require.NoError(t, err)
		m, _, err := blocks.DecodeMeta(b)
		require.NoError(t, err)
		require.Equal(t, want, m)
		require.Equal(t, b, blocks.AppendMeta(nil, m))
	}
}

func FuzzDecodeMeta(f *testing.F) {
	b := blocks.AppendMeta(nil, fullMeta())
	f.Add(b[3:len(b)-4], byte(1))
	r := blocks.AppendMeta(nil, rollupMeta())
	f.Add(r[3:len(r)-4], byte(3))
	b = blocks.AppendMeta(nil, mergedMeta())
	f.Add(b[3:len(b)-4], byte(2))
	m, _ := buildParquet(f, smallRows())
	b = blocks.AppendMeta(nil, m)
	f.Add(b[3:len(b)-4], b[0])
	f.Fuzz(func(t *testing.T, body []byte, version byte) {
		m, _, err := blocks.DecodeMeta(blocks.ForgeMeta(version, body))
		if err != nil {
			if !errors.Is(err, model.ErrCorrupt) && !errors.Is(err, model.ErrVersion) {
				t.Fatal(err)
			}
			return
		}
		if again, _, err := blocks.DecodeMeta(blocks.AppendMeta(nil, m)); err != nil || again.ID != m.ID {
			t.Fatal("a meta that was read cannot be written again", err)
		}
	})
}
