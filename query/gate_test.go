package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestNoGate(t *testing.T) {
	g := NewGate(0, nil)
	require.Nil(t, g)
	h := g.Open()
	require.NoError(t, h.Admit(context.Background()))
	require.NoError(t, h.Take(1<<60))
	h.Give(1 << 60)
	h.Close()
	require.Zero(t, g.Used())
}

func TestGateRefuses(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := NewGate(1000, reg) // a first share of 250, steps of 3
	a, b := g.Open(), g.Open()
	require.NoError(t, a.Admit(context.Background()))
	require.NoError(t, b.Admit(context.Background()))
	require.EqualValues(t, 500, g.Used())
	require.NoError(t, a.Take(250))
	require.EqualValues(t, 500, g.Used(), "it is the first share")
	require.NoError(t, a.Take(181))

	var full *MemoryError
	err := b.Take(600)
	require.ErrorAs(t, err, &full)
	require.False(t, full.Alone())
	require.ErrorIs(t, err, model.ErrUnavailable)
	require.Equal(t, 2, full.Queries)
	require.NoError(t, b.Take(500), "what is refused is not taken")
	err = a.Take(570)
	require.ErrorAs(t, err, &full)
	require.True(t, full.Alone())
	require.ErrorIs(t, err, model.ErrLimit)
	require.ErrorContains(t, err, "above the 0.0 MiB for all queries")
	require.EqualValues(t, 2, testutil.ToFloat64(g.refused))

	b.Give(500)
	require.Less(t, g.Used(), int64(700))
	require.NoError(t, a.Take(300))
	a.Close()
	a.Close()
	a.Give(731)
	require.NoError(t, a.Take(1<<40), "nobody would give it back")
	b.Close()
	require.Zero(t, g.Used())
	require.Zero(t, g.queries)
}

func TestGateAdmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(40, nil) // a first share of 10
		big := g.Open()
		require.NoError(t, big.Take(35))

		// One gives up, one loses patience, the others are let in, in order.
		ctx, cancel := context.WithCancelCause(context.Background())
		var order []string
		var mu sync.Mutex
		var all sync.WaitGroup
		wait := func(ctx context.Context, name string, want error) {
			all.Go(func() {
				h := g.Open()
				defer h.Close()
				err := h.Admit(ctx)
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				require.ErrorIs(t, err, want)
				if want == nil {
					require.NoError(t, h.Take(10))
					time.Sleep(time.Second)
				}
			})
			synctest.Wait()
		}
		gone := errors.New("gone")
		wait(context.Background(), "late", model.ErrUnavailable)
		time.Sleep(patience / 2)
		wait(ctx, "gone", gone)
		wait(context.Background(), "first", nil)
		wait(context.Background(), "second", nil)
		cancel(gone)
		synctest.Wait()
		time.Sleep(patience/2 + 1)
		synctest.Wait()
		require.Equal(t, []string{"gone", "late"}, order)
		require.Len(t, g.waiting, 2)
		big.Close()
		all.Wait()
		require.ElementsMatch(t, []string{"first", "second"}, order[2:])
		require.Zero(t, g.Used())
		require.Zero(t, g.queries)
	})
}

// TestGateCrowd has many take and give at random, some of whom give up while they wait.
func TestGateCrowd(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := NewGate(100_000, nil)
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			for range 200 {
				h := g.Open()
				ctx, cancel := context.WithCancel(context.Background())
				if r.IntN(4) == 0 {
					cancel()
				}
				if h.Admit(ctx) == nil {
					var parts sync.WaitGroup
					for range 2 {
						sizes := []int64{r.Int64N(20_000), r.Int64N(20_000), r.Int64N(100)}
						parts.Go(func() {
							for _, n := range sizes {
								if h.Take(n) == nil && n%2 == 0 {
									h.Give(n)
								}
							}
						})
					}
					parts.Wait()
				}
				if used := g.Used(); used > g.limit || used < 0 {
					panic(fmt.Sprintf("%d of %d are used", used, g.limit))
				}
				h.Close()
				cancel()
			}
		})
	}
	all.Wait()
	require.Zero(t, g.Used())
	require.Zero(t, g.queries)
	require.Empty(t, g.waiting)
}
