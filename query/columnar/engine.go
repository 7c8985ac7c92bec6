package columnar

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// Options say what the wrapped engine was made with.
type Options struct {
	// Timeout and MaxSamples are the engine's limits. Both are required.
	Timeout    time.Duration
	MaxSamples int
	// StartTimestamps says that functions of counters look at start timestamps; those are left to the engine then.
	StartTimestamps bool
	// Off leaves everything to the engine.
	Off bool
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Engine evaluates queries, the heavy parts of them itself. Safe for concurrent use.
type Engine struct {
	*promql.Engine
	opts    Options
	metrics metrics
}

var (
	_ promql.QueryEngine       = (*Engine)(nil)
	_ promql.QuerySlotAcquirer = (*Engine)(nil)
)

// metrics count what was evaluated here.
type metrics struct {
	shapes    *prometheus.CounterVec
	fallbacks prometheus.Counter
}

// New wraps an engine that was made with delayed removal of names. The wrapper closes it.
func New(inner *promql.Engine, opts Options) *Engine {
	f := promauto.With(opts.Registerer)
	return &Engine{Engine: inner, opts: opts, metrics: metrics{
		shapes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "varve_query_columnar_total",
			Help: "Nodes of queries that were evaluated column-wise, by function, aggregation, or selector.",
		}, []string{"shape"}),
		fallbacks: f.NewCounter(prometheus.CounterOpts{
			Name: "varve_query_columnar_fallbacks_total",
			Help: "Queries begun column-wise and then left to the engine, because of native histograms.",
		}),
	}}
}

// NewInstantQuery implements promql.QueryEngine.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	return e.newQuery(ctx, q, opts, func(ctx context.Context, q storage.Queryable) (promql.Query, error) {
		return e.Engine.NewInstantQuery(ctx, q, opts, qs, ts)
	})
}

// NewRangeQuery implements promql.QueryEngine.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	return e.newQuery(ctx, q, opts, func(ctx context.Context, q storage.Queryable) (promql.Query, error) {
		return e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	})
}

// newQuery makes a query of the engine's and takes the parts out that are evaluated here. Its statement is what the engine made
// of the text, with durations and calls of start, end, range and step resolved.
func (e *Engine) newQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, build func(context.Context, storage.Queryable) (promql.Query, error)) (promql.Query, error) {
	if e.opts.Off || opts != nil && opts.EnablePerStepStats() {
		return build(ctx, q)
	}
	wrapped := &queryable{Queryable: q}
	inner, err := build(ctx, wrapped)
	if err != nil {
		return nil, err
	}
	stmt, ok := inner.Statement().(*parser.EvalStmt)
	if !ok {
		return inner, nil
	}
	startTimestamps := e.opts.StartTimestamps
	if opts != nil && opts.UseStartTimestamps() != nil {
		startTimestamps = *opts.UseStartTimestamps()
	}
	work := newWork(e, stmt, startTimestamps)
	if len(work.parts) == 0 {
		return inner, nil
	}
	work.stats = inner.Stats().Samples
	wrapped.work = work
	return &query{
		inner:   inner,
		work:    work,
		timeout: e.opts.Timeout,
		again:   func(ctx context.Context) (promql.Query, error) { return build(ctx, q) },
	}, nil
}
