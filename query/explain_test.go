package query

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// fill makes two blocks of each of two days, and a log with a sample.
func fill(w *world) {
	for d := range model.Day(2) {
		for g := range uint64(2) {
			all := data{}
			for _, name := range []string{"cpu", "mem"} {
				for i := range int64(100) {
					all.add(name, (day0+d).Range().MinMs+int64(g)*3_600_000+i*15_000, float64(i))
				}
			}
			w.flush("w1", g+1, day0+d, all)
		}
	}
	w.cfg.Detached = true
	w.register(catalog.Writer{ID: "w1", Mode: "fsync", Shipping: true})
	_, err := w.store.SetReleased(w.t.Context(), "w1", 2)
	require.NoError(w.t, err)
	log := newShipper(w, "w1")
	for range 2 { // generations that are released
		log.add(testTenant, "old", model.Sample{T: t0, V: 1})
		log.rotate()
	}
	log.add(testTenant, "cpu", model.Sample{T: t0 + 2*model.MsPerDay - 1, V: 1})
	log.ship()
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	fill(w)
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	last := t0 + 2*model.MsPerDay - 1
	for _, c := range []struct {
		name    string
		matcher *labels.Matcher
		stages  int
		want    Explain
	}{
		{"named", cpu, 2, Explain{Stages: 2, GetsByKind: GetsByKind{Roster: 2, Root: 2, Catalog: 4, Block: 4, Log: tailWindow + 1}, Blocks: 4, Series: 4, Samples: 401}},
		{"no name", labels.MustNewMatcher(labels.MatchEqual, "job", ""), 3, Explain{Stages: 3, GetsByKind: GetsByKind{Roster: 2, Root: 2, Catalog: 4, Block: 12, Log: tailWindow + 1}, Blocks: 4, Series: 8, Samples: 801}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e Explain
			s := w.countCold(t, c.stages, func(ctx context.Context, t *testing.T, q *Queryable) {
				ctx, a := WithAccount(ctx)
				require.NoError(t, selectAll(ctx, t, q, t0, last, c.matcher).err)
				e = a.Explain()
			})
			require.Equal(t, s.Stages, e.Stages, "what the bucket saw")
			require.Equal(t, s.Requests[countblob.OpGet], e.Gets)
			require.Equal(t, s.Bytes, e.BytesFetched+e.CatalogBytes)
			require.Positive(t, e.CatalogBytes)
			require.Positive(t, e.BytesNeeded)
			require.LessOrEqual(t, e.BytesNeeded, e.BytesFetched)
			require.InDelta(t, float64(e.Gets)*PriceGet, e.CostUSD, 1e-8)
			require.LessOrEqual(t, e.GetsByKind.Block, c.want.GetsByKind.Block)
			require.Equal(t, e.Gets, e.GetsByKind.Roster+e.GetsByKind.Root+e.GetsByKind.Catalog+e.GetsByKind.Block+e.GetsByKind.Log)
			got := e
			got.Gets, got.GetsByKind.Block, got.BytesFetched, got.BytesNeeded, got.CatalogBytes, got.CostUSD = 0, 0, 0, 0, 0, 0
			c.want.Gets, c.want.GetsByKind.Block = 0, 0
			require.Equal(t, c.want, got)
		})
	}
}

// TestLimits has a query that each of the budgets is too small for.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	fill(w)
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	last := t0 + 2*model.MsPerDay - 1
	enough := Limits{Bytes: 1 << 20, Requests: 200, Samples: 401, Cost: 1, Time: time.Hour}
	for _, c := range []struct {
		budget, value string
		set           func(*Limits)
	}{
		{"", "", func(*Limits) {}},
		{"bytes", "300", func(l *Limits) { l.Bytes = 300 }},
		{"requests", "7", func(l *Limits) { l.Requests = 7 }},
		{"samples", "400", func(l *Limits) { l.Samples = 400 }},
		{"cost", "0.000002 USD", func(l *Limits) { l.Cost = 2e-6 }},
		{"time", "1ns", func(l *Limits) { l.Time = 1 }},
	} {
		t.Run(c.budget, func(t *testing.T) {
			w.cfg.Limits = enough
			c.set(&w.cfg.Limits)
			ctx, a := WithAccount(w.ctx())
			e := NewEngine(nil, NewParser(), nil, nil)
			defer func() { require.NoError(t, e.Close()) }()
			q, err := e.NewInstantQuery(ctx, w.queryable(), nil, `count_over_time(cpu[2d])`, time.UnixMilli(last))
			require.NoError(t, err)
			defer q.Close()
			r := q.Exec(ctx)
			if c.budget == "" {
				require.NoError(t, r.Err)
				require.Equal(t, 401.0, r.Value.(promql.Vector)[0].F)
				return
			}
			err = r.Err
			var storage promql.ErrStorage
			if errors.As(err, &storage) {
				err = storage.Err
			}
			require.ErrorIs(t, err, model.ErrLimit)
			var budget *BudgetError
			require.ErrorAs(t, err, &budget)
			require.Equal(t, BudgetError{c.budget, c.value}, *budget)
			require.ErrorContains(t, err, "its "+c.budget+" budget of "+c.value)
			x := a.Explain()
			require.LessOrEqual(t, x.Gets, 200)
			if c.budget == "requests" {
				require.Equal(t, 7, x.Gets)
			}

			if c.budget != "samples" { // labels have none
				querier, err := w.queryable().Querier(t0, last)
				require.NoError(t, err)
				defer querier.Close()
				_, _, err = querier.LabelValues(w.ctx(), metricName, nil)
				require.ErrorAs(t, err, &budget)
				require.Equal(t, BudgetError{c.budget, c.value}, *budget)
			}
		})
	}
	t.Run("one account for several queries", func(t *testing.T) {
		w.cfg.Limits = Limits{Samples: 500}
		ctx, _ := WithAccount(w.ctx())
		q := w.queryable()
		drainErr := func() error {
			querier, err := q.Querier(t0, last)
			require.NoError(t, err)
			defer querier.Close()
			set := querier.Select(ctx, true, nil, cpu)
			require.True(t, set.Next())
			it := set.At().Iterator(nil)
			it.Next()
			return it.Err()
		}
		require.NoError(t, drainErr())
		require.ErrorIs(t, drainErr(), model.ErrLimit)
	})
	t.Run("a hanging bucket", func(t *testing.T) {
		w.cfg.Limits = Limits{Time: 50 * time.Millisecond}
		slow := countblob.Wrap(w.driver, &countblob.Options{Latency: time.Hour})
		bucket := blob.New(slow, nil)
		q, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: blocks.Stored{Bucket: bucket}, Logs: bucket})
		require.NoError(t, err)
		defer func() { require.NoError(t, q.Close()) }()
		ctx, cancel := context.WithTimeout(w.ctx(), time.Minute)
		defer cancel()
		var budget *BudgetError
		require.ErrorAs(t, selectAll(ctx, t, q, t0, last, cpu).err, &budget)
		require.Equal(t, "time", budget.Budget)
	})
}
