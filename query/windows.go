package query

import (
	"fmt"
	"math"

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
	h         [][]byte  // of the windows that end in a native histogram
	count     []float64 // infinite where it was not asked for
	// raw are windows of which all samples are there in raw form; they are answered from these.
	raw []bool
}

// read appends the windows of a series.
func (w *windows) read(s *windowSeries) error {
	columns := make([]model.Columns, len(s.aggregates))
	for i, a := range s.aggregates {
		if a == nil {
			continue
		}
		if err := a.Samples(&columns[i], s.r); err != nil {
			return err
		}
	}
	first := &columns[0]
	if n := len(w.end); n > 0 && first.Len() > 0 && first.T[0] <= w.end[n-1] {
		return fmt.Errorf("rollups of %s have a window that ends at %s twice: %w", s.Labels(), utc(first.T[0]), model.ErrCorrupt)
	}
	second, count := &model.Columns{}, &model.Columns{}
	if s.counted {
		count = &columns[len(columns)-1]
		columns = columns[:len(columns)-1]
	}
	if len(columns) > 1 {
		second = &columns[1]
	}
	j, k := 0, 0
	for i, t := range first.T {
		h := []byte(nil)
		if first.H != nil {
			h = first.H[i]
		}
		n := math.Inf(1)
		if s.counted {
			n = at(count, &k, t)
		}
		w.end, w.resolutionMs = append(w.end, t), append(w.resolutionMs, s.resolutionMs)
		w.v, w.second = append(w.v, first.V[i]), append(w.second, at(second, &j, t))
		w.h, w.count, w.raw = append(w.h, h), append(w.count, n), append(w.raw, false)
	}
	return nil
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

// claim marks the windows of which held has all samples, and returns what of held lies in these or in no window. The rest is in windows that
// have more than is left of it.
func (w *windows) claim(held *model.Columns) *model.Columns {
	left, i := &model.Columns{}, 0
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
		if w.raw[i] = samples >= w.count[i]; w.raw[i] {
			for ; from < j; from++ {
				appendFrom(left, held, from)
			}
		}
	}
	return left
}
