package differential

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// system is an engine over data.
type system struct {
	engine promql.QueryEngine
	data   storage.Queryable
}

// answer is what came of it.
type answer struct {
	value           parser.Value
	err             error
	warnings, infos []string // sorted
	samples         int64    // that were looked at, as the query's statistics say
	close           func()
}

// referenceEngine is Prometheus' with what query.NewEngine promises: every option of the language on, and Prometheus' limits.
func referenceEngine(lookback time.Duration) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples:               50_000_000,
		Timeout:                  2 * time.Minute,
		LookbackDelta:            lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return minute },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnablePerStepStats:       true,
		EnableDelayedNameRemoval: true,
		Parser:                   query.NewParser(),
	})
}

// ask runs the query. Close the answer when nothing of it is needed any more.
func (s *system) ask(ctx context.Context, q *question) (a answer) {
	ctx = tenant.NewContext(ctx, tenant.Default)
	var p promql.Query
	var err error
	var opts promql.QueryOpts
	if q.lookback > 0 {
		opts = promql.NewPrometheusQueryOpts(false, q.lookback, nil)
	}
	if q.step == 0 {
		p, err = s.engine.NewInstantQuery(ctx, s.data, opts, q.expr, at(q.start))
	} else {
		p, err = s.engine.NewRangeQuery(ctx, s.data, opts, q.expr, at(q.start), at(q.end), time.Duration(q.step)*time.Millisecond)
	}
	if err != nil {
		return answer{err: err, close: func() {}}
	}
	r := p.Exec(ctx)
	warnings, infos := r.Warnings.AsStrings(q.expr, 0, 0)
	slices.Sort(warnings)
	slices.Sort(infos)
	return answer{value: r.Value, err: r.Err, warnings: warnings, infos: infos, samples: p.Stats().Samples.TotalSamples, close: p.Close}
}

// empty reports whether the answer has no series and is no scalar.
func (a *answer) empty() bool {
	switch v := a.value.(type) {
	case promql.Vector:
		return len(v) == 0
	case promql.Matrix:
		return len(v) == 0
	}
	return a.value == nil
}
