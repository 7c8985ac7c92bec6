package varve_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// TestColdReader evaluates expressions with a whole reader that has just been opened, caches and engine as they are, in a bubble where
// each request takes 30 ms: what could be asked together is, whichever engine evaluates it.
func TestColdReader(t *testing.T) {
	const latency = 30 * time.Millisecond
	objects := mem.New()
	db := open(t, blob.New(objects, nil), t.TempDir(), ingester.Config{})
	for flush := range 4 { // two days of two blocks
		var all []varve.Series
		for metric := range 10 {
			for instance := range 20 {
				s := varve.Series{Labels: labels.FromStrings("__name__", fmt.Sprintf("metric_%d", metric), "instance", fmt.Sprint(instance), "le", fmt.Sprint(instance))}
				for i := range 60 {
					s.Samples = append(s.Samples, model.Sample{T: noon.Add(time.Duration(flush)*12*time.Hour + time.Duration(i)*time.Minute).UnixMilli(), V: float64(i * instance)})
				}
				all = append(all, s)
			}
		}
		_, err := db.AppendSeries(t.Context(), tenant.Default, all...)
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Close(t.Context()))
	end := noon.Add(36*time.Hour + 59*time.Minute)

	for _, c := range []struct {
		expr   string
		stages int
	}{
		{`metric_1`, 2},
		{`sum by (instance) (rate(metric_1[5m]))`, 2},
		{`sum(rate(metric_1[5m])) / sum(rate(metric_2[5m]))`, 2},
		{`histogram_quantile(0.9, sum by (le) (rate(metric_3[5m]))) + on() group_left() topk(1, max_over_time(metric_4[10m]))`, 2},
		{`sum(metric_1 offset 12h) - sum(avg_over_time(metric_1[5m] offset 1d)) + sum(sum_over_time(metric_5[1h:5m]))`, 2},
		{`sum({instance="7"}) + sum(rate(metric_6[5m]))`, 3},
		{`sum(rate(metric_1[5m])) / sum(max_over_time(metric_1[5m]))`, 2},
		{`absent(nothing)`, 2},
	} {
		for i := range 4 {
			ranged, speculating, stages := i%2 == 1, i/2 == 1, c.stages
			cfg := query.Config{}
			if !speculating {
				cfg.SpeculationBytes, stages = 1, stages+1 // chunks have a stage of their own
			}
			t.Run(fmt.Sprintf("%s, ranged %v, speculating %v", c.expr, ranged, speculating), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					counted := countblob.Wrap(objects, &countblob.Options{Latency: latency})
					b := blob.New(counted, nil)
					r, err := varve.OpenReader(t.Context(), &varve.Options{OpenedBucket: b, Query: cfg})
					require.NoError(t, err)
					t.Cleanup(func() { require.NoError(t, r.Close()) })
					ctx, account := query.WithAccount(t.Context())
					begin := time.Now()
					if ranged {
						result, err := r.QueryRange(ctx, tenant.Default, c.expr, end.Add(-30*time.Hour), end, time.Minute)
						require.NoError(t, err)
						require.NoError(t, result.Err)
					} else {
						result, err := r.Query(ctx, tenant.Default, c.expr, end)
						require.NoError(t, err)
						require.NoError(t, result.Err)
					}
					took, e, seen := time.Since(begin), account.Explain(), counted.Stats()
					t.Logf("%+v", e)
					require.LessOrEqual(t, e.Stages, stages)
					require.Equal(t, time.Duration(e.Stages)*latency, took, "by the clock")
					require.Equal(t, seen.Requests[countblob.OpGet], e.Gets)
					require.Equal(t, seen.Bytes, e.BytesFetched+e.CatalogBytes)
					require.Zero(t, e.Lists+seen.Requests[countblob.OpList]+seen.Requests[countblob.OpPut])
				})
			})
		}
	}
}
