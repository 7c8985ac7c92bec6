package query

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

type quitKey struct{}

// quitter ends a query in the middle of a read that others may be waiting for, if its context asks for that.
type quitter struct{ cache.Reader }

func (q *quitter) ReadRanges(ctx context.Context, key string, ranges []blob.Range, o *blob.ReadOptions) ([][]byte, error) {
	if quit, ok := ctx.Value(quitKey{}).(context.CancelFunc); ok {
		quit()
	}
	return q.Reader.ReadRanges(ctx, key, ranges, o)
}

// replaceBlock makes a block of the same series in the place of m, and deletes m without any grace.
func (w *world) replaceBlock(m *blocks.Meta, from int64, series int) *blocks.Meta {
	var b strings.Builder
	p := &blocks.Params{Tenant: testTenant, Day: m.Day, Writer: m.Writer, Generation: m.Generation, Attempt: m.Attempt + 1, Replaces: []string{m.ID}}
	next, err := blocks.Build(context.Background(), p, targets(m.Generation, series, from, 60_000, 120), &b)
	require.NoError(w.t, err)
	_, err = w.bucket.Put(context.Background(), blocks.Key(next), []byte(b.String()))
	require.NoError(w.t, err)
	_, err = w.store.Commit(context.Background(), testTenant, m.Day, catalog.Replace{Inputs: []string{m.ID}, Outputs: []*blocks.Meta{next}})
	require.NoError(w.t, err)
	require.NoError(w.t, w.bucket.Delete(context.Background(), blocks.Key(m)))
	return next
}

// TestWarmCrowd has many queries at a time on caches that are too small, while blocks are replaced and deleted under them and some queries are
// given up in the middle of a read. Every answer is whole.
func TestWarmCrowd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const gens, series, asking, asks = 4, 60, 4, 40
	w := newWorld(t)
	w.cfg.SpeculationBytes = 100 << 10
	var live []*blocks.Meta
	var size int64
	begin := func(gen int) int64 { return t0 + int64(gen)*7_200_000 }
	for g := range gens {
		m := w.flushTargets(uint64(g+1), day0, begin(g), series)
		live, size = append(live, m), size+m.Size
	}
	reg := prometheus.NewRegistry()
	q := w.warmSized(&cache.BucketOptions{MemoryBytes: size / 3, Dir: t.TempDir(), DiskBytes: 3 * size / 4, Eager: true, KeepFree: 1}, func(r cache.Reader) cache.Reader { return &quitter{r} }, 64<<10, reg)
	ctx, stop := context.WithCancel(w.ctx())
	var copying, askers, all sync.WaitGroup
	copying.Go(func() { q.bytes.Run(ctx) })

	answered := make(chan struct{}, asking*asks)
	for n := range asking {
		askers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			for range asks {
				name, want := []string{"cpu", "disk", "mem"}[r.IntN(3)], gens*series*120
				ctx, quit := context.WithCancel(ctx)
				giveUp := r.IntN(4) == 0
				if giveUp {
					ctx = context.WithValue(ctx, quitKey{}, quit)
				}
				querier, err := q.Querier(t0, t0+model.MsPerDay-1)
				require.NoError(t, err)
				got, err := tally(querier.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchEqual, metricName, name)))
				require.NoError(t, querier.Close())
				quit()
				answered <- struct{}{}
				if giveUp && err != nil {
					require.ErrorIs(t, err, context.Canceled)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, want, got, name)
			}
		})
	}
	all.Go(func() {
		n := 0
		for range answered {
			if n++; n%3 == 0 {
				g := n / 3 % gens
				live[g] = w.replaceBlock(live[g], begin(g), series)
			}
		}
	})
	askers.Wait()
	close(answered)
	all.Wait()
	stop()
	copying.Wait()
	q.close()
	counts := func(name string) (n float64) {
		all, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range all {
			for _, m := range f.GetMetric() {
				if f.GetName() == name {
					n += m.GetCounter().GetValue()
				}
			}
		}
		return n
	}
	for _, name := range []string{"varve_cache_hits_total", "varve_cache_evictions_total", "varve_cache_copied_bytes_total"} {
		require.Positive(t, counts(name), name)
	}
}
