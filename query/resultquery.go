package query

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/varvedb/varve/tenant"
)

// keptQuery is a range query that takes from the cache what it may, and evaluates the rest. It implements promql.Query.
type keptQuery struct {
	cache   *ResultCache
	engine  promql.QueryEngine
	storage storage.Queryable
	opts    promql.QueryOpts
	expr    parser.Expr
	text    string
	grid    grid
	reach   reach

	mu     sync.Mutex // guards what follows
	cancel context.CancelFunc
	stats  *stats.Statistics
}

// Exec implements promql.Query.
func (k *keptQuery) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k.mu.Lock()
	k.cancel = cancel
	k.stats = &stats.Statistics{Timers: stats.NewQueryTimers(), Samples: stats.NewQuerySamples(false)}
	k.mu.Unlock()
	span := k.stats.Timers.GetTimer(stats.ExecTotalTime).Start()
	defer span.Stop()

	w := &witness{tenant: tenant.FromContext(ctx), seed: k.cache.seed}
	ctx = withWitness(ctx, w)
	// One view for all that follows, of the whole range. Where it cannot be had, the engine says so as it should be said.
	first := newQuerier(k.cache.queryable, k.reach.around(k.grid.start, k.grid.end))
	defer func() { _ = first.Close() }()
	if err := first.look(ctx); err != nil {
		return k.whole(ctx)
	}
	if w.deaf || w.rolled(ResolutionOf(ctx)) {
		return k.whole(ctx)
	}
	return k.answer(ctx, w, first)
}

// whole evaluates all steps.
func (k *keptQuery) whole(ctx context.Context) *promql.Result {
	s, res := k.evaluate(ctx, k.grid.start, k.grid.end)
	if res.Err == nil {
		res.Value = s.series
	}
	return res
}

// answer puts the result together. What seems to be missing is evaluated first, which confirms the view on the way; what is kept is then
// compared with that, and what does not hold is evaluated as well.
func (k *keptQuery) answer(ctx context.Context, w *witness, first *querier) *promql.Result {
	pieces := k.grid.pieces()
	a := &assembly{k: k, ctx: ctx, w: w, pieces: pieces, kept: make([]*stretch, len(pieces))}
	for i, p := range pieces {
		if s, ok := k.cache.kept.Get(k.key(ctx, p.begin)); ok && s.first <= p.first && p.first <= s.last {
			a.kept[i] = s
		}
	}
	if res := a.evaluate(); res != nil {
		return res
	}
	now := w.present()
	if now == nil && a.any() {
		if err := first.reconfirm(ctx); err != nil {
			return k.whole(ctx)
		}
		now = w.present()
	}
	for i, s := range a.kept {
		if s != nil {
			a.kept[i] = k.valid(now, s, pieces[i])
		}
	}
	if res := a.evaluate(); res != nil {
		return res
	}
	a.keep()
	return a.result()
}

// valid returns the stretch cut to the steps that nothing new can have reached; nil if that does not hold the first step of the piece.
func (k *keptQuery) valid(now *present, s *stretch, p piece) *stretch {
	if now == nil {
		return nil
	}
	newMs, ok := now.holds(&s.depends, k.reach.around(s.first, s.last))
	if !ok {
		return nil
	}
	// A sample at newMs reaches the steps from ahead before it on.
	if newMs == math.MaxInt64 || s.last < newMs-k.reach.ahead {
		return s
	}
	before := newMs - k.reach.ahead - 1
	if before < p.first {
		return nil
	}
	return s.slice(s.first, s.first+(before-s.first)/k.grid.step*k.grid.step)
}

// evaluate asks the engine for the steps from first to last.
func (k *keptQuery) evaluate(ctx context.Context, first, last int64) (*stretch, *promql.Result) {
	q, err := k.engine.NewRangeQuery(ctx, k.storage, k.opts, k.text, time.UnixMilli(first), time.UnixMilli(last), time.Duration(k.grid.step)*time.Millisecond)
	if err != nil {
		return nil, &promql.Result{Err: err}
	}
	defer q.Close()
	res := q.Exec(ctx)
	k.note(q.Stats())
	if res.Err != nil {
		return nil, res
	}
	m, err := res.Matrix()
	if err != nil {
		return nil, &promql.Result{Err: err}
	}
	k.cache.steps.WithLabelValues("evaluation").Add(float64((last-first)/k.grid.step + 1))
	return &stretch{first: first, last: last, series: ownCopy(m)}, res
}

// note adds up statistics.
func (k *keptQuery) note(s *stats.Statistics) {
	if s == nil || s.Samples == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats.Samples.TotalSamples += s.Samples.TotalSamples
	k.stats.Samples.UpdatePeak(s.Samples.PeakSamples)
}

// Close implements promql.Query. Results are the caller's.
func (k *keptQuery) Close() {}

// Statement implements promql.Query.
func (k *keptQuery) Statement() parser.Statement {
	return &parser.EvalStmt{
		Expr: k.expr, Start: time.UnixMilli(k.grid.start), End: time.UnixMilli(k.grid.end), Interval: time.Duration(k.grid.step) * time.Millisecond, LookbackDelta: k.opts.LookbackDelta(),
	}
}

// Stats implements promql.Query.
func (k *keptQuery) Stats() *stats.Statistics {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stats == nil {
		return &stats.Statistics{Timers: stats.NewQueryTimers(), Samples: stats.NewQuerySamples(false)}
	}
	return k.stats
}

// Cancel implements promql.Query.
func (k *keptQuery) Cancel() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cancel != nil {
		k.cancel()
	}
}

// String implements promql.Query.
func (k *keptQuery) String() string { return k.text }
