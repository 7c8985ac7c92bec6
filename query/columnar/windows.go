package columnar

import "slices"

// window is the samples [lo, hi) of a series that one step sees.
type window struct{ lo, hi int32 }

// windows are the windows of all steps. Series of one scrape target share their timestamps, so
// they are kept from one series to the next and found again only where the timestamps differ.
type windows struct {
	grid             grid
	spanMs, offsetMs int64

	times []int64 // that the windows are of
	at    []window
	known bool
	// samples is the sum of the windows' lengths, fresh how many samples appear in some window for the first time, longest the length of
	// the longest.
	samples, fresh int64
	longest        int32
}

// find makes the windows those of t and reports whether they had been others.
func (w *windows) find(t []int64) bool {
	if w.known && slices.Equal(w.times, t) {
		return false
	}
	w.times, w.known = append(w.times[:0], t...), true
	w.at = grown(w.at, w.grid.n)
	w.samples, w.fresh, w.longest = 0, 0, 0
	lo, hi := 0, 0
	end := w.grid.startMs - w.offsetMs
	for i := range w.at {
		start := end - w.spanMs
		for lo < len(t) && t[lo] <= start {
			lo++
		}
		seen := max(lo, hi)
		hi = seen
		for hi < len(t) && t[hi] <= end {
			hi++
		}
		w.at[i] = window{int32(lo), int32(hi)}
		w.samples += int64(hi - lo)
		w.fresh += int64(hi - seen)
		w.longest = max(w.longest, int32(hi-lo))
		end += w.grid.stepMs
	}
	return true
}
