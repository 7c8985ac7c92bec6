package rollup

import (
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/util/kahansum"

	"github.com/varvedb/varve/model"
)

// Append adds to dst the windows of the samples, which are of one series and of one day, ascending. Windows without samples are left out. resolutionMs divides a
// day. Histograms in dst are those of c, not copies; one in no known form counts as one that is no stale marker.
func Append(dst *model.Rollup, c *model.Columns, resolutionMs int64) {
	w := window{}
	for i := 0; i < len(c.T); {
		end := model.WindowEnd(c.T[i], resolutionMs)
		j := i + 1
		for j < len(c.T) && c.T[j] <= end {
			j++
		}
		w.read(c, i, j)
		w.appendTo(dst, end)
		i = j
	}
}

// window is one of a series, and what is carried on to the next one.
type window struct {
	// floats are the window's, in the order of time.
	floats []float64
	// histograms is their number. h is the last one if no float comes after it.
	histograms int
	h          []byte
	// before is the last float before the window, if there is one.
	before  float64
	follows bool

	kept []float64
}

// read takes the samples [i, j).
func (w *window) read(c *model.Columns, i, j int) {
	w.histograms, w.h = 0, nil
	if c.H == nil && !anyStale(c.V[i:j]) {
		w.floats = c.V[i:j]
		return
	}
	w.kept = w.kept[:0]
	for k := i; k < j; k++ {
		v := c.V[k]
		if c.H != nil && c.H[k] != nil {
			_, float, h, err := model.SplitStart(c.H[k])
			if err != nil || h != nil {
				if !staleHistogram(h) {
					w.histograms, w.h = w.histograms+1, c.H[k]
				}
				continue
			}
			v = float
		}
		if !value.IsStaleNaN(v) {
			w.kept, w.h = append(w.kept, v), nil
		}
	}
	w.floats = w.kept
}

func anyStale(v []float64) bool {
	for _, f := range v {
		if value.IsStaleNaN(f) {
			return true
		}
	}
	return false
}

// appendTo adds the window to dst, unless it is empty, and carries on.
func (w *window) appendTo(dst *model.Rollup, end int64) {
	n := len(w.floats) + w.histograms
	if n == 0 {
		return
	}
	v := [model.Aggregates]float64{model.Count: float64(n)}
	if w.h == nil {
		v[model.Sum] = sum(w.floats)
		v[model.Min], v[model.Max] = extrema(w.floats)
		v[model.Last] = w.floats[len(w.floats)-1]
		v[model.Increase] = w.increase()
	}
	if len(w.floats) > 0 {
		w.before, w.follows = w.floats[len(w.floats)-1], true
	}
	dst.Append(end, &v, w.h)
}

func sum(v []float64) float64 {
	var sum, c float64
	for _, f := range v {
		sum, c = kahansum.Inc(f, sum, c)
	}
	if math.IsInf(sum, 0) {
		return sum
	}
	return sum + c
}

func extrema(v []float64) (least, most float64) {
	least, most = v[0], v[0]
	for _, f := range v[1:] {
		if f < least || math.IsNaN(least) {
			least = f
		}
		if f > most || math.IsNaN(most) {
			most = f
		}
	}
	return least, most
}

// increase is that of the window from the sample before it. The difference of the ends comes first and the resets after it, as PromQL adds them up.
func (w *window) increase() float64 {
	first := w.floats[0]
	if w.follows {
		first = w.before
	}
	inc := w.floats[len(w.floats)-1] - first
	prev := first
	for _, f := range w.floats {
		if f < prev {
			inc += prev
		}
		prev = f
	}
	return inc
}
