package repair

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/lifecycle"
)

// compactedDay is a world with one day, which is one parquet block, and a hot block that came late for it.
func compactedDay(t *testing.T) (*world, *blocks.Meta) {
	w := newWorld(t)
	for range 3 {
		w.flush("a", testDay)
	}
	l, err := lifecycle.New(&lifecycle.Config{
		Compact: lifecycle.CompactSettings{Settle: -1, WaitForWriters: -100 * 365 * 24 * time.Hour}, Sequential: true,
	}, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog, Now: w.now, Sleep: w.sleep})
	require.NoError(t, err)
	r, err := l.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, r.Compactions)
	p, err := w.catalog.Partition(t.Context(), "a", testDay, nil)
	require.NoError(t, err)
	require.Len(t, p.Blocks, 1)
	require.Equal(t, blocks.Parquet, p.Blocks[0].Format)
	w.flush("a", testDay)
	return w, p.Blocks[0].Meta
}

// findingsOf are the findings about the object, as JSON.
func (w *world) findingsOf(depth Depth, object string) string {
	var of []Finding
	for _, f := range w.check(depth).Findings {
		if f.Object == object {
			of = append(of, f)
		}
	}
	text, err := json.Marshal(of)
	require.NoError(w.t, err)
	return string(text)
}

// TestParquetFindings damages a day's parquet block in one way at a time.
func TestParquetFindings(t *testing.T) {
	flip := func(at func(m *blocks.Meta) int64) func(*world, *blocks.Meta) {
		return func(w *world, m *blocks.Meta) {
			data := w.get(blocks.Key(m))
			data[at(m)] ^= 0x10
			w.put(blocks.Key(m), data)
		}
	}
	for name, d := range map[string]struct {
		depth      Depth
		do         func(w *world, m *blocks.Meta)
		kind, what string
	}{
		"rows flipped":   {Deep, flip(func(m *blocks.Meta) int64 { return m.Chunks.Offset + m.Chunks.Length/2 }), KindDamaged, "checksum"},
		"series flipped": {Deep, flip(func(m *blocks.Meta) int64 { return m.SeriesPages.Offset + m.SeriesPages.Length/2 }), KindDamaged, " at "},
		// The version of a parquet block is that of its Meta, behind the postings; the end of the file is the Parquet footer.
		"unknown version":        {Footers, flip(func(m *blocks.Meta) int64 { return m.Postings.End() }), KindVersion, "unknown format version"},
		"Parquet footer flipped": {Deep, flip(func(m *blocks.Meta) int64 { return m.Size - 100 }), KindDamaged, "checksum"},
		"length of it flipped":   {Footers, flip(func(m *blocks.Meta) int64 { return m.Size - 8 }), KindDamaged, "corrupt"},
		"magic flipped":          {Deep, flip(func(*blocks.Meta) int64 { return 0 }), KindDamaged, "checksum"},
		"truncated": {Quick, func(w *world, m *blocks.Meta) {
			w.put(blocks.Key(m), w.get(blocks.Key(m))[:m.Size-1])
		}, KindDamaged, "bytes"},
		"missing": {Quick, func(w *world, m *blocks.Meta) { w.delete(blocks.Key(m)) }, KindMissing, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := compactedDay(t)
			w.healthy()
			d.do(w, m)
			found := w.findingsOf(d.depth, blocks.Key(m))
			require.Contains(t, found, `"kind":"`+d.kind+`"`)
			require.Contains(t, found, `"severity":"`+string(Lost)+`"`)
			require.Contains(t, found, d.what)
		})
	}
}

// TestParquetFlips: no bit of a parquet block can flip without being found, also those that no query and no compaction reads.
func TestParquetFlips(t *testing.T) {
	w, m := compactedDay(t)
	good := w.get(blocks.Key(m))
	for range 60 {
		bad := append([]byte(nil), good...)
		at := w.rng.IntN(len(bad))
		bad[at] ^= 1 << w.rng.IntN(8)
		w.put(blocks.Key(m), bad)
		require.Contains(t, w.findingsOf(Deep, blocks.Key(m)), `"severity":"`+string(Lost)+`"`, "byte %d of %d", at, len(bad))
	}
	w.put(blocks.Key(m), good)
	w.healthy()
}
