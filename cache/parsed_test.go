package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestParsed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, err := NewParsed[*int](nil)
	require.NoError(t, err)
	defer c.Close()
	_, ok := c.Get("a")
	require.False(t, ok)
	one, two := 1, 2
	c.Put("a", &one, 100)
	c.Settle()
	got, ok := c.Get("a")
	require.True(t, ok)
	require.Same(t, &one, got)
	c.Put("a", &two, 100)
	c.Settle()
	got, _ = c.Get("a")
	require.Same(t, &two, got)
	c.Delete("a")
	c.Settle()
	_, ok = c.Get("a")
	require.False(t, ok)
}

// TestBudget puts in far more than fits and counts what stayed.
func TestBudget(t *testing.T) {
	const budget, each = 1 << 20, 10 << 10
	c, err := NewParsed[int](&Options{MaxBytes: budget, TypicalBytes: each})
	require.NoError(t, err)
	defer c.Close()
	for i := range 1000 {
		c.Put(fmt.Sprint(i), i, each)
		c.Settle()
	}
	kept := 0
	for i := range 1000 {
		if v, ok := c.Get(fmt.Sprint(i)); ok {
			require.Equal(t, i, v)
			kept++
		}
	}
	require.LessOrEqual(t, kept*each, budget)
	require.Greater(t, kept*each, budget/2)
	c.Put("huge", 1, budget+1)
	c.Settle()
	_, ok := c.Get("huge")
	require.False(t, ok, "larger than the budget")
}

// TestDo makes a value once for all who ask at one time; a failure is the failure of who made it.
func TestDo(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := NewParsed[int](&Options{Metrics: NewMetrics(reg)})
	require.NoError(t, err)
	defer c.Close()
	oops := errors.New("oops")
	gate, made := make(chan struct{}), 0
	value := func() (int, int64, error) {
		made++ // one at a time
		<-gate
		if made == 1 {
			return 0, 0, oops
		}
		return 7, 100, nil
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			v, _, err := c.Do(t.Context(), "a", value)
			if err != nil {
				require.ErrorIs(t, err, oops)
				failed.Add(1)
				return
			}
			require.Equal(t, 7, v)
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		c.mu.Lock()
		begun := c.flights["a"] != nil
		c.mu.Unlock()
		if begun {
			break
		}
		runtime.Gosched()
	}
	_, _, err = c.Do(gone, "a", value)
	require.ErrorIs(t, err, context.Canceled)
	close(gate)
	all.Wait()
	require.EqualValues(t, 1, failed.Load())
	c.Settle()
	v, hit, err := c.Do(t.Context(), "a", value)
	require.NoError(t, err)
	require.True(t, hit)
	require.Equal(t, 7, v)
	_, _ = c.Get("a")
	_, _ = c.Get("b")
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP varve_cache_hits_total Ranges, and parsed objects, that were answered without the bucket, by tier: memory, disk or parsed.
# TYPE varve_cache_hits_total counter
varve_cache_hits_total{tier="disk"} 0
varve_cache_hits_total{tier="memory"} 0
varve_cache_hits_total{tier="parsed"} 1
`), "varve_cache_hits_total"))
	got, err := testutil.GatherAndCount(reg, "varve_cache_bytes")
	require.NoError(t, err)
	require.Equal(t, 3, got)
}
