package query

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// TestColdStages counts the dependent stages and the gets of stone-cold queries over three days of four blocks each.
func TestColdStages(t *testing.T) {
	const days, blocksPerDay = 3, 4
	w := newWorld(t)
	for d := range model.Day(days) {
		for g := range uint64(blocksPerDay) {
			all := data{}
			for _, name := range []string{"cpu", "disk", "mem", "net"} {
				for i := range int64(200) {
					all.add(name, (day0+d).Range().MinMs+int64(g)*3_600_000+i*15_000, float64(i*i%97))
				}
			}
			w.flush("w1", g+1, day0+d, all)
		}
	}
	cpu := labels.MustNewMatcher(labels.MatchEqual, metricName, "cpu")
	noName := labels.MustNewMatcher(labels.MatchEqual, "job", "")
	mint, maxt := t0, t0+days*model.MsPerDay-1

	for _, c := range []struct {
		name                 string
		stages, getsPerBlock int
		run                  func(ctx context.Context, t *testing.T, q storage.Querier)
	}{
		// The confirmation of the catalogs runs beside the reads of the blocks.
		{"named selector", 2, 4, func(ctx context.Context, t *testing.T, q storage.Querier) {
			got := drain(t, q.Select(ctx, true, nil, cpu))
			require.NoError(t, got.err)
			require.Len(t, got.data["cpu"], days*blocksPerDay*200)
		}},
		{"two selectors", 2, 4, func(ctx context.Context, t *testing.T, q storage.Querier) {
			a := q.Select(ctx, true, nil, cpu)
			b := q.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchEqual, metricName, "net"))
			require.NoError(t, drain(t, a).err)
			require.NoError(t, drain(t, b).err)
		}},
		{"selector without a name", 3, 5, func(ctx context.Context, t *testing.T, q storage.Querier) {
			got := drain(t, q.Select(ctx, true, nil, noName))
			require.NoError(t, got.err)
			require.Len(t, got.names, 4)
		}},
		{"label values", 2, 1, func(ctx context.Context, t *testing.T, q storage.Querier) {
			got, _, err := q.LabelValues(ctx, metricName, nil)
			require.NoError(t, err)
			require.Equal(t, []string{"cpu", "disk", "mem", "net"}, got)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.countCold(t, c.stages, func(ctx context.Context, t *testing.T, q *Queryable) {
				querier, err := q.Querier(mint, maxt)
				require.NoError(t, err)
				defer querier.Close()
				c.run(ctx, t, querier)
			})
			blockGets, catalogGets := 0, 0
			for key, n := range s.Keys {
				if strings.HasPrefix(key, "d/") {
					require.LessOrEqual(t, n, c.getsPerBlock, key)
					blockGets += n
				} else {
					catalogGets += n
				}
			}
			t.Logf("%d stages, %d gets of blocks, %d of catalogs, %d bytes", s.Stages, blockGets, catalogGets, s.Bytes)
			require.Zero(t, s.Requests[countblob.OpList])
			require.Zero(t, s.Requests[countblob.OpPut])
			require.Equal(t, 5+5, catalogGets, "roster, root and three catalogs, read and confirmed, once for all selectors")
		})
	}
	t.Run("log of a writer", func(t *testing.T) {
		w.cfg.Detached = true
		w.register(catalog.Writer{ID: "w1", Mode: "fsync", Shipping: true})
		_, err := w.store.SetReleased(t.Context(), "w1", blocksPerDay)
		require.NoError(t, err)
		log := newShipper(w, "w1")
		for range blocksPerDay { // generations that are released
			log.add(testTenant, "old", model.Sample{T: t0, V: 1})
			log.rotate()
		}
		log.add(testTenant, "cpu", model.Sample{T: maxt, V: 1})
		log.ship()
		s := w.countCold(t, 2, func(ctx context.Context, t *testing.T, q *Queryable) { // the log beside the blocks and the confirmation
			got := selectAll(ctx, t, q, mint, maxt, cpu)
			require.NoError(t, got.err)
			require.Len(t, got.warnings, 1)
			require.Equal(t, 1.0, got.data["cpu"][maxt])
			require.Equal(t, days*blocksPerDay*200+1, len(got.data["cpu"]))
		})
		require.Zero(t, s.Requests[countblob.OpList])
	})
	t.Run("no bounds", func(t *testing.T) {
		w.countCold(t, 3, func(ctx context.Context, t *testing.T, q *Queryable) { // the root, its days' catalogs, blocks
			querier, err := q.Querier(math.MinInt64, math.MaxInt64)
			require.NoError(t, err)
			defer querier.Close()
			_, _, err = querier.LabelNames(ctx, nil)
			require.NoError(t, err)
		})
	})
}

// coldLatency is that of the bucket in cold tests.
const coldLatency = 30 * time.Millisecond

// countCold is cold for a run that is to take the given number of stages.
func (w *world) countCold(t *testing.T, stages int, run func(ctx context.Context, t *testing.T, q *Queryable)) countblob.Stats {
	t.Helper()
	s, elapsed := w.cold(t, run)
	require.Equal(t, float64(stages), elapsed, "stages by the clock")
	require.Equal(t, stages, s.Stages)
	return s
}

// cold counts what run does on a queryable with nothing cached, over a bucket that answers each call after coldLatency
// and any number at a time. All of it is in a testing/synctest bubble, whose clock only moves on while everybody waits: so the
// time that run took, which is returned in units of coldLatency, is exactly the number of its dependent stages. run must make
// its contexts from the one it gets.
func (w *world) cold(t *testing.T, run func(ctx context.Context, t *testing.T, q *Queryable)) (s countblob.Stats, stages float64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		counted := countblob.Wrap(w.driver, &countblob.Options{Latency: coldLatency})
		const unlimited = 1 << 16
		bucket := blob.New(counted, &blob.Options{MaxInFlight: unlimited})
		cfg := w.cfg
		cfg.MaxParallelBlocks = unlimited
		q, err := New(&cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: blocks.Stored{Bucket: bucket}, Logs: bucket})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, q.Close()) }) // in the bubble, whatever fails
		begin := time.Now()
		run(tenant.NewContext(t.Context(), testTenant), t, q)
		stages = float64(time.Since(begin)) / float64(coldLatency)
		s = counted.Stats()
	})
	return s, stages
}
