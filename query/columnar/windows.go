package columnar

import (
	"math"
	"slices"
)

// window is the samples [lo, hi) of a series that one step sees.
type window struct{ lo, hi int32 }

// place is where the first and the last sample of a window lie: how long after its start and before its end, with count samples in all.
type place struct {
	toStart, toEnd int64
	count          int32
}

// windows are the windows of all steps over some timestamps.
type windows struct {
	grid             grid
	spanMs, offsetMs int64

	times []int64 // that the windows are of, if known
	known bool
	// at are the windows of the steps from first on; those before and after them are empty.
	first int
	at    []window
	// places are those of windows with at least two samples, of several windows in a row with the same only one; of is the place of a window.
	places []place
	of     []int32
	// rates is what a rate needs of each place, if measured.
	rates    []stretch
	measured bool
	// The times may all be so much later or earlier without a change of windows.
	later, earlier int64
	// samples is the sum of the windows' lengths, fresh how many samples appear in some window for the first time, longest the length of
	// the longest.
	samples, fresh int64
	longest        int32
}

// remembered is how many samples there may be a step for their timestamps to be kept and compared: with more, finding is cheaper.
const remembered = 4

// set makes the windows those of t.
func (w *windows) set(t []int64) {
	if w.known = len(t) <= remembered*w.grid.n; w.known {
		w.times = append(w.times[:0], t...)
	}
	w.measured = false
	w.search(t)
}

// move makes the windows those of t if t is the times that they are of, a little earlier or later, and reports whether it is.
func (w *windows) move(t []int64) bool {
	shift, ok := w.shift(t)
	if !ok || shift < -w.earlier || shift > w.later {
		return false
	}
	if shift == 0 {
		return true
	}
	w.later -= shift
	w.earlier += shift
	for i := range w.places {
		w.places[i].toStart += shift
		w.places[i].toEnd -= shift
	}
	copy(w.times, t)
	w.measured = false
	return true
}

// keptWindows are windows found for series before. Series of one scrape target share their timestamps, and those of other targets are often
// the same a little earlier or later. Used by one goroutine.
type keptWindows struct {
	last  *windows
	slots []windows
}

// keptBytes is about what the windows of one worker may take, of which each step of each takes up to stepBytes.
const (
	keptBytes = 2 << 20
	stepBytes = 8*remembered + 16
	maxKept   = 256
)

func newKeptWindows(g grid, spanMs, offsetMs int64) keptWindows {
	k := keptWindows{slots: make([]windows, max(1, min(maxKept, keptBytes/stepBytes/g.n)))}
	for i := range k.slots {
		k.slots[i] = windows{grid: g, spanMs: spanMs, offsetMs: offsetMs}
	}
	k.last = &k.slots[0]
	return k
}

// find returns the windows of t, valid until the next call.
func (k *keptWindows) find(t []int64) *windows {
	if k.last.move(t) {
		return k.last
	}
	var key uint64
	if n := len(t); n > 0 {
		key = (uint64(t[0])*31+uint64(t[n-1]))*31 + uint64(n)
		key ^= key >> 17
	}
	w := &k.slots[key%uint64(len(k.slots))]
	if !w.known || !slices.Equal(w.times, t) {
		w.set(t)
	}
	k.last = w
	return w
}

// shift says by how much t is later than the times that are known, if it is that for all of them.
func (w *windows) shift(t []int64) (int64, bool) {
	if !w.known || len(t) != len(w.times) || len(t) == 0 {
		return 0, false
	}
	shift := t[0] - w.times[0]
	times := w.times[:len(t)]
	for i := range t {
		if t[i]-times[i] != shift {
			return 0, false
		}
	}
	return shift, true
}

// search finds the windows of t.
func (w *windows) search(t []int64) {
	n := w.reach(t)
	w.at, w.of, w.places = grown(w.at, n), grown(w.of, n), w.places[:0]
	w.samples, w.fresh, w.longest = 0, 0, 0
	lo, hi, strideLo, strideHi := 0, 0, 0, 0
	var last place
	end := w.end(w.first)
	for i := range w.at {
		start := end - w.spanMs
		before := lo
		lo = beyond(t, lo, start, strideLo)
		strideLo = lo - before
		before = hi
		seen := max(lo, hi)
		hi = beyond(t, hi, end, strideHi)
		strideHi = hi - before
		w.room(t, lo, start)
		w.room(t, hi, end)
		w.at[i] = window{int32(lo), int32(hi)}
		w.samples += int64(hi - lo)
		w.fresh += int64(hi - seen)
		w.longest = max(w.longest, int32(hi-lo))
		if hi-lo >= 2 {
			if p := (place{t[lo] - start, end - t[hi-1], int32(hi - lo)}); p != last {
				last = p
				w.places = append(w.places, p)
			}
		}
		w.of[i] = int32(len(w.places) - 1)
		end += w.grid.stepMs
	}
}

// end is the end of the window of a step.
func (w *windows) end(step int) int64 {
	return w.grid.startMs - w.offsetMs + int64(step)*w.grid.stepMs
}

// reach finds the steps between whose windows all of t lies, sets first, and returns how many they are.
func (w *windows) reach(t []int64) int {
	w.later, w.earlier = math.MaxInt64, math.MaxInt64
	w.first = 0
	if len(t) == 0 {
		return 0
	}
	if before := t[0] - w.end(0); before > 0 {
		w.first = int(min((before+w.grid.stepMs-1)/w.grid.stepMs, int64(w.grid.n)))
	}
	last := w.grid.n - 1
	if after := t[len(t)-1] - (w.end(0) - w.spanMs); after <= 0 {
		last = -1
	} else {
		last = int(min((after-1)/w.grid.stepMs, int64(last)))
	}
	if w.first > 0 {
		w.room(t, 0, w.end(w.first-1))
	}
	if last < w.grid.n-1 {
		w.room(t, len(t), w.end(last+1)-w.spanMs)
	}
	return max(0, last+1-w.first)
}

// room notes how far the times may move such that at stays the first later than limit.
func (w *windows) room(t []int64, at int, limit int64) {
	if at > 0 {
		w.later = min(w.later, limit-t[at-1])
	}
	if at < len(t) {
		w.earlier = min(w.earlier, t[at]-limit-1)
	}
}

// beyond returns the first index, not before from, of a time later than last. It looks first a stride ahead, where
// it is if the steps and the times are regular.
func beyond(t []int64, from int, last int64, stride int) int {
	if at := from + stride; at < len(t) && t[at] > last && (stride == 0 || t[at-1] <= last) {
		return at
	}
	// A few steps on, or else by halves within a stretch that is found by doubling.
	const few = 4
	for n := 0; n < few; n++ {
		if from == len(t) || t[from] > last {
			return from
		}
		from++
	}
	length := few
	for from+length < len(t) && t[from+length] <= last {
		from += length
		length *= 2
	}
	n, _ := slices.BinarySearch(t[from:min(from+length, len(t))], last+1)
	return from + n
}
