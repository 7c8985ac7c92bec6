package columnar

import (
	"context"
	"strings"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

const metricName = "__name__"

// part is a subtree of a query that is evaluated here: a function, perhaps of a range, over a selector, and perhaps an
// aggregation over that. Immutable.
type part struct {
	aggregation *aggregation // nil without one
	function    *function
	call        *parser.Call // nil for the function of an instant vector
	selector    *parser.VectorSelector
	// spanMs is how far back the window of a step reaches, offsetMs how long before the step it ends.
	spanMs, offsetMs int64
	hints            *storage.SelectHints
}

// dropsName says that the engine removes the names of the results at the end.
func (p *part) dropsName() bool {
	return p.call != nil && p.call.Func.Name != "last_over_time" && p.call.Func.Name != "first_over_time"
}

// shapes are the nodes, outermost first.
func (p *part) shapes() []string {
	inner := "selector"
	if p.call != nil {
		inner = p.call.Func.Name
	}
	if p.aggregation != nil {
		return []string{p.aggregation.op.String(), inner}
	}
	return []string{inner}
}

func (p *part) String() string { return strings.Join(p.shapes(), " of ") }

// grid is the steps of a query.
type grid struct {
	startMs, endMs, stepMs int64
	n                      int
}

// gridOf is the grid as the engine computes it; an instant query is one step.
func gridOf(s *parser.EvalStmt) grid {
	const nanos = 1e6
	g := grid{startMs: s.Start.UnixNano() / nanos, endMs: s.End.UnixNano() / nanos, stepMs: s.Interval.Milliseconds()}
	if s.Start.Equal(s.End) && s.Interval == 0 {
		g.endMs, g.stepMs = g.startMs, 1
	}
	if g.stepMs > 0 && g.endMs >= g.startMs {
		g.n = int((g.endMs-g.startMs)/g.stepMs) + 1
	}
	return g
}

const (
	whileEvaluating = "expression evaluation"
	whileExecuting  = "query execution"
)

// ended returns the error of a query whose context has ended, as the engine would.
func ended(ctx context.Context) error {
	switch err := ctx.Err(); err {
	case nil:
		return nil
	case context.Canceled:
		return promql.ErrQueryCanceled(whileEvaluating)
	case context.DeadlineExceeded:
		return promql.ErrQueryTimeout(whileEvaluating)
	default:
		return err
	}
}
