package query

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// gated opens a queryable with a gate on three days of blocks.
func gated(t *testing.T, limit int64) (*world, *Queryable, *Gate) {
	w := newWorld(t)
	for g := range 3 {
		w.flushTargets(uint64(g+1), day0, t0+int64(g)*7_200_000, 40)
	}
	bucket := blob.New(w.driver, nil)
	g := NewGate(limit, nil)
	q, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: blocks.Stored{Bucket: bucket}, Logs: bucket, Memory: g})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return w, q, g
}

func run(ctx context.Context, t *testing.T, q *Queryable, o *EngineOptions, expr string) error {
	e := NewEngine(o, NewParser(), nil, nil)
	defer func() { require.NoError(t, e.Close()) }()
	query, err := e.NewRangeQuery(ctx, q, nil, expr, time.UnixMilli(t0), time.UnixMilli(t0+6*3_600_000), time.Minute)
	require.NoError(t, err)
	defer query.Close()
	return query.Exec(ctx).Err
}

// TestMemoryOfQueries has queries of all ways of evaluation succeed and fail by memory, alone and beside others, and finds nothing left of any.
func TestMemoryOfQueries(t *testing.T) {
	for _, expr := range []string{"cpu", "rate(cpu[5m])", "sum by (instance) (cpu)", "cpu * on (instance) disk", "quantile(0.5, mem)"} {
		for _, plain := range []bool{false, true} {
			for _, limit := range []int64{1000, 30_000, 100_000, 300_000, 1 << 30} {
				w, q, g := gated(t, limit)
				err := run(w.ctx(), t, q, &EngineOptions{NoColumnar: plain}, expr)
				require.Zero(t, g.Used(), "%s within %d: %v", expr, limit, err)
				if limit == 1<<30 {
					require.NoError(t, err)
				}
				if limit <= 30_000 {
					require.ErrorAs(t, err, new(*MemoryError), "%s within %d", expr, limit)
					require.ErrorIs(t, err, model.ErrLimit)
				}
			}
			w, q, g := gated(t, 1<<30)
			g.first = 1000
			other := g.Open()
			require.NoError(t, other.Admit(w.ctx()))
			require.NoError(t, other.Take(1<<30-20_000))
			var full *MemoryError
			require.ErrorAs(t, run(w.ctx(), t, q, &EngineOptions{NoColumnar: plain}, expr), &full, expr)
			require.ErrorIs(t, full, model.ErrUnavailable)
			other.Close()
			require.Zero(t, g.Used())
		}
	}
}

// TestMemoryOfReach finds that what a step looks back at is not taken for steps: few of them need as little after a long range as after a short one.
func TestMemoryOfReach(t *testing.T) {
	for expr, lookback := range map[string]time.Duration{"quantile(0.5, rate(cpu[90d] anchored))": 0, "rate(cpu[90d] smoothed)": 0, "cpu": 90 * 24 * time.Hour, "sum(cpu + 1)": 90 * 24 * time.Hour} {
		for _, plain := range []bool{false, true} {
			w, q, g := gated(t, 4<<20)
			e := NewEngine(&EngineOptions{NoColumnar: plain}, NewParser(), nil, nil)
			opts := promql.NewPrometheusQueryOpts(false, lookback, nil)
			query, err := e.NewRangeQuery(w.ctx(), q, opts, expr, time.UnixMilli(t0+3_600_000), time.UnixMilli(t0+3_610_000), time.Second)
			require.NoError(t, err)
			require.NoError(t, query.Exec(w.ctx()).Err, "%s, plain %v", expr, plain)
			query.Close()
			require.NoError(t, e.Close())
			require.Zero(t, g.Used())
		}
	}
}

// TestMemoryWaits finds that a query waits before it has read anything, no longer than its context.
func TestMemoryWaits(t *testing.T) {
	w, q, g := gated(t, 10<<20)
	other := g.Open()
	require.NoError(t, other.Take(10<<20))
	ctx, cancel := context.WithCancel(w.ctx())
	done := make(chan error)
	go func() { done <- run(ctx, t, q, nil, "sum(cpu)") }()
	for waits := 0; waits == 0; {
		g.mu.Lock()
		waits = len(g.waiting)
		g.mu.Unlock()
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	go func() { done <- run(w.ctx(), t, q, nil, "sum(cpu)") }()
	other.Close()
	require.NoError(t, <-done)
	require.Zero(t, g.Used())
}

// TestMemoryCrowd has many queries at a time on little memory, of which some are given up in the middle of a read.
func TestMemoryCrowd(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w, _, g := gated(t, 2<<20)
	bucket := blob.New(w.driver, nil)
	q, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: quitting{blocks.Stored{Bucket: bucket}}, Logs: bucket, Memory: g})
	require.NoError(t, err)
	defer q.Close()
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			for range 20 {
				ctx, quit := context.WithCancel(w.ctx())
				if r.IntN(4) == 0 {
					ctx = context.WithValue(ctx, quitKey{}, quit)
				}
				var err error
				switch name := []string{"cpu", "disk", "mem"}[r.IntN(3)]; r.IntN(4) {
				case 0:
					err = run(ctx, t, q, nil, "sum by (job) (rate("+name+"[5m]))")
				case 1:
					err = run(ctx, t, q, nil, name+" + 1")
				case 2:
					querier, _ := q.Querier(t0, t0+model.MsPerDay-1)
					_, _, err = querier.LabelValues(ctx, "instance", nil)
					querier.Close()
				default:
					querier, _ := q.Querier(t0, t0+model.MsPerDay-1)
					set := querier.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchEqual, metricName, name))
					if r.IntN(2) == 0 {
						_, err = tally(set)
					}
					querier.Close()
				}
				quit()
				if used := g.Used(); used > g.limit {
					panic(used)
				}
				_ = err // whatever comes of it
			}
		})
	}
	all.Wait()
	require.Zero(t, g.Used())
	require.Zero(t, g.queries)
}

type quitting struct{ blocks.RangeReader }

func (q quitting) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	if quit, ok := ctx.Value(quitKey{}).(context.CancelFunc); ok {
		quit()
	}
	return q.RangeReader.ReadRanges(ctx, key, ranges)
}
