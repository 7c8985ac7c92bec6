package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

func TestRangesOverlap(t *testing.T) {
	w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
	o := w.store.object("d/a", 100_000)
	w.check(o, rg(1000, 1000), rg(5000, 2000))
	_, bytes := w.store.took()
	require.EqualValues(t, 3000, bytes)
	for _, c := range []struct {
		name   string
		ranges []blob.Range
		bytes  int64
	}{
		{"the same", []blob.Range{rg(1000, 1000), rg(5000, 2000)}, 0},
		{"a part", []blob.Range{rg(1100, 10), rg(5000, 1)}, 0},
		{"nothing", []blob.Range{rg(50, 0)}, 0},
		{"over the end", []blob.Range{rg(1900, 200)}, 100},
		{"across a gap", []blob.Range{rg(1500, 4000)}, 2900},
		{"all, and a part of it", []blob.Range{rg(0, 100_000), rg(20_000, 10)}, 100_000 - 6000},
		{"all", []blob.Range{rg(0, 100_000)}, 0},
	} {
		w.check(o, c.ranges...)
		_, bytes := w.store.took()
		require.Equal(t, c.bytes, bytes, c.name)
		for _, r := range c.ranges {
			require.True(t, w.Has(o, r))
		}
	}
	require.False(t, w.Has(w.store.object("d/b", 10), rg(0, 1)))
	w.Forget(o.Key)
	require.False(t, w.Has(o, rg(1000, 1)))
	w.check(o, rg(1000, 1))
	_, bytes = w.store.took()
	require.EqualValues(t, 1, bytes)
}

// TestRangesRandom reads at random with little memory and compares every byte.
func TestRangesRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	const budget = 60_000
	w := newWorld(t, nil, BucketOptions{MemoryBytes: budget})
	all := []*Object{w.store.object("d/a", 40_000), w.store.object("d/b", 40_000), w.store.object("d/c", 5)}
	for range 3000 {
		o := all[r.IntN(len(all))]
		ranges := make([]blob.Range, r.IntN(5))
		for i := range ranges {
			off := r.Int64N(o.Size)
			ranges[i] = rg(off, r.Int64N(min(8000, o.Size-off)+1))
		}
		if r.IntN(50) == 0 {
			w.Forget(o.Key)
		}
		w.check(o, ranges...)
		w.memory.consistent(t, budget)
	}
}

// consistent checks what must hold while nothing is under way.
func (c *ranges) consistent(t *testing.T, budget int64) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.LessOrEqual(t, c.lru.used, budget)
	var bytes int64
	n := 0
	for _, o := range c.objects {
		at := int64(0)
		for _, e := range o.extents {
			require.True(t, e.off >= at && e.end > e.off && int64(len(e.data)) == e.end-e.off && e.slot != nil)
			at = e.end
			bytes, n = bytes+int64(len(e.data))+extentOverhead, n+1
		}
	}
	require.Equal(t, c.lru.used, bytes)
	require.Equal(t, c.lru.trial.Len()+c.lru.kept.Len(), n)
}

// TestRangesScan reads a little again and again, and then far more than fits, once.
func TestRangesScan(t *testing.T) {
	w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
	hot, large := w.store.object("d/hot", 500<<10), w.store.object("d/large", 4<<20)
	for range 2 {
		for at := int64(0); at < hot.Size; at += 10 << 10 {
			w.check(hot, rg(at, 10<<10))
		}
	}
	for at := int64(0); at < large.Size; at += 16 << 10 {
		w.check(large, rg(at, 16<<10))
	}
	w.free(hot)
	w.check(large, rg(0, large.Size)) // one stretch larger than a quarter of the budget is not kept
	w.free(hot)
}

// TestSingleFlight has many readers miss the same bytes at one time.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
		o := w.store.object("d/a", 100_000)
		gate := make(chan struct{})
		w.store.before = func(context.Context, string) error { <-gate; return nil }
		var all sync.WaitGroup
		u := &Usage{}
		for i := range 50 {
			all.Go(func() {
				r := []blob.Range{rg(int64(i)*100, 50_000), rg(90_000, 1000)}
				got, err := w.Read(WithUsage(t.Context(), u), o, r)
				require.NoError(t, err)
				w.same(o, got, r)
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		_, bytes := w.store.took()
		require.EqualValues(t, 50_000+49*100+1000, bytes, "each byte once")
		require.Positive(t, u.Hits.Load())
	})
}

// TestLeaderGivesUp has the one who reads for all fail, or be cancelled.
func TestLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
		o := w.store.object("d/a", 1000)
		calls := 0
		w.store.before = func(ctx context.Context, _ string) error {
			if calls++; calls == 1 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		leading, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			_, err := w.Read(leading, o, []blob.Range{rg(0, 1000)})
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		all.Go(func() { w.check(o, rg(10, 10)) })
		late, stop := context.WithCancel(t.Context())
		all.Go(func() {
			_, err := w.Read(late, o, []blob.Range{rg(0, 10)})
			require.ErrorIs(t, err, context.Canceled)
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		cancel()
		all.Wait()
		require.Equal(t, 2, calls)
		w.check(o, rg(0, 1000)) // what the first left behind is whole
		w.memory.consistent(t, 1<<20)
	})
}

// TestSharedFailure has many wait for one read of a bucket that is dead: all learn of it at once. A budget that the reader alone had is no
// fault of the bucket, and costs the others nothing.
func TestSharedFailure(t *testing.T) {
	for name, c := range map[string]struct {
		err            error
		calls, failing int
	}{
		"dead bucket": {model.ErrUnavailable, 1, 20},
		"gone":        {model.ErrNotFound, 1, 20},
		"budget":      {model.ErrLimit, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
				o := w.store.object("d/a", 1000)
				calls := 0 // one at a time
				w.store.before = func(context.Context, string) error {
					time.Sleep(time.Minute)
					if calls++; calls == 1 || c.calls == 1 {
						return fmt.Errorf("get d/a: %w", c.err)
					}
					return nil
				}
				start := time.Now()
				var failed atomic.Int64
				var all sync.WaitGroup
				for i := range 20 { // all but the first ask for the same: whoever reads next reads for all
					all.Go(func() {
						if _, err := w.Read(t.Context(), o, []blob.Range{rg(int64(min(i, 1)), 100-2*int64(min(i, 1)))}); err != nil {
							require.ErrorIs(t, err, c.err)
							failed.Add(1)
						}
					})
					synctest.Wait()
				}
				all.Wait()
				require.Equal(t, c.calls, calls)
				require.EqualValues(t, c.failing, failed.Load())
				require.Equal(t, time.Duration(c.calls)*time.Minute, time.Since(start))
			})
		})
	}
}

func TestErrorsPass(t *testing.T) {
	w := newWorld(t, nil, BucketOptions{MemoryBytes: 1 << 20})
	o := w.store.object("d/a", 1000)
	oops := errors.New("oops")
	w.store.before = func(context.Context, string) error { return oops }
	_, err := w.ReadRanges(t.Context(), o.Key, []blob.Range{rg(0, 10)})
	require.ErrorIs(t, err, oops)
	w.store.before = nil
	w.check(o, rg(0, 10))
	w.check(o, rg(500, 10))
	delete(w.store.objects, o.Key)
	_, err = w.Read(t.Context(), o, []blob.Range{rg(0, 20)})
	require.ErrorIs(t, err, model.ErrNotFound)
	require.False(t, w.Has(o, rg(500, 10)), "an object that is gone is forgotten")
	w.memory.consistent(t, 1<<20)
}

func TestNoMemory(t *testing.T) {
	w := newWorld(t, nil, BucketOptions{})
	o := w.store.object("d/a", 1000)
	for range 2 {
		got, err := w.Read(t.Context(), o, []blob.Range{rg(0, 10)})
		require.NoError(t, err)
		require.Len(t, got[0], 10)
	}
	n, _ := w.store.took()
	require.Equal(t, 2, n)
}
