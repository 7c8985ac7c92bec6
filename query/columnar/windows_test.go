package columnar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWindows compares windows with those found by looking at every sample, for one series after the other, many of them the last one
// a little earlier or later.
func TestWindows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	kept, moved := 0, 0
	for range 300 {
		all := newKeptWindows(grid{startMs: r.Int64N(1000), stepMs: 1 + r.Int64N(60), n: 1 + r.IntN(40)}, 1+r.Int64N(200), r.Int64N(200)-100)
		var times []int64
		var before [][]int64
		for range 20 {
			switch r.IntN(5) {
			case 0:
				times = nil
				scrape, jitter := 1+r.Int64N(30), r.Int64N(2)*r.Int64N(20)
				for at := r.Int64N(500); at < 2500; at += scrape + r.Int64N(jitter+1) {
					times = append(times, at)
				}
			case 1: // the same again
			case 2: // one of those before
				if len(before) > 0 {
					times = slices.Clone(before[r.IntN(len(before))])
				}
			default:
				shift := r.Int64N(15) - 7
				for i := range times {
					times[i] += shift
				}
			}
			before = append(before, slices.Clone(times))
			for i := range all.slots {
				all.slots[i].measured = true
			}
			last, places, earlier := all.last, len(all.last.places), all.last.earlier
			w := all.find(times)
			switch {
			case w.measured:
				kept++
			case w == last && len(w.places) == places && w.earlier != earlier:
				moved++
			}
			requireWindows(t, w, times)
		}
	}
	require.Greater(t, kept, 100)
	require.Greater(t, moved, 100)
}

func requireWindows(t *testing.T, w *windows, times []int64) {
	var samples, fresh int64
	longest, seen := 0, 0
	for i := range w.grid.n {
		var at window
		if n := i - w.first; n >= 0 && n < len(w.at) {
			at = w.at[n]
		}
		end := w.grid.startMs + int64(i)*w.grid.stepMs - w.offsetMs
		lo, hi := 0, 0
		for _, x := range times {
			if x <= end-w.spanMs {
				lo++
			}
			if x <= end {
				hi++
			}
		}
		if at == (window{}) && lo == hi {
			seen = hi
			continue
		}
		require.Equal(t, window{int32(lo), int32(hi)}, at, fmt.Sprintf("step %d of %+v over %v", i, w.grid, times))
		samples += int64(hi - lo)
		fresh += int64(hi - max(lo, seen))
		seen = hi
		longest = max(longest, hi-lo)
		if hi-lo >= 2 {
			require.Equal(t, place{times[lo] - (end - w.spanMs), end - times[hi-1], int32(hi - lo)}, w.places[w.of[i-w.first]])
		}
	}
	require.Equal(t, []int64{samples, fresh, int64(longest)}, []int64{w.samples, w.fresh, int64(w.longest)})
}
