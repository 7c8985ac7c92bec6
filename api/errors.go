package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// Prometheus' handlers know one storage error that is worth a retry, tsdb.ErrNotReady, and hide all others behind
// promql.ErrStorage, which does not unwrap. What follows puts a coat on errors where they enter the
// handlers, on both ways: from the engine and from the storage.

// unavailableError is an error that wraps model.ErrUnavailable; the handlers take it for
// tsdb.ErrNotReady, whose error type is "unavailable".
type unavailableError struct{ error }

func (e unavailableError) Unwrap() []error { return []error{e.error, tsdb.ErrNotReady} }

// coat is for errors of the storage.
func coat(err error) error {
	var budget *query.BudgetError
	var memory *query.MemoryError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &budget):
		return budget
	case errors.As(err, &memory) && memory.Alone():
		return memory
	case memory != nil:
		return unavailableError{memory}
	case errors.Is(err, model.ErrUnavailable):
		return unavailableError{err}
	case errors.Is(err, context.DeadlineExceeded):
		return promql.ErrQueryTimeout("storage: " + err.Error())
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		return promql.ErrStorage{Err: err} // error type "internal"
	}
	return err
}

func isTimeout(err error) bool {
	_, ok := errors.AsType[promql.ErrQueryTimeout](err)
	return ok
}

// coatListed is for errors of label calls: there the handlers have no type for a timeout.
func coatListed(err error) error {
	if isTimeout(err) {
		return unavailableError{err}
	}
	return err
}

// coatOutcome is for errors of the engine, which wrap those of the storage.
func coatOutcome(err error) error {
	if timeout, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		return timeout // and not its coat: the error type is "timeout"
	}
	if s, ok := errors.AsType[promql.ErrStorage](err); ok {
		return coat(s.Err)
	}
	if memory, ok := errors.AsType[*query.MemoryError](err); ok {
		return coat(memory) // met while series were decoded
	}
	if errors.Is(err, model.ErrCorrupt) || errors.Is(err, model.ErrVersion) {
		return coat(err) // likewise
	}
	return err
}

// overrideStatus gives the status of errors whose kind the handlers do not know. It is generic because the type of its first
// parameter has a name that only its own package can write.
func overrideStatus[N comparable](_ N, err error) (int, bool) {
	if s, ok := errors.AsType[promql.ErrStorage](err); ok {
		err = s.Err
	}
	var budget *query.BudgetError
	var memory *query.MemoryError
	switch {
	case errors.As(err, &budget), errors.As(err, &memory) && memory.Alone():
		return http.StatusUnprocessableEntity, true // to ask again does not help
	case errors.Is(err, model.ErrUnavailable), errors.Is(err, tsdb.ErrNotReady), isTimeout(err):
		return http.StatusServiceUnavailable, true
	case errors.Is(err, model.ErrLimit):
		return http.StatusTooManyRequests, true
	case errors.Is(err, model.ErrInvalid):
		return http.StatusBadRequest, true
	case errors.Is(err, model.ErrNotFound):
		return http.StatusNotFound, true // the tenant was deleted
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		return http.StatusInternalServerError, true
	}
	return 0, false
}

// engine is a promql.QueryEngine whose errors wear the coat, and whose answers are accounted for until they are closed.
type engine struct {
	promql.QueryEngine
	memory *query.Gate // nil for no account
}

func (e engine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	p, err := e.QueryEngine.NewInstantQuery(ctx, q, opts, qs, ts)
	if err != nil {
		return nil, err
	}
	return coatedQuery{p, e.memory.Open()}, nil
}

func (e engine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	p, err := e.QueryEngine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	if err != nil {
		return nil, err
	}
	return coatedQuery{p, e.memory.Open()}, nil
}

// AcquireQuerySlot implements promql.QuerySlotAcquirer if the engine within does, so that what is asked beside queries waits with them.
func (e engine) AcquireQuerySlot(ctx context.Context, qs string) (func(), error) {
	if a, ok := e.QueryEngine.(promql.QuerySlotAcquirer); ok {
		return a.AcquireQuerySlot(ctx, qs)
	}
	return func() {}, nil
}

type coatedQuery struct {
	promql.Query
	answer *query.Hold
}

func (q coatedQuery) Exec(ctx context.Context) *promql.Result {
	r := q.Query.Exec(ctx)
	if r.Err == nil {
		if err := q.answer.Take(answerBytes(r.Value)); err != nil {
			return &promql.Result{Err: coat(err), Warnings: r.Warnings}
		}
	}
	r.Err = coatOutcome(r.Err)
	return r
}

// Close implements promql.Query. The handlers call it when the answer is sent.
func (q coatedQuery) Close() {
	q.Query.Close()
	q.answer.Close()
}

// answerBytes is about what an answer takes together with its text, which is made whole before it is sent.
func answerBytes(v parser.Value) (n int64) {
	const sampleBytes, textBytes, seriesBytes = 16, 32, 128
	switch v := v.(type) {
	case promql.Matrix:
		n = int64(v.TotalSamples()) * (sampleBytes + textBytes)
		for i := range v {
			n += seriesBytes + 2*int64(v[i].Metric.ByteSize())
		}
	case promql.Vector:
		n = int64(v.TotalSamples()) * (sampleBytes + textBytes)
		for i := range v {
			n += seriesBytes + 2*int64(v[i].Metric.ByteSize())
		}
	}
	return n
}

// queryable is the storage whose errors wear the coat, and which can be read in chunks too, for remote read.
type queryable struct{ storage.Queryable }

func (q queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	inner, err := q.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, coat(err)
	}
	return querier{inner}, nil
}

func (q queryable) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	inner, err := q.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, coat(err)
	}
	return chunkQuerier{querier{inner}}, nil
}

type querier struct{ storage.Querier }

func (q querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return &seriesSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, matchers...), ctx: ctx}
}

func (q querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	values, warnings, err := q.Querier.LabelValues(ctx, name, hints, matchers...)
	return values, warnings, coatListed(coat(err))
}

func (q querier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	names, warnings, err := q.Querier.LabelNames(ctx, hints, matchers...)
	return names, warnings, coatListed(coat(err))
}

// seriesSet ends with its request: not all that walk over one look whether anybody still waits.
type seriesSet struct {
	storage.SeriesSet
	ctx   context.Context //nolint:containedctx // it is that of the Select
	ended error
}

func (s *seriesSet) Next() bool {
	s.ended = s.ctx.Err()
	return s.ended == nil && s.SeriesSet.Next()
}

func (s *seriesSet) Err() error {
	if err := s.SeriesSet.Err(); err != nil {
		return coat(err)
	}
	return coat(s.ended)
}
