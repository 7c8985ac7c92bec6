package query

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varvedb/varve/model"
)

const (
	dayMs = model.MsPerDay
)

// grid are the steps of a range query, in ms: start, start+step, … up to end.
type grid struct{ start, end, step int64 }

func (g grid) count() int64 {
	if g.end < g.start {
		return 0
	}
	return (g.end-g.start)/g.step + 1
}

// phase is where the steps lie between multiples of the step.
func (g grid) phase() int64 { return ((g.start % g.step) + g.step) % g.step }

// span is the length of the stretches that results are kept in. It depends on the step alone, so that queries over different ranges share them.
func (g grid) span() int64 {
	if g.step < minuteMs {
		return hourMs
	}
	return dayMs
}

// maxPieces bounds the pieces of a query, which are looked up one by one.
const maxPieces = 4096

// isLong reports whether the grid has more pieces than that.
func (g grid) isLong() bool { return g.end/g.span()-g.start/g.span() >= maxPieces }

// piece is what a query asks of one stretch: the steps from first to last of the stretch that begins at begin.
type piece struct{ begin, first, last int64 }

// pieces cuts the grid.
func (g grid) pieces() (out []piece) {
	span := g.span()
	last := g.start + (g.count()-1)*g.step
	for t := g.start; t <= last; {
		begin := t - ((t%span)+span)%span
		steps := min((begin+span-1-t)/g.step, (last-t)/g.step)
		out = append(out, piece{begin, t, t + steps*g.step})
		t += (steps + 1) * g.step
	}
	return out
}

// reach is how far from a step the samples lie that it depends on: from back before it to ahead after it, in ms.
type reach struct{ back, ahead int64 }

// around is the range of samples that the steps from first to last depend on.
func (r reach) around(first, last int64) model.TimeRange {
	return model.TimeRange{MinMs: first - r.back, MaxMs: last + r.ahead}
}

// maxReach is how far a step may reach; beyond, numbers come near their ends.
const maxReach = 100 * 366 * dayMs

// reachOf returns the reach of each step of the expression. It is not ok if the steps are not independent of one another and of the range, or if nothing is
// selected at all.
func reachOf(e parser.Expr, lookback, otherwise time.Duration) (r reach, ok bool) {
	// A label value with one of these in it is taken for the real thing, which costs time and nothing else.
	for _, word := range []string{"@", "start()", "end()", "range()"} {
		if strings.Contains(e.String(), word) {
			return r, false
		}
	}
	if lookback <= 0 {
		lookback = otherwise
	}
	const at = int64(1) << 45 // any time will do
	t := time.UnixMilli(at).UTC()
	lo, hi := promql.FindMinMaxTime(&parser.EvalStmt{Expr: e, Start: t, End: t, LookbackDelta: lookback})
	if lo == 0 && hi == 0 || lo > hi || lo == math.MaxInt64 {
		return r, false
	}
	r = reach{back: max(at-lo, 0), ahead: max(hi-at, 0)}
	return r, r.back < maxReach && r.ahead < maxReach
}
