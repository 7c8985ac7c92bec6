package lifecycle

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/blocks/blockstest"
	"github.com/varvedb/varve/model"
)

// change puts other bytes in the place of the block's object.
func (w *world) change(m *blocks.Meta, f func(data []byte) []byte) {
	data, _, err := w.own.Get(context.Background(), blocks.Key(m))
	require.NoError(w.t, err)
	_, err = w.own.Put(context.Background(), blocks.Key(m), f(data))
	require.NoError(w.t, err)
}

// flip changes a bit at an offset of the block.
func (w *world) flip(m *blocks.Meta, offset int64) {
	w.change(m, func(data []byte) []byte {
		data[offset] ^= 1 << w.rng.IntN(8)
		return data
	})
}

// newerCodec makes it a block of which a newer Varve has written a chunk.
func (w *world) newerCodec(m *blocks.Meta) {
	w.change(m, func(data []byte) []byte { return blockstest.NewerCodec(w.t, w.rng, m, data) })
}

// TestCompactBadInputs harms a hot block that is to be compacted, or a parquet block that late data is to be merged into: compaction puts it aside with a reason that names
// the object, does what can be done without it, asks for it no more; who reads it gets an error that names it.
func TestCompactBadInputs(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(w *world, m *blocks.Meta)
		why  string
		hot  bool // only hot blocks have it
	}{
		"rows or chunks": {func(w *world, m *blocks.Meta) { w.flip(m, m.Chunks.Offset+m.Chunks.Length/2) }, "corrupt", true},
		"series page":    {func(w *world, m *blocks.Meta) { w.flip(m, m.SeriesPages.Offset+m.SeriesPages.Length/2) }, "corrupt", false},
		"timestamps":     {func(w *world, m *blocks.Meta) { w.flip(m, m.Runs.Offset+m.Runs.Length/2) }, "corrupt", true},
		"newer version":  {(*world).newerCodec, "unknown format version", true},
		"truncated":      {func(w *world, m *blocks.Meta) { w.change(m, func(b []byte) []byte { return b[:len(b)/3] }) }, "corrupt", false},
		"empty":          {func(w *world, m *blocks.Meta) { w.change(m, func([]byte) []byte { return nil }) }, "corrupt", false},
		"missing": {func(w *world, m *blocks.Meta) {
			require.NoError(w.t, w.own.Delete(context.Background(), blocks.Key(m)))
		}, "not found", false},
	} {
		for _, format := range []blocks.Format{blocks.Native, blocks.Parquet} {
			if c.hot && format == blocks.Parquet {
				continue // its pages of rows are in TestCompactFlips
			}
			t.Run(name+map[blocks.Format]string{blocks.Native: ", hot", blocks.Parquet: ", parquet"}[format], func(t *testing.T) {
				w := closedDay(t, 9)
				l, _ := w.worker(&Config{Sequential: true})
				if format == blocks.Parquet {
					require.Equal(t, 1, w.once(l).Compactions)
					w.flushes(8)
					w.later(1)
				}
				bad := w.partition().Blocks[0].Meta
				c.harm(w, bad)
				r := w.once(l)
				require.Len(t, r.Quarantined, 1)
				require.Contains(t, r.Quarantined[0], c.why)
				require.Equal(t, 1, r.Compactions, "the others")
				p := w.partition()
				require.Len(t, p.Quarantined, 1)
				require.Equal(t, bad.ID, p.Quarantined[0].ID)
				require.Contains(t, p.Quarantined[0].Reason, blocks.Key(bad))
				require.Len(t, p.Blocks, 2)
				require.Zero(t, w.once(l).Jobs)
				sel, err := blocks.Select(context.Background(), blocks.Stored{Bucket: w.own}, bad, &blocks.Query{Range: testDay.Range()})
				if err == nil {
					err = decodeAll(sel)
				}
				require.ErrorContains(t, err, blocks.Key(bad))
				require.ErrorContains(t, err, c.why)
			})
		}
	}
}

// decodeAll decodes all series, up to the first error.
func decodeAll(sel *model.Selection) error {
	defer sel.Close()
	for _, s := range sel.Series {
		if err := s.Samples(&model.Columns{}, testDay.Range()); err != nil {
			return err
		}
	}
	return nil
}

// TestCompactFlips flips a bit anywhere in a day's parquet block to which late data came. Either the block is put aside, or the bit is of
// no part of any sample, and nothing is different.
func TestCompactFlips(t *testing.T) {
	seen := map[bool]int{}
	for range 30 {
		w := closedDay(t, 3)
		l, _ := w.worker(&Config{Sequential: true})
		require.Equal(t, 1, w.once(l).Compactions)
		w.flushes(8)
		w.later(1)
		want := w.read()
		m := w.partition().Blocks[0].Meta
		at := w.rng.Int64N(m.Size)
		w.flip(m, at)
		r := w.once(l)
		require.Equal(t, 1, r.Compactions, "of what came late at least")
		aside := len(r.Quarantined) == 1
		seen[aside]++
		if !aside {
			require.Empty(t, r.Quarantined)
			require.Equal(t, want, w.read(), "bit at %d of %d", at, m.Size)
			continue
		}
		require.Contains(t, r.Quarantined[0], blocks.Key(m))
		require.Contains(t, r.Quarantined[0], " at ")
	}
	require.Greater(t, seen[true], 2)
	require.Greater(t, seen[false], 2, "dictionaries of labels, postings, footers")
}
