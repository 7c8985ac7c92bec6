package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
)

// TestRun: the loop looks again and again, and ends with its context.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.flushes(5)
	want := w.read()
	synctest.Test(t, func(t *testing.T) {
		b := blob.New(w.store, &blob.Options{MaxInFlight: 1})
		reg := prometheus.NewPedanticRegistry()
		l, err := New(&Config{Merge: MergeSettings{MaxBlocks: 3}, Interval: time.Minute}, Components{
			Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{}), Registerer: reg,
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.LessOrEqual(t, len(w.partition().Blocks), 3)
		w.flushes(5)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.LessOrEqual(t, len(w.partition().Blocks), 3)
		cancel()
		require.NoError(t, <-done)
		_, err = reg.Gather()
		require.NoError(t, err)
	})
	for k := range want {
		require.Contains(t, w.read(), k)
	}
}
