package columnar

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/stats"
)

// query implements promql.Query: the engine's query, some parts of which are evaluated here.
type query struct {
	work    *work
	timeout time.Duration
	// again makes the query anew, as the engine alone would evaluate it.
	again func(context.Context) (promql.Query, error)

	mu       sync.Mutex // guards what follows
	inner    promql.Query
	canceled bool
	cancel   context.CancelFunc
}

// Exec implements promql.Query. If a part gives up, the engine begins anew, within what is left of the time.
func (q *query) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	q.mu.Lock()
	q.cancel = cancel
	if q.canceled {
		cancel()
	}
	inner := q.inner
	q.mu.Unlock()
	result := inner.Exec(ctx)
	switch err := q.work.err; {
	case err == nil:
		if result.Err == nil && q.work.value != nil {
			result.Value = q.work.value
		}
		return result
	case !errors.Is(err, errNative):
		// The engine has wrapped it as an error of the storage.
		result.Err = err
		return result
	}
	q.work.engine.metrics.fallbacks.Inc()
	plain, err := q.again(ctx)
	if err != nil {
		return &promql.Result{Err: err}
	}
	inner.Close()
	q.mu.Lock()
	q.inner = plain
	q.mu.Unlock()
	return plain.Exec(ctx)
}

func (q *query) current() promql.Query {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.inner
}

// Cancel implements promql.Query. It may be called beside Exec.
func (q *query) Cancel() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.canceled = true
	if q.cancel != nil {
		q.cancel()
	}
}

// Close implements promql.Query.
func (q *query) Close() { q.current().Close() }

// Statement implements promql.Query.
func (q *query) Statement() parser.Statement { return q.current().Statement() }

// Stats implements promql.Query.
func (q *query) Stats() *stats.Statistics { return q.current().Stats() }

// String implements promql.Query.
func (q *query) String() string { return q.current().String() }
