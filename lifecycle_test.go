package varve_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// randomFlushes flushes blocks of series that come and go, early and late, some samples for the second time, floats of every bit
// pattern and histograms.
func randomFlushes(t *testing.T, db *varve.DB, rng *rand.Rand, n int) {
	for range n {
		var all []varve.Series
		for i := range 10 {
			if rng.IntN(4) == 0 {
				continue
			}
			s := varve.Series{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%4), "i", fmt.Sprint(i), "Zone", fmt.Sprint(i%2))}
			at := noon.UnixMilli() + int64(rng.IntN(3600))*1000
			for range 1 + rng.IntN(40) {
				at += 15_000 * int64(1+rng.IntN(2))
				switch {
				case i == 9:
					h := &histogram.Histogram{Schema: 1, Count: 3 + uint64(rng.IntN(9)), Sum: rng.Float64(), PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}}
					h.PositiveBuckets = []int64{int64(h.Count)}
					s.Histograms = append(s.Histograms, varve.Histogram{T: at, Int: h})
					continue
				case rng.IntN(12) == 0:
					s.Samples = append(s.Samples, model.Sample{T: at, V: math.Float64frombits(value.StaleNaN)})
				case rng.IntN(12) == 0:
					s.Samples = append(s.Samples, model.Sample{T: at, V: math.Float64frombits(0x7ff8000000000000 | uint64(rng.IntN(99)))})
				default:
					s.Samples = append(s.Samples, model.Sample{T: at, V: float64(rng.IntN(1000)) / 10})
				}
			}
			all = append(all, s)
		}
		_, err := db.AppendSeries(t.Context(), "default", all...)
		require.NoError(t, err)
		require.NoError(t, db.Flush(t.Context()))
	}
}

// bits reads every sample of the tenant through the querier, as bits.
func bits(t *testing.T, db *varve.DB) string {
	q, err := db.Queryable().Querier(noon.Add(-time.Hour).UnixMilli(), noon.Add(12*time.Hour).UnixMilli())
	require.NoError(t, err)
	defer q.Close()
	set := q.Select(tenant.NewContext(t.Context(), "default"), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	var b strings.Builder
	for set.Next() {
		fmt.Fprintln(&b, set.At().Labels())
		for it := set.At().Iterator(nil); ; {
			switch it.Next() {
			case chunkenc.ValNone:
				require.NoError(t, it.Err())
			case chunkenc.ValFloat:
				at, v := it.At()
				fmt.Fprintf(&b, "%d %x\n", at, math.Float64bits(v))
				continue
			default:
				at, h := it.AtFloatHistogram(nil)
				fmt.Fprintf(&b, "%d %v\n", at, h)
				continue
			}
			break
		}
	}
	require.NoError(t, set.Err())
	return b.String()
}

// TestCompactionChangesNoAnswer makes parquet of random data, twice, the second time with late data, while it is queried: every answer is the same to the last
// bit, before, meanwhile and after.
func TestCompactionChangesNoAnswer(t *testing.T) {
	worksBehindQueries(t, &lifecycle.Config{Compact: lifecycle.CompactSettings{
		WaitForWriters: -100 * 365 * 24 * time.Hour, Settle: -1, LateBlocks: 1, MinOutputBytes: 1, MaxInputs: 15,
	}}, 3)
}

// TestMergesChangeNoAnswer merges the blocks of random data, while it is queried: every answer is the same to the last bit, before, meanwhile
// and after.
func TestMergesChangeNoAnswer(t *testing.T) {
	worksBehindQueries(t, &lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 3, MaxInputs: 5, MaxOutputSeries: 7}}, 6)
}

// worksBehindQueries lets a worker look once at the blocks of random data, with at least that many jobs to do.
func worksBehindQueries(t *testing.T, cfg *lifecycle.Config, jobs int) {
	t.Helper()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	b := blob.New(mem.New(), &blob.Options{PartBytes: 3000})
	defer b.Close()
	db := open(t, b, t.TempDir(), ingester.Config{})
	randomFlushes(t, db, rng, 40)
	exprs := []string{"sum by (Zone) (rate(m1[5m]))", "m2", "max_over_time(m0[10m])", "histogram_quantile(0.9, m1)", "count_over_time({i=~\".+\"}[3m])", "topk(2, m3)"}
	ask := func() (out []string) {
		for _, expr := range exprs {
			r, err := db.QueryRange(t.Context(), "default", expr, noon, noon.Add(2*time.Hour), time.Minute)
			require.NoError(t, err)
			require.NoError(t, r.Err)
			out = append(out, r.String())
		}
		return out
	}
	wantBits, want := bits(t, db), ask()
	require.NotEmpty(t, wantBits)

	worker, err := db.Lifecycle(cfg, lifecycle.Components{})
	require.NoError(t, err)
	var meanwhile sync.WaitGroup
	stop := make(chan struct{})
	meanwhile.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if got := bits(t, db); got != wantBits {
					t.Error("another answer while blocks are merged")
				}
			}
		}
	})
	r, err := worker.Once(t.Context())
	close(stop)
	meanwhile.Wait()
	require.NoError(t, err)
	require.Empty(t, r.Failures)
	require.GreaterOrEqual(t, r.Jobs, jobs)
	require.Equal(t, wantBits, bits(t, db))
	require.Equal(t, want, ask())
	require.NoError(t, db.Close(t.Context()))
}
