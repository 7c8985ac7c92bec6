package query

import (
	"cmp"
	"slices"
	"sync"

	"github.com/varvedb/varve/model"
)

// What is made of windows here are samples from which the engine's own functions get their answers; which function that is, the purpose
// knows. Samples lie in the window that they are of, so that whole windows give what the raw samples would have given.

// rolling is how the series of a selection are decoded that have windows. Safe for concurrent use.
type rolling struct {
	purpose
	// workplaces are memory for windows, of which a selection needs as much as workers decode at a time.
	workplaces sync.Pool
}

// workplace is what decoding a series takes.
type workplace struct {
	windows        windows
	held, free     []model.Series
	raw, all, left model.Columns
}

// decode is decode for parts some of which are windows.
func (p *rolling) decode(dst, scratch *model.Columns, parts []model.Series, r model.TimeRange, excuse func(error) error) error {
	at, ok := p.workplaces.Get().(*workplace)
	if !ok {
		at = &workplace{}
	}
	defer p.workplaces.Put(at)
	return at.decode(&p.purpose, dst, scratch, parts, r, excuse)
}

func (at *workplace) decode(p *purpose, dst, scratch *model.Columns, parts []model.Series, r model.TimeRange, excuse func(error) error) error {
	w := &at.windows
	w.reset()
	at.held, at.free = at.held[:0], at.free[:0]
	wide := r
	for _, part := range parts {
		switch s := part.(type) {
		case *windowSeries:
			if err := w.read(s); err != nil {
				if err := excuse(err); err != nil {
					return err
				}
			}
		case *rolledSeries:
			at.held = append(at.held, s)
			wide.MinMs, wide.MaxMs = min(wide.MinMs, r.MinMs-s.resolutionMs), max(wide.MaxMs, r.MaxMs+s.resolutionMs)
		default:
			at.free = append(at.free, part)
		}
	}
	if len(w.end) == 0 {
		return decode(dst, scratch, parts, r, excuse)
	}
	switch p.use {
	case useCount:
		w.count = append(w.count[:0], w.v...)
	case useMean:
		w.count = append(w.count[:0], w.second...)
	}
	at.raw.Reset()
	if len(at.held) > 0 {
		at.all.Reset()
		if err := decode(&at.all, scratch, at.held, wide, excuse); err != nil {
			return err
		}
		at.left.Reset()
		w.claim(&at.left, &at.all)
		appendWithin(&at.raw, &at.left, r)
	}
	if err := decode(&at.raw, scratch, at.free, r, excuse); err != nil {
		return err
	}
	e := emission{purpose: p, windows: w, r: r, raw: &at.raw, out: dst}
	e.emit()
	e.merge(scratch)
	return nil
}

func appendWithin(dst, src *model.Columns, r model.TimeRange) {
	from, to := span(src.T, r)
	for i := from; i < to; i++ {
		appendFrom(dst, src, i)
	}
}

// emission makes samples of windows.
type emission struct {
	*purpose
	windows *windows
	r       model.TimeRange
	raw     *model.Columns // samples that are there beside the windows
	out     *model.Columns
}

// emit appends the samples within the range to out.
func (e *emission) emit() {
	w := e.windows
	for i := range w.end {
		switch e.use {
		case useLast:
			if e.reachMs < w.resolutionMs[i] {
				e.bridge(i)
			} else if !w.isRaw(i) {
				e.sample(w.end[i], i)
			}
		case useCount:
			e.spread(i, 1, w.v[i])
		case useMean:
			e.spread(i, w.v[i]/w.second[i], w.second[i])
		case useCounter:
			e.grow(i)
		default:
			if !w.isRaw(i) {
				e.add(w.end[i], w.v[i])
			}
		}
	}
}

func (e *emission) add(t int64, v float64) {
	if e.r.Contains(t) {
		e.out.Append(t, v)
	}
}

// sample adds the first aggregate of window i at the time, or its histogram.
func (e *emission) sample(t int64, i int) {
	switch h := e.windows.histogram(i); {
	case h == nil:
		e.add(t, e.windows.v[i])
	case e.r.Contains(t):
		e.out.AppendHistogram(t, h)
	}
}

// bridge adds the last sample of window i, and repeats it for the time until the next one ends, if that follows at once: then the series went on, and whoever looks back a shorter time than
// a window lasts should find it. Where the first window of a day follows on nothing that is known, its own value stands for the time before.
func (e *emission) bridge(i int) {
	w := e.windows
	start, _ := w.bounds(i)
	if model.DayOf(w.end[i]).Range().MinMs == start && !w.isRaw(i) && !w.follows(i) && !e.rawWithin(start, w.end[i]) {
		for t := start + 1; t < w.end[i]; t += e.reachMs {
			e.sample(t, i)
		}
	}
	if !w.isRaw(i) {
		e.sample(w.end[i], i)
	}
	if !w.follows(i+1) || w.isRaw(i+1) {
		return
	}
	until := w.end[i+1]
	if t, ok := e.rawAfter(w.end[i]); ok {
		until = min(until, t)
	}
	for t := w.end[i] + e.reachMs; t < until; t += e.reachMs {
		e.sample(t, i)
	}
}

// spread adds n samples of the value, a millisecond apart, so that functions which count samples count those of window i. There cannot be more in a window than milliseconds.
func (e *emission) spread(i int, v, n float64) {
	w := e.windows
	start, _ := w.bounds(i)
	if w.isRaw(i) || !(n >= 1) {
		return
	}
	first := w.end[i] - int64(min(n, float64(w.end[i]-start))) + 1
	first, last := max(first, e.r.MinMs), min(w.end[i], e.r.MaxMs)
	if first > last {
		return
	}
	many, c := int(last-first)+1, e.out // of which none is a histogram
	from := len(c.T)
	c.T, c.V = slices.Grow(c.T, many)[:from+many], slices.Grow(c.V, many)[:from+many]
	for k := from; k < len(c.T); k++ {
		c.T[k], c.V[k] = first+int64(k-from), v
	}
}

// rawWithin reports whether a raw sample lies in (start, end].
func (e *emission) rawWithin(start, end int64) bool {
	t, ok := e.rawAfter(start)
	return ok && t <= end
}

// rawAfter returns the time of the first raw sample after t.
func (e *emission) rawAfter(t int64) (int64, bool) {
	i, _ := slices.BinarySearch(e.raw.T, t+1)
	if i == e.raw.Len() {
		return 0, false
	}
	return e.raw.T[i], true
}

// merge merges the raw samples into out.
func (e *emission) merge(scratch *model.Columns) {
	if e.raw.Len() == 0 {
		return
	}
	if e.whole() {
		e.giveWay()
	}
	n := e.out.Len()
	for i := range e.raw.T {
		appendFrom(e.out, e.raw, i)
	}
	if n > 0 && e.raw.T[0] <= e.out.T[n-1] {
		mergeTail(e.out, scratch, n)
	}
}

// giveWay moves samples of windows off the times of raw ones, a millisecond or so back: both count. What would leave the range stays in its first millisecond
// where that is free, else it is lost; that takes as many samples as milliseconds.
func (e *emission) giveWay() {
	ts, below := e.out.T, int64(0)
	for i := len(ts) - 1; i >= 0; i-- {
		t := ts[i]
		if i < len(ts)-1 {
			t = min(t, below-1)
		}
		for at, taken := slices.BinarySearch(e.raw.T, t); taken; at, taken = slices.BinarySearchFunc(e.raw.T[:at], t, cmp.Compare) {
			t--
		}
		ts[i], below = t, t
	}
	drop, _ := slices.BinarySearch(ts, e.r.MinMs)
	e.out.T, e.out.V = ts[drop:], e.out.V[drop:]
	if e.out.H != nil {
		e.out.H = e.out.H[drop:]
	}
}
