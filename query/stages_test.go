package query

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
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
		run                  func(t *testing.T, q storage.Querier)
	}{
		// The confirmation of the catalogs runs beside the reads of the blocks.
		{"named selector", 2, 4, func(t *testing.T, q storage.Querier) {
			got := drain(t, q.Select(tenant.NewContext(t.Context(), testTenant), true, nil, cpu))
			require.NoError(t, got.err)
			require.Len(t, got.data["cpu"], days*blocksPerDay*200)
		}},
		{"two selectors", 3, 4, func(t *testing.T, q storage.Querier) {
			ctx := tenant.NewContext(t.Context(), testTenant)
			a := q.Select(ctx, true, nil, cpu)
			b := q.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchEqual, metricName, "net"))
			require.NoError(t, drain(t, a).err)
			require.NoError(t, drain(t, b).err)
		}},
		{"selector without a name", 3, 5, func(t *testing.T, q storage.Querier) {
			got := drain(t, q.Select(tenant.NewContext(t.Context(), testTenant), true, nil, noName))
			require.NoError(t, got.err)
			require.Len(t, got.names, 4)
		}},
		{"label values", 2, 1, func(t *testing.T, q storage.Querier) {
			got, _, err := q.LabelValues(tenant.NewContext(t.Context(), testTenant), metricName, nil)
			require.NoError(t, err)
			require.Equal(t, []string{"cpu", "disk", "mem", "net"}, got)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.countCold(t, c.stages, func(q *Queryable) {
				querier, err := q.Querier(mint, maxt)
				require.NoError(t, err)
				defer querier.Close()
				c.run(t, querier)
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
			// Roster, root and three catalogs, read and confirmed; two selectors may take two confirmations.
			require.LessOrEqual(t, catalogGets, 5+5*(c.stages-1))
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
		s := w.countCold(t, 2, func(q *Queryable) { // the log beside the blocks and the confirmation
			got := selectAll(tenant.NewContext(t.Context(), testTenant), t, q, mint, maxt, cpu)
			require.NoError(t, got.err)
			require.Len(t, got.warnings, 1)
			require.Equal(t, 1.0, got.data["cpu"][maxt])
			require.Equal(t, days*blocksPerDay*200+1, len(got.data["cpu"]))
		})
		require.Zero(t, s.Requests[countblob.OpList])
	})
	t.Run("no bounds", func(t *testing.T) {
		w.countCold(t, 3, func(q *Queryable) { // the root, its days' catalogs, blocks
			querier, err := q.Querier(math.MinInt64, math.MaxInt64)
			require.NoError(t, err)
			defer querier.Close()
			_, _, err = querier.LabelNames(tenant.NewContext(t.Context(), testTenant), nil)
			require.NoError(t, err)
		})
	})
}

// countCold counts what run does on a queryable with nothing cached, and fails if it takes more
// stages than it may. A busy machine can make parallel calls look like a chain, and never a chain like parallel calls; so
// a few tries are allowed. (Not in a synctest bubble: pooled decoders must not leave one.)
func (w *world) countCold(t *testing.T, stages int, run func(*Queryable)) (s countblob.Stats) {
	for range 8 {
		counted := countblob.Wrap(w.driver, &countblob.Options{Latency: 20 * time.Millisecond})
		bucket := blob.New(counted, nil)
		q, err := New(&w.cfg, Components{Catalog: catalog.New(bucket, nil, catalog.Components{}), Blocks: rangeReader{bucket}, Logs: bucket})
		require.NoError(t, err)
		run(q)
		require.NoError(t, q.Close())
		if s = counted.Stats(); s.Stages <= stages {
			return s
		}
	}
	t.Fatalf("%d stages, want at most %d", s.Stages, stages)
	return s
}
