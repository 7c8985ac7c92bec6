package query

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/varvedb/varve/model"
)

// windowSeries is a series of a block of rollups: a part of a series of an answer that has windows in place of samples. It implements model.Series.
type windowSeries struct {
	// aggregates are those of the use, in its order, and Count behind them if it was asked for beside them. One that has nothing of the series is nil, but the first.
	aggregates   []model.Series
	counted      bool // the last aggregate is Count, to compare raw samples with
	resolutionMs int64
	r            model.TimeRange // that was selected
}

// Labels implements model.Series.
func (s *windowSeries) Labels() labels.Labels { return s.aggregates[0].Labels() }

// Samples implements model.Series: the first aggregate as it is.
func (s *windowSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	return s.aggregates[0].Samples(dst, r)
}

// rolledSeries is a series of a raw block of which the rollups beside it hold every sample. It implements model.Series.
type rolledSeries struct {
	model.Series
	resolutionMs int64
}

// Before implements model.Preceded.
func (s *rolledSeries) Before(dst *model.Columns, t int64) error {
	return model.Before(dst, []model.Series{s.Series}, t)
}

// windows are those of one series, as parallel arrays, ascending.
type windows struct {
	end          []int64
	resolutionMs []int64
	// v and second are the first and the second aggregate; second is 0 where the use has none.
	v, second []float64
	h         [][]byte  // of the windows that end in a native histogram; nil if none does
	count     []float64 // nil if nobody asked for it
	// raw are windows of which all samples are there in raw form; they are answered from these. Nil if there are no such samples.
	raw []bool

	columns []model.Columns // to decode into
}

// reset forgets the windows and keeps their memory.
func (w *windows) reset() {
	*w = windows{
		end: w.end[:0], resolutionMs: w.resolutionMs[:0], v: w.v[:0], second: w.second[:0], count: w.count[:0], raw: w.raw[:0], columns: w.columns,
	}
}

// read appends the windows of a series.
func (w *windows) read(s *windowSeries) error {
	for len(w.columns) < len(s.aggregates) {
		w.columns = append(w.columns, model.Columns{})
	}
	columns := w.columns[:len(s.aggregates)]
	for i, a := range s.aggregates {
		columns[i].Reset()
		if a == nil {
			continue
		}
		if err := a.Samples(&columns[i], s.r); err != nil {
			return err
		}
	}
	first, before := &columns[0], len(w.end)
	if before > 0 && first.Len() > 0 && first.T[0] <= w.end[before-1] {
		return fmt.Errorf("rollups of %s have a window that ends at %s twice: %w", s.Labels(), utc(first.T[0]), model.ErrCorrupt)
	}
	w.end, w.v = append(w.end, first.T...), append(w.v, first.V...)
	w.resolutionMs = append(w.resolutionMs, make([]int64, first.Len())...)
	for i := before; i < len(w.end); i++ {
		w.resolutionMs[i] = s.resolutionMs
	}
	if first.H != nil && w.h == nil {
		w.h = make([][]byte, before)
	}
	if w.h != nil {
		w.h = append(w.h, first.H...)
		w.h = append(w.h, make([][]byte, len(w.end)-len(w.h))...)
	}
	if s.counted {
		last := len(columns) - 1
		w.count = w.join(w.count, &columns[last], before)
		columns = columns[:last]
	}
	if len(columns) > 1 {
		w.second = w.join(w.second, &columns[1], before)
	}
	return nil
}

// join appends to dst the values of c at the ends of the windows from the one on.
func (w *windows) join(dst []float64, c *model.Columns, from int) []float64 {
	if slices.Equal(w.end[from:], c.T) {
		return append(dst, c.V...)
	}
	i := 0
	for _, t := range w.end[from:] {
		dst = append(dst, at(c, &i, t))
	}
	return dst
}

// at is the value of the columns at the time, 0 if there is none. The index moves along with calls of ascending times.
func at(c *model.Columns, i *int, t int64) float64 {
	for *i < len(c.T) && c.T[*i] < t {
		*i++
	}
	if *i < len(c.T) && c.T[*i] == t {
		return c.V[*i]
	}
	return 0
}

// bounds are where window i begins, which is outside of it, and where it ends. At midnight there is a window of one millisecond, and the one before
// it, that has its timestamp a millisecond earlier, ends there too.
func (w *windows) bounds(i int) (start, end int64) {
	day := model.DayOf(w.end[i]).Range()
	since := w.end[i] - day.MinMs
	if since == 0 {
		return day.MinMs - 1, day.MinMs
	}
	ms := w.resolutionMs[i]
	start = day.MinMs + (since-1)/ms*ms
	return start, start + ms
}

// follows says that window i begins where the one before it ends.
func (w *windows) follows(i int) bool {
	if i == 0 || i >= len(w.end) {
		return false
	}
	start, _ := w.bounds(i)
	return start <= w.end[i-1]+1
}

// histogram is that which window i ends in, nil for none.
func (w *windows) histogram(i int) []byte {
	if w.h == nil {
		return nil
	}
	return w.h[i]
}

// isRaw reports whether raw samples answer for window i.
func (w *windows) isRaw(i int) bool { return len(w.raw) > 0 && w.raw[i] }

// claim marks the windows of which held has all samples, and appends to left what of held lies in these or in no window. The rest is in windows that
// have more than is left of it.
func (w *windows) claim(left, held *model.Columns) {
	i := 0
	w.raw = slices.Grow(w.raw[:0], len(w.end))[:len(w.end)]
	clear(w.raw)
	for j := 0; j < held.Len(); {
		for i < len(w.end) && w.end[i] < held.T[j] {
			i++
		}
		start := int64(math.MaxInt64)
		if i < len(w.end) {
			start, _ = w.bounds(i)
		}
		if held.T[j] <= start {
			appendFrom(left, held, j)
			j++
			continue
		}
		from, samples := j, 0.0
		for ; j < held.Len() && held.T[j] <= w.end[i]; j++ {
			if held.H != nil && held.H[j] != nil || !value.IsStaleNaN(held.V[j]) {
				samples++
			}
		}
		if w.raw[i] = i < len(w.count) && samples >= w.count[i]; w.raw[i] {
			for ; from < j; from++ {
				appendFrom(left, held, from)
			}
		}
	}
}
