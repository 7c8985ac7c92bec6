package varve_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/query"
)

// TestCacheDir has short-lived readers share a directory one after the other, and two at a time.
func TestCacheDir(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	objects := mem.New()
	db := open(t, blob.New(objects, nil), t.TempDir(), ingester.Config{})
	_, err := db.AppendSeries(t.Context(), "t", at("cpu", 1))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))

	counted := countblob.Wrap(objects, nil)
	dir := filepath.Join(t.TempDir(), "cache")
	var log bytes.Buffer
	reader := func(eager bool) *varve.Reader {
		r, err := varve.OpenReader(t.Context(), &varve.Options{
			OpenedBucket: blob.New(counted, nil), Cache: varve.CacheOptions{MemoryBytes: -1, Dir: dir, Eager: eager},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.NoError(t, err)
		return r
	}
	ask := func(r *varve.Reader) (e query.Explain) {
		ctx, account := query.WithAccount(t.Context())
		v, err := r.Query(ctx, "t", everything, noon)
		require.Equal(t, map[string]float64{"cpu": 1}, values(t, v, err))
		return account.Explain()
	}
	first := reader(true)
	require.Positive(t, ask(first).GetsByKind.Block)
	second := reader(true)
	require.Positive(t, ask(second).GetsByKind.Block)
	require.Equal(t, 1, strings.Count(log.String(), "another process has the cache directory"))
	require.NoError(t, second.Close())
	first.KeepWarm(t.Context())
	require.Zero(t, ask(first).GetsByKind.Block)
	require.NoError(t, first.Close())

	third := reader(false)
	e := ask(third)
	require.Zero(t, e.GetsByKind.Block)
	require.Positive(t, e.CacheHits)
	require.Positive(t, e.CacheBytes)
	require.NoError(t, third.Close())

	// A directory that cannot be used costs copies only.
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	fourth := reader(true)
	require.Positive(t, ask(fourth).GetsByKind.Block)
	require.Contains(t, log.String(), "the cache directory cannot be used")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { fourth.Run(ctx) })
	cancel()
	running.Wait()
	require.NoError(t, fourth.Close())
}
