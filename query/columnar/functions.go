package columnar

import (
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
)

// function turns the windows of a series into one value a step. Immutable; what it keeps from series to series is in the series.
type function struct {
	// eval fills out, one value a window, absent for none.
	eval func(s *series, out []float64) error
	// markers says that staleness markers are not to be dropped before.
	markers bool
	// counter is where the engine remarks on the names of metrics that are no counters.
	counter bool
}

// newFunction returns the function of a call over a range, or nil.
func newFunction(call *parser.Call, scalars []float64, span time.Duration) *function {
	switch call.Func.Name {
	case "rate":
		return &function{eval: extrapolated{counter: true, seconds: span.Seconds()}.eval, counter: true}
	case "increase":
		return &function{eval: extrapolated{counter: true}.eval, counter: true}
	case "delta":
		return &function{eval: extrapolated{}.eval}
	case "irate":
		return &function{eval: irate}
	case "idelta":
		return &function{eval: idelta}
	case "sum_over_time":
		return &function{eval: sums}
	case "avg_over_time":
		return &function{eval: means}
	case "max_over_time":
		return &function{eval: maxima}
	case "min_over_time":
		return &function{eval: minima}
	case "count_over_time":
		return &function{eval: counts}
	case "present_over_time":
		return &function{eval: presence}
	case "last_over_time":
		return &function{eval: lasts}
	case "first_over_time":
		return &function{eval: firsts}
	case "changes":
		return &function{eval: changes}
	case "resets":
		return &function{eval: resets}
	case "stddev_over_time":
		return &function{eval: deviations}
	case "stdvar_over_time":
		return &function{eval: variances}
	case "quantile_over_time":
		if q := scalars[0]; q >= 0 && q <= 1 {
			return &function{eval: quantiles(q).eval}
		}
		return &function{eval: foreign{call: call, scalars: scalars}.eval}
	case "mad_over_time", "deriv", "predict_linear", "integral",
		"double_exponential_smoothing", "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time":
		return &function{eval: foreign{call: call, scalars: scalars}.eval}
	}
	return nil
}

// instant is the value of an instant vector: the last sample of the window unless it is a staleness marker.
func instant() *function {
	return &function{markers: true, eval: lasts}
}

// foreign is a function of the engine, called on the windows.
type foreign struct {
	call    *parser.Call
	scalars []float64
}

// engineCall is the memory of calls of the engine's functions, and the annotations that they made.
type engineCall struct {
	helper      promql.EvalNodeHelper
	scalars     []promql.Vector
	matrix      promql.Matrix
	annotations annotations.Annotations
}

func (f foreign) eval(s *series, out []float64) error {
	c := &s.call
	if c.matrix == nil {
		c.matrix = make(promql.Matrix, 1)
		for _, v := range f.scalars {
			c.scalars = append(c.scalars, promql.Vector{{F: v}})
		}
	}
	do, points, ts := promql.FunctionCalls[f.call.Func.Name], s.paired(), s.windows.grid.startMs+int64(s.windows.first)*s.windows.grid.stepMs
	for i, w := range s.windows.at {
		if err := s.walk(w); err != nil {
			return err
		}
		out[i] = absent
		if w.lo < w.hi {
			c.matrix[0].Floats = points[w.lo:w.hi:w.hi]
			c.helper.Ts = ts
			result, notes := do(c.scalars, c.matrix, f.call.Args, &c.helper)
			c.annotations.Merge(notes)
			if len(result) > 0 {
				out[i] = result[0].F
			}
			c.helper.Out = result[:0]
		}
		ts += s.windows.grid.stepMs
	}
	return nil
}
