package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// deleter deletes by the world's clock, through a way to the bucket of its own.
func (w *world) deleter() (*Deleter, *faultblob.Driver) {
	d := faultblob.Wrap(w.store)
	c := catalog.New(blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1}), &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.now, Sleep: w.sleep})
	return &Deleter{Catalog: c, Now: w.now, Parallel: 1, Flush: func(context.Context, *catalog.Roster) []string { return nil }}, d
}

func (w *world) request(id, matchers string, from, to int64) *DeleteRequest {
	selectors, err := catalog.ParseSelectors(matchers)
	require.NoError(w.t, err)
	base := testDay.Range().MinMs
	return &DeleteRequest{Tenant: "t", ID: id, Selectors: selectors, Range: model.TimeRange{MinMs: base + from, MaxMs: base + to}}
}

// readMasked is read as a query does it, with tombstones.
func (w *world) readMasked() map[string]string {
	out := map[string]string{}
	p := w.partition()
	for i := range p.Blocks {
		e := &p.Blocks[i]
		masks, err := catalog.BlockMasks(p.Masks(e))
		require.NoError(w.t, err)
		sel, err := blocks.Select(context.Background(), blocks.Stored{Bucket: w.own}, e.Meta, &blocks.Query{Range: testDay.Range(), Masks: masks})
		require.NoError(w.t, err)
		w.take(out, sel)
	}
	return out
}

func without(all map[string]string, gone func(series string, ms int64) bool) map[string]string {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(k, _ string) bool {
		var ms int64
		_, err := fmt.Sscan(k[strings.LastIndexByte(k, '}')+1:], &ms)
		return err == nil && gone(k, ms-testDay.Range().MinMs)
	})
	return out
}

// TestDeleteAndErase: what was deleted is hidden at once, stays so through merges, is erased from the bucket in the end, and what is written afterwards stays.
func TestDeleteAndErase(t *testing.T) {
	for n := range 8 {
		w := newWorld(t)
		w.flushes(3 + w.rng.IntN(6))
		d, _ := w.deleter()
		req := w.request("", `{__name__="m1"}`+"\n"+`{i="2"}`, 10_000, 60_000)
		gone := func(series string, ms int64) bool {
			return ms >= 10_000 && ms <= 60_000 && (strings.Contains(series, `__name__="m1"`) || strings.Contains(series, `i="2"`))
		}
		want := without(w.read(), gone)
		require.NotEqual(t, len(want), len(w.read()))
		got, err := d.Delete(context.Background(), req)
		require.NoError(t, err)
		require.Equal(t, 1, got.Days)
		require.Equal(t, want, w.readMasked())
		report, err := ReportErasure(context.Background(), w.own, w.catalog, "t", got.ID)
		require.NoError(t, err)
		require.False(t, report.Erased)
		require.Equal(t, "live block", report.Holders[0].Kind)

		w.flushes(3)
		want = w.readMasked()
		cfg := small()
		cfg.Sequential = n%2 == 0
		if n%3 == 0 {
			cfg.Merge.MaxBlocks = 100 // no merge comes by
		}
		l, _ := w.worker(cfg)
		w.once(l)
		require.Equal(t, want, w.readMasked())
		w.nowMs += (20 * time.Minute).Milliseconds()
		r := w.once(l)
		require.Equal(t, want, w.readMasked())
		require.Equal(t, want, w.read(), "nothing is left that a mask would hide")
		if n%3 == 0 {
			require.NotZero(t, r.Erasures)
		}
		report, err = ReportErasure(context.Background(), w.own, w.catalog, "t", got.ID)
		require.NoError(t, err)
		require.False(t, report.Erased)
		require.Equal(t, "retired block", report.Holders[0].Kind)
		w.nowMs += (2 * time.Hour).Milliseconds()
		w.once(l)
		report, err = ReportErasure(context.Background(), w.own, w.catalog, "t", got.ID)
		require.NoError(t, err)
		require.True(t, report.Erased, "%+v", report.Holders)
		require.Len(t, w.partition().Tombstones, 1, "kept, so that a repeated call does no harm")
		w.flushes(2)
		want = w.readMasked()
		req.ID = got.ID
		_, err = d.Delete(context.Background(), req)
		require.NoError(t, err)
		require.Equal(t, want, w.readMasked())
		w.nowMs += 8 * model.MsPerDay
		w.once(l)
		require.Empty(t, w.partition().Tombstones)
		_, err = d.Delete(context.Background(), req)
		require.ErrorIs(t, err, model.ErrInvalid)
		require.Equal(t, want, w.readMasked())
	}
}

// TestEraseWholeBlock: a block of which nothing is left goes without a successor; one that holds nothing of it is not written again.
func TestEraseWholeBlock(t *testing.T) {
	w := newWorld(t)
	w.flushes(2)
	d, _ := w.deleter()
	_, err := d.Delete(context.Background(), w.request("none", `{nope="x"}`, 0, 1e9))
	require.NoError(t, err)
	before := ids(w.partition().Blocks)
	l, _ := w.worker(&Config{EraseAfter: -1, Sequential: true})
	r := w.once(l)
	require.Equal(t, 2, r.Settled)
	require.Zero(t, r.Jobs)
	require.Equal(t, before, ids(w.partition().Blocks))
	_, err = d.Delete(context.Background(), w.request("all", `{__name__=~".+"}`, -5, 1e9))
	require.NoError(t, err)
	require.Empty(t, w.readMasked())
	w.once(l)
	require.Empty(t, w.partition().Blocks)
}

// TestDeleteFaultsAtEveryCall: a delete that ends between days is finished by the same call.
func TestDeleteFaultsAtEveryCall(t *testing.T) {
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(3)
			want := without(w.read(), func(series string, _ int64) bool { return strings.Contains(series, `__name__="m1"`) })
			req := w.request("x", `m1`, -1e6, 1e9)
			d, driver := w.deleter()
			driver.SetHook(faultblob.Nth(n, a))
			_, err := d.Delete(context.Background(), req)
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			again, _ := w.deleter()
			_, err = again.Delete(context.Background(), req)
			require.NoError(t, err)
			require.Equal(t, want, w.readMasked())
			require.Len(t, w.partition().Tombstones, 1)
			if driver.Calls() < n {
				break
			}
		}
	}
}

func TestDeleteRefuses(t *testing.T) {
	w := newWorld(t)
	w.flushes(1)
	d, _ := w.deleter()
	for _, req := range []*DeleteRequest{
		{Tenant: "t", Range: testDay.Range()},
		w.request("", "a", 5, 4),
		w.request("", "{}", 0, 4),
		w.request("", `{a="b"}`+"\n"+`{a!="b"}`, 0, 4),
		w.request("a/b", "a", 0, 4),
		w.request("", `{a="`+strings.Repeat("x", maxMatchers)+`"}`, 0, 4),
	} {
		_, err := d.Delete(context.Background(), req)
		require.ErrorIs(t, err, model.ErrInvalid)
	}
	_, err := d.Delete(context.Background(), w.request("x", "a", 0, 4))
	require.NoError(t, err)
	_, err = d.Delete(context.Background(), w.request("x", "b", 0, 4))
	require.ErrorIs(t, err, model.ErrConflict)
	_, err = ReportErasure(context.Background(), w.own, w.catalog, "t", "y")
	require.ErrorIs(t, err, model.ErrNotFound)
}
