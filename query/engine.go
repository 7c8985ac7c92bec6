package query

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/query/columnar"
)

// EngineOptions are the limits of an engine. The zero value has Prometheus' defaults.
type EngineOptions struct {
	// Timeout ends a query that takes longer, time in the queue included. Default 2 minutes.
	Timeout time.Duration
	// MaxConcurrency is how many queries are evaluated at a time; more wait. Default 20.
	MaxConcurrency int
	// MaxSamples is how many samples one query may hold in memory. Default 50 million.
	MaxSamples int
	// Lookback is how old the last sample of a series may be to still count as its value. Default 5 minutes.
	Lookback time.Duration
	// SubqueryStep is the step of a subquery that gives none. Default 1 minute.
	SubqueryStep time.Duration
	// StartTimestamps lets rate and its relatives use the start timestamps of samples, an experiment of Prometheus'. Default off, as there.
	StartTimestamps bool
	// NoColumnar leaves every query to Prometheus' engine as a whole. It is for comparison: answers are the same. Default false.
	NoColumnar bool
	// Results keeps what range queries came to; it must be of the Queryable that they read. Default none.
	Results *ResultCache
}

func (o *EngineOptions) withDefaults() EngineOptions {
	var d EngineOptions
	if o != nil {
		d = *o
	}
	setDefault(&d.Timeout, 2*time.Minute)
	setDefault(&d.Lookback, 5*time.Minute)
	setDefault(&d.SubqueryStep, time.Minute)
	setDefault(&d.MaxConcurrency, 20)
	setDefault(&d.MaxSamples, 50_000_000)
	return d
}

// NewParser returns the parser with every option of the language on. Engine, API and rules share
// one, so that what one accepts the others do.
func NewParser() parser.Parser {
	return parser.NewParser(parser.Options{
		EnableExperimentalFunctions: true,
		EnableBinopFillModifiers:    true,
		EnableUnquotedUTF8Names:     true,
	})
}

// Engine is what NewEngine returns. Safe for concurrent use.
type Engine struct {
	*columnar.Engine
	parser   parser.Parser
	results  *ResultCache // nil without one
	lookback time.Duration
}

// NewInstantQuery implements promql.QueryEngine.
func (e *Engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	inner, err := e.Engine.NewInstantQuery(ctx, q, opts, qs, ts)
	if err != nil {
		return nil, err
	}
	return noted(inner), nil
}

// NewRangeQuery implements promql.QueryEngine.
func (e *Engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	inner, err := e.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	if e.results != nil {
		if parsed, err := e.parser.ParseExpr(qs); err == nil {
			g := grid{start.UnixMilli(), end.UnixMilli(), interval.Milliseconds()}
			if kept := e.results.wrap(below{e}, e.lookback, q, opts, parsed, qs, g); kept != nil {
				inner.Close()
				return kept, nil
			}
		}
	}
	return noted(inner), nil
}

// below is the engine without the cache of results.
type below struct{ *Engine }

// NewRangeQuery implements promql.QueryEngine.
func (b below) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	inner, err := b.Engine.Engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	return noted(inner), nil
}

// NewEngine returns Prometheus' engine with every option of the language on, whose heavy parts are evaluated column-wise. Close it
// after use. opts, logger and reg may be nil.
func NewEngine(opts *EngineOptions, p parser.Parser, logger *slog.Logger, reg prometheus.Registerer) *Engine {
	o := opts.withDefaults()
	inner := promql.NewEngine(promql.EngineOpts{
		Logger:                   logger,
		Reg:                      reg,
		MaxSamples:               o.MaxSamples,
		Timeout:                  o.Timeout,
		ActiveQueryTracker:       make(slots, o.MaxConcurrency),
		LookbackDelta:            o.Lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return o.SubqueryStep.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true,
		EnableDelayedNameRemoval: true,
		UseStartTimestamps:       o.StartTimestamps,
		Parser:                   p,
	})
	return &Engine{Engine: columnar.New(inner, columnar.Options{
		Timeout:         o.Timeout,
		MaxSamples:      o.MaxSamples,
		StartTimestamps: o.StartTimestamps,
		Off:             o.NoColumnar,
		Registerer:      reg,
	}), parser: p, results: o.Results, lookback: o.Lookback}
}

// slots implements promql.QueryTracker: it bounds the queries that run at a time.
type slots chan struct{}

func (s slots) GetMaxConcurrent() int { return cap(s) }

func (s slots) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case s <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
	}
	// These kinds, since the API takes any other error at this point for a fault of the query's text.
	const where = "query queue"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return 0, promql.ErrQueryTimeout(where)
	}
	return 0, promql.ErrQueryCanceled(where)
}

func (s slots) Delete(int) { <-s }

func (slots) Close() error { return nil }
