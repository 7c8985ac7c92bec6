package query

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// stuckSource answers when its context ends.
type stuckSource struct{ asked chan struct{} }

func (s stuckSource) Writer() string { return "w1" }

func (s stuckSource) Select(ctx context.Context, _ string, _ model.TimeRange, _ []*labels.Matcher) (*model.Selection, error) {
	close(s.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestCloseEnds closes a querier that still waits for a source: nothing of it may live on.
func TestCloseEnds(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.flush("w1", 1, day0, data{}.add("a", t0, 1))
	src := stuckSource{make(chan struct{})}
	w.sources = []model.Source{src}
	q := w.queryable()
	before := goleak.IgnoreCurrent()
	querier, err := q.Querier(t0, t0+10)
	require.NoError(t, err)
	set := querier.Select(w.ctx(), true, nil, everything)
	<-src.asked
	require.NoError(t, querier.Close())
	require.False(t, set.Next())
	require.ErrorIs(t, set.Err(), context.Canceled)
	goleak.VerifyNone(t, before)
}

// TestStuckWriter runs out of time waiting for a writer, which has to be named.
func TestStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose time passes only once the writer is all that is waited for
		w := newWorld(t)
		w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
		src := stuckSource{make(chan struct{})}
		w.sources = []model.Source{src}
		ctx, cancel := context.WithTimeout(w.ctx(), 20*time.Millisecond)
		defer cancel()
		got := selectAll(ctx, t, w.queryable(), t0, t0+10, everything)
		<-src.asked
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
		require.ErrorContains(t, got.err, "w1")
	})
}

func TestEngine(t *testing.T) {
	w := newWorld(t)
	w.register(catalog.Writer{ID: "w1", Mode: "fsync"})
	w.flush("w1", 1, day0, data{}.add("a", t0, 1).add("b", t0, 2))
	w.sources = []model.Source{&fakeSource{writer: "w1", generations: map[uint64]data{2: data{}.add("a", t0+1000, 5)}}}
	e := NewEngine(&EngineOptions{MaxConcurrency: 1, Timeout: time.Minute}, NewParser(), nil, nil)
	defer e.Close()
	run := func(ctx context.Context, expr string) *promql.Result {
		p, err := e.NewInstantQuery(ctx, w.queryable(), nil, expr, time.UnixMilli(t0+2000))
		if err != nil {
			return &promql.Result{Err: err}
		}
		defer p.Close()
		return p.Exec(ctx)
	}
	r := run(w.ctx(), `sum({__name__=~"a|b"})`)
	require.NoError(t, r.Err)
	v, err := r.Vector()
	require.NoError(t, err)
	require.Equal(t, 7.0, v[0].F)

	// A query that waits for a slot gives up when its context ends.
	src := stuckSource{make(chan struct{})}
	w.sources = []model.Source{src}
	ctx, cancel := context.WithCancel(w.ctx())
	done := make(chan *promql.Result)
	go func() { done <- run(ctx, "a") }()
	<-src.asked
	queued, cancelQueued := context.WithCancel(w.ctx())
	cancelQueued()
	require.ErrorAs(t, run(queued, "b").Err, new(promql.ErrQueryCanceled))
	late, cancelLate := context.WithDeadline(w.ctx(), time.Unix(0, 0))
	defer cancelLate()
	require.ErrorAs(t, run(late, "b").Err, new(promql.ErrQueryTimeout))
	cancel()
	require.ErrorIs(t, (<-done).Err, context.Canceled)
}
