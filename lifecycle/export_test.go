package lifecycle

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// place is another bucket, behind a driver that fails.
func (w *world) place(store *mem.Driver, d blob.Driver) (Place, *world) {
	b := blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1})
	p := Place{b, catalog.New(b, &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.now, Sleep: w.sleep})}
	own := blob.New(store, &blob.Options{Retries: -1})
	return p, &world{t: w.t, rng: w.rng, store: store, nowMs: w.nowMs, own: own, catalog: catalog.New(own, nil, catalog.Components{Now: w.now, Sleep: w.sleep})}
}

// TestExport: another bucket answers what the snapshot answers, whatever has become of its blocks here; merges and flushes go on there.
func TestExport(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(6)
	want := w.read()
	w.snapshot("then")
	w.flushes(3)
	l, _ := w.worker(small())
	w.once(l)
	w.nowMs += 61 * 60_000
	w.once(l)

	store := mem.New()
	to, there := w.place(store, store)
	var last, all int64
	r, err := Export(ctx, Place{w.own, w.catalog}, to, "t", "then", func(done, total int64) {
		require.GreaterOrEqual(t, done, last)
		last, all = done, total
	})
	require.NoError(t, err)
	require.Equal(t, 6, r.Copied)
	require.Equal(t, 1, r.Days)
	require.Equal(t, last, all)
	require.Equal(t, r.Bytes, all)
	require.Equal(t, want, there.read())
	r, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
	require.NoError(t, err)
	require.Zero(t, r.Copied, "all of it is there")
	tidier, _ := there.worker(small())
	there.once(tidier)
	require.Equal(t, want, there.read())
	_, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
	require.NoError(t, err, "merged meanwhile, and all of it is there")

	_, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "other", nil)
	require.ErrorIs(t, err, model.ErrInvalid)
	busy, _ := w.place(mem.New(), mem.New())
	_, err = busy.Catalog.Commit(ctx, "t", testDay, catalog.Add{Writer: "v", Generation: 1})
	require.NoError(t, err)
	_, err = Export(ctx, Place{w.own, w.catalog}, busy, "t", "then", nil)
	require.ErrorIs(t, err, model.ErrConflict)
}

// TestExportChecks: a damaged block is not exported, nor is one taken for ours that is not.
func TestExportChecks(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	m := w.flush()
	w.snapshot("then")
	key := blocks.Key(m)
	data, _, err := w.own.Get(ctx, key)
	require.NoError(t, err)
	bad := append([]byte(nil), data...)
	bad[len(bad)/2] ^= 1
	_, err = w.own.Put(ctx, key, bad)
	require.NoError(t, err)
	store := mem.New()
	to, _ := w.place(store, store)
	_, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
	require.ErrorIs(t, err, model.ErrCorrupt)
	require.ErrorContains(t, err, m.ID)
	_, _, err = to.Bucket.Get(ctx, key)
	require.ErrorIs(t, err, model.ErrNotFound)
	_, err = to.Bucket.Put(ctx, key, []byte("another one"))
	require.NoError(t, err)
	_, err = Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
	require.ErrorIs(t, err, model.ErrConflict)
}

// TestExportFaultsAtEveryCall: an export that broke off is begun again, and copies the rest.
func TestExportFaultsAtEveryCall(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.flushes(3)
	want := w.read()
	w.snapshot("then")
	for _, kind := range []faultblob.Kind{faultblob.Fail, faultblob.LoseAnswer, faultblob.CrashBefore, faultblob.CrashAfter, faultblob.Tear} {
		for n := 1; ; n++ {
			store := mem.New()
			d := faultblob.Wrap(store)
			d.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind}))
			to, there := w.place(store, d)
			_, err := Export(ctx, Place{w.own, w.catalog}, to, "t", "then", nil)
			if err == nil {
				require.Equal(t, want, there.read())
			}
			again, _ := w.place(store, store)
			_, err = Export(ctx, Place{w.own, w.catalog}, again, "t", "then", nil)
			require.NoError(t, err)
			require.Equal(t, want, there.read())
			if d.Calls() < n {
				require.Greater(t, n, 6)
				break
			}
		}
	}
}
