package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// TestTailStages reads logs of many shapes: how many stages that takes beyond the first, how far it gets, and what it says.
func TestTailStages(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		name string
		// generations has for each generation how many segments it has; all but the last are ended by one more, with the mark.
		generations []int
		noise       int // samples of noise in a segment
		mode        string
		config      Config
		// stages of the log; segments is how many were read, of those that have a sample.
		stages, segments int
		cut              bool
	}{
		{name: "one segment", generations: []int{1}, stages: 1, segments: 1},
		{name: "17 segments", generations: []int{17}, stages: 1, segments: 17},
		{name: "64 segments", generations: []int{64}, stages: 1, segments: 64, cut: true},
		{name: "more than 64 segments", generations: []int{70}, stages: 1, segments: 64, cut: true},
		{name: "a generation ended", generations: []int{3, 0}, stages: 2, segments: 3},
		{name: "two generations", generations: []int{20, 20}, stages: 2, segments: 40},
		{name: "three generations, cut", generations: []int{20, 20, 40}, stages: 3, segments: 62, cut: true},
		{name: "everything of a long log", generations: []int{200, 10}, mode: "object", stages: 4, segments: 210},
		{name: "long segments", generations: []int{5}, noise: 10_000, stages: 1, segments: 5},
		{name: "segments longer than their share", generations: []int{5}, noise: 10_000, config: Config{MaxTailBytes: 2048 * kib}, stages: 2, segments: 5},
		{name: "more bytes than the bound", generations: []int{9}, noise: 10_000, config: Config{MaxTailBytes: 500 * kib}, stages: 2, segments: 5, cut: true},
		{name: "one segment longer than the bound", generations: []int{3}, noise: 10_000, config: Config{MaxTailBytes: 50 * kib}, stages: 2, segments: 1, cut: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg = c.config
			w.cfg.Detached, w.cfg.CatalogCacheBytes = true, 1<<20
			mode := "fsync"
			if c.mode != "" {
				mode = c.mode
			}
			w.register(catalog.Writer{ID: "w1", Mode: mode, Shipping: true})
			w.flush("w0", 1, day0, data{}.add("old", t0+100_000, 1)) // so that there is a root
			s := newShipper(w, "w1")
			r := rand.New(rand.NewPCG(1, 2))
			n := int64(0)
			for g, segments := range c.generations {
				for range segments {
					noise := make([]model.Sample, c.noise)
					for i := range noise {
						noise[i] = model.Sample{T: t0 + n, V: r.Float64()}
					}
					if len(noise) > 0 {
						s.add("other", "noise", noise...)
					}
					s.add(testTenant, "a", model.Sample{T: t0 + n, V: float64(n)})
					s.ship()
					n++
				}
				if g+1 < len(c.generations) {
					s.rotate()
				}
			}
			_, err := w.bucket.Put(t.Context(), "w/w1/id", []byte("x"))
			require.NoError(t, err)

			for _, denied := range []bool{false, true} {
				if denied {
					w.driver.SetHook(denyMissing(w))
				}
				want := data{}
				for i := range int64(c.segments) {
					want.add("a", t0+i, float64(i))
				}
				var e Explain
				stats := w.countCold(t, 1+c.stages, func(ctx context.Context, t *testing.T, q *Queryable) {
					ctx, a := WithAccount(ctx)
					got := selectAll(ctx, t, q, t0, t0+1000, everything)
					require.NoError(t, got.err)
					require.Equal(t, want, got.data)
					reached := fmt.Sprintf("reaches %s", utc(t0+int64(c.segments)-1))
					switch {
					case mode == modeObject:
						require.Empty(t, got.warnings)
					case c.cut:
						require.Equal(t, []string{"writer w1 was not asked; its shipped log was read up to the limit and " + reached + " there"}, got.warnings)
					default:
						require.Equal(t, []string{"writer w1 was not asked; its shipped log " + reached}, got.warnings)
					}
					e = a.Explain()
				})
				require.Equal(t, 1+c.stages, e.Stages)
				require.Equal(t, stats.Requests[countblob.OpGet], e.Gets)
				require.Equal(t, stats.Bytes, e.BytesFetched+e.CatalogBytes)
				require.LessOrEqual(t, e.BytesFetched, 2*e.BytesNeeded+64*kib*int64(e.Gets))
				require.LessOrEqual(t, e.BytesNeeded, e.BytesFetched)
			}
		})
	}
}

// TestTailEnds has logs with a segment missing in the middle.
func TestTailEnds(t *testing.T) {
	w := newWorld(t)
	w.cfg.Detached = true
	w.register(catalog.Writer{ID: "w1", Mode: "object", Shipping: true})
	s := newShipper(w, "w1")
	const segments = 3*tailWindow + 1
	for i := range int64(segments) {
		s.add(testTenant, "a", model.Sample{T: t0 + i, V: float64(i)})
		s.ship()
	}
	for _, gone := range []uint64{segments - 1, 2 * tailWindow, tailWindow + 5, tailWindow, 20, 0} {
		require.NoError(t, w.bucket.Delete(t.Context(), wal.SegmentKey("w1", 1, gone)))
		got := selectAll(w.ctx(), t, w.queryable(), t0, t0+1000, everything)
		require.NoError(t, got.err)
		require.Len(t, got.data["a"], int(gone), "the first missing key ends the log")
	}
}
