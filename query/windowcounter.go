package query

import (
	"math"

	"github.com/varvedb/varve/model"
)

// A window knows the value of a counter at its end and what the counter grew by since the sample before the window, through all resets. The counter that is made of
// windows grows by exactly that between their ends: evenly from the value before, and, if there was a reset, to a peak from which it drops to the value at the end. Its samples are
// evenly spaced, since functions of counters conclude from their distances how far to extrapolate. Where ranges are whole windows it has one sample more at the
// begin of each, so that a range has all of what its windows grew by.

const (
	// strideParts is how many samples of a counter there are at least in the range of a function, if that leaves minStrideMs between two.
	strideParts = 5
	minStrideMs = 5_000
	// sameCounter is by how much of itself a counter that nothing happened to may seem to have changed.
	sameCounter = 1e-9
)

// grow adds the counter during window i.
func (e *emission) grow(i int) {
	w := e.windows
	start, end := w.bounds(i)
	last := w.v[i]
	if end-start == 1 && (i == 0 || w.end[i-1] < start) {
		start = end - w.resolutionMs[i] // what is at midnight is all there is of the window before
	}
	switch {
	case w.isRaw(i):
		return
	case e.rawWithin(start, w.end[i]):
		return // what is between two raw samples is not known
	case w.histogram(i) != nil || end-start == 1:
		e.sample(w.end[i], i)
		return
	}
	base, peak, reset, ok := e.growth(i, start)
	if !ok {
		e.add(w.end[i], last)
		return
	}
	if e.aligned(w.resolutionMs[i]) {
		e.add(start+1, base)
	}
	strides := max(1, min((end-start)/minStrideMs, (strideParts*(end-start)+e.reachMs-1)/max(1, e.reachMs)))
	whole := strides // in which it grows to the peak
	if reset {
		whole = max(1, strides-1)
	}
	for k := int64(1); k < strides; k++ {
		e.add(start+k*(end-start)/strides, base+(peak-base)*(float64(k)/float64(whole)))
	}
	if reset && strides == 1 && peak > base {
		e.add(w.end[i]-2, peak)
	}
	if reset && last >= peak {
		e.add(w.end[i]-1, 0) // which nothing else would show
	}
	e.add(w.end[i], last)
}

// growth says from what value to which one the counter grows in window i, which begins at start, and whether it is reset then. A window that comes back after others
// without samples, on another day, grows from its first sample: the step to that is between the two, as it is of raw samples. ok is false where nothing is to be said but the value at
// the end: of what is no counter, and next to raw samples that fit into no growth.
func (e *emission) growth(i int, start int64) (base, peak float64, reset, ok bool) {
	w := e.windows
	last, increase := w.v[i], w.second[i]
	known := i > 0 && w.histogram(i-1) == nil && (sameDay(w.end[i-1], w.end[i]) || w.end[i-1] >= start-1)
	if known {
		base = w.v[i-1]
	} else {
		base = max(0, last-increase)
	}
	if !(base >= 0 && last >= 0 && increase >= 0) || math.IsInf(base+last+increase, 0) {
		return 0, 0, false, false
	}
	if reset = e.wasReset(i, known, base); reset {
		peak = base + max(0, increase-last)
	} else {
		peak = last
	}
	if before, found := e.rawBefore(start, i); found {
		if before > peak {
			return 0, 0, false, false
		}
		base = max(base, before)
	}
	return base, peak, reset, base <= peak
}

// wasReset says whether the counter was reset between base and the end of window i. Within a day the increase is last−base without a reset, and last or more with one; in
// between there is room for errors of rounding. The first window of a day has not seen the step from the day before, which can only make it smaller.
func (e *emission) wasReset(i int, known bool, base float64) bool {
	w := e.windows
	last, increase := w.v[i], w.second[i]
	switch {
	case !known:
		return increase > last
	case sameDay(w.end[i-1], w.end[i]):
		return increase > last-base/2
	}
	return increase > last-base+sameCounter*max(last, base)
}

// rawBefore returns the last raw sample that is not after t, and in the window before i or after that.
func (e *emission) rawBefore(t int64, i int) (float64, bool) {
	from, to := span(e.raw.T, timesFrom(e.windows, i, t))
	if from == to || e.raw.H != nil && e.raw.H[to-1] != nil || math.IsNaN(e.raw.V[to-1]) {
		return 0, false
	}
	return e.raw.V[to-1], true
}

// timesFrom are the times of the window before i and after it, up to t.
func timesFrom(w *windows, i int, t int64) model.TimeRange {
	r := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: t}
	if i > 0 {
		start, _ := w.bounds(i - 1)
		r.MinMs = start + 1
	}
	return r
}

func sameDay(a, b int64) bool { return model.DayOf(a) == model.DayOf(b) }
