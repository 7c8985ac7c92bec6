package columnar

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"
)

// partLabel names the matcher of the selectors that stand for parts. They are known by the identity of that matcher, so that nothing a user
// writes is taken for one.
const partLabel = "__varve_part__"

// maxSteps is how many steps a query may have to be evaluated here, where a series has an array of that length. The API allows 11,000.
const maxSteps = 1 << 20

// work is what is evaluated here of one query. Used by the goroutine that executes the query.
type work struct {
	engine *Engine
	grid   grid
	// minMs and maxMs are the range of all that the query selects, parts included.
	minMs, maxMs int64
	parts        map[*labels.Matcher]*part
	stats        *stats.QuerySamples
	meter        meter
	// whole is set if the query is one part and nothing around it, value then by the evaluation.
	whole *entire
	value parser.Value
	// err is what ended the evaluation of a part, as the engine would say it.
	err error
}

// newWork takes the parts out of a statement that can be evaluated here.
func newWork(e *Engine, stmt *parser.EvalStmt, startTimestamps bool) *work {
	w := &work{engine: e, grid: gridOf(stmt), meter: meter{limit: int64(e.opts.MaxSamples)}}
	if w.grid.n <= 0 || w.grid.n > maxSteps {
		return w
	}
	w.minMs, w.maxMs = promql.FindMinMaxTime(stmt)
	r := rewriter{work: w, lookback: stmt.LookbackDelta, interval: stmt.Interval, startTimestamps: startTimestamps}
	inner := stmt.Expr
	for paren, ok := inner.(*parser.ParenExpr); ok; paren, ok = inner.(*parser.ParenExpr) {
		inner = paren.Expr
	}
	if p := r.part(inner); p != nil {
		w.whole = &entire{part: p, grid: w.grid, meter: &w.meter, instant: stmt.Interval == 0}
		stmt.Expr = r.replace(inner, p)
		return w
	}
	stmt.Expr = r.rewrite(stmt.Expr)
	return w
}

// rewriter replaces parts. Of nested candidates it takes the outermost.
type rewriter struct {
	work               *work
	lookback, interval time.Duration
	startTimestamps    bool
}

func (r *rewriter) rewrite(expr parser.Expr) parser.Expr {
	if p := r.part(expr); p != nil {
		return r.replace(expr, p)
	}
	switch n := expr.(type) {
	case *parser.AggregateExpr:
		n.Expr = r.rewrite(n.Expr)
		if n.Param != nil {
			n.Param = r.rewrite(n.Param)
		}
	case *parser.Call:
		if !onlyNative[n.Func.Name] {
			for i := range n.Args {
				n.Args[i] = r.rewrite(n.Args[i])
			}
		}
	case *parser.BinaryExpr:
		n.LHS, n.RHS = r.rewrite(n.LHS), r.rewrite(n.RHS)
	case *parser.UnaryExpr:
		n.Expr = r.rewrite(n.Expr)
	case *parser.ParenExpr:
		n.Expr = r.rewrite(n.Expr)
	}
	return expr
}

// onlyNative are calls whose argument is of native histograms, or is looked at as text: not worth the attempt.
var onlyNative = map[string]bool{
	"histogram_avg": true, "histogram_count": true, "histogram_sum": true, "histogram_stddev": true, "histogram_stdvar": true, "info": true,
}

// part returns what expr is evaluated by here, or nil.
func (r *rewriter) part(expr parser.Expr) *part {
	var p part
	inner := expr
	if agg, ok := expr.(*parser.AggregateExpr); ok {
		if p.aggregation = newAggregation(agg); p.aggregation == nil {
			return nil
		}
		inner = agg.Expr
	}
	switch n := inner.(type) {
	case *parser.Call:
		if !r.function(&p, n) {
			return nil
		}
	case *parser.VectorSelector:
		if p.aggregation == nil || !simple(n) {
			return nil
		}
		p.function, p.selector, p.spanMs = instant(), n, r.lookback.Milliseconds()
	default:
		return nil
	}
	p.offsetMs = p.selector.OriginalOffset.Milliseconds()
	p.hints = r.hints(&p, expr)
	return &p
}

// function makes p one of a call, if it can.
func (r *rewriter) function(p *part, call *parser.Call) bool {
	var matrix *parser.MatrixSelector
	var scalars []float64
	for _, arg := range call.Args {
		switch a := unwrap(arg).(type) {
		case *parser.MatrixSelector:
			if matrix != nil {
				return false
			}
			matrix = a
		case *parser.NumberLiteral:
			scalars = append(scalars, a.Val)
		default:
			return false
		}
	}
	if matrix == nil || matrix.Range < time.Millisecond {
		return false
	}
	selector, ok := matrix.VectorSelector.(*parser.VectorSelector)
	if !ok || !simple(selector) || r.startTimestamps && ofStarts[call.Func.Name] {
		return false
	}
	if p.function = newFunction(call, scalars, matrix.Range); p.function == nil {
		return false
	}
	p.call, p.selector, p.spanMs = call, selector, matrix.Range.Milliseconds()
	return true
}

// ofStarts are the functions that look at start timestamps where the engine lets them.
var ofStarts = map[string]bool{"rate": true, "irate": true, "increase": true, "resets": true}

// unwrap takes off what the engine puts around constants.
func unwrap(e parser.Expr) parser.Expr {
	for {
		switch n := e.(type) {
		case *parser.StepInvariantExpr:
			if _, ok := n.Expr.(*parser.NumberLiteral); !ok {
				return e
			}
			e = n.Expr
		default:
			return e
		}
	}
}

// simple says that a selector has nothing but matchers and an offset.
func simple(s *parser.VectorSelector) bool {
	return s.Timestamp == nil && s.StartOrEnd == 0 && !s.Anchored && !s.Smoothed && !s.BypassEmptyMatcherCheck
}

// hints are those that the engine would give to the storage.
func (r *rewriter) hints(p *part, expr parser.Expr) *storage.SelectHints {
	g := r.work.grid
	h := &storage.SelectHints{
		Start: g.startMs - p.spanMs + 1 - p.offsetMs,
		End:   g.endMs - p.offsetMs,
		Step:  r.interval.Milliseconds(),
	}
	if p.call != nil {
		h.Func, h.Range = p.call.Func.Name, p.spanMs
		return h
	}
	agg := expr.(*parser.AggregateExpr)
	h.Func, h.By, h.Grouping = agg.Op.String(), !agg.Without, agg.Grouping
	return h
}

// replace returns what stands for a part. It is not a bare selector, since some functions look at the selector that is their argument. A
// part whose names the engine removes at the end has its sign changed twice, which does nothing but to mark them so.
func (r *rewriter) replace(expr parser.Expr, p *part) parser.Expr {
	pos := expr.PositionRange()
	m := &labels.Matcher{Type: labels.MatchEqual, Name: partLabel, Value: p.String()}
	if r.work.parts == nil {
		r.work.parts = make(map[*labels.Matcher]*part)
	}
	r.work.parts[m] = p
	var stand parser.Expr = &parser.VectorSelector{LabelMatchers: []*labels.Matcher{m}, PosRange: pos}
	if p.dropsName() {
		for range 2 {
			stand = &parser.UnaryExpr{Op: parser.SUB, Expr: stand, StartPos: pos.Start}
		}
	}
	return &parser.ParenExpr{Expr: stand, PosRange: pos}
}
