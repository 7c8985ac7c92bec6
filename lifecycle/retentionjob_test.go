package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// retain sets the tenant's retention; nil removes it.
func (w *world) retain(r *Retention) {
	_, err := w.catalog.UpdateRoot(context.Background(), "t", func(root *catalog.Root) error { return SetRetention(root, r) })
	require.NoError(w.t, err)
}

// daysLater is when the test's day is so many days old.
func (w *world) daysLater(n int64) { w.nowMs = testDay.Range().MaxMs + 1 + n*model.MsPerDay }

// quiet are settings under which nothing is merged.
func quiet() *Config {
	return &Config{Merge: MergeSettings{MaxBlocks: 1000}, Compact: CompactSettings{Off: true}, Sequential: true}
}

// everyFault are what may become of a call.
func everyFault() []faultblob.Action {
	return []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashBefore}, {Kind: faultblob.CrashAfter}, {Kind: faultblob.Tear, Keep: 1}}
}

func expectedFault(err error) bool {
	return err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable)
}

// TestRetention changes the setting under a worker that goes on, and lets the day grow old.
func TestRetention(t *testing.T) {
	w := newWorld(t)
	w.flushes(3)
	want := w.read()
	l, _ := w.worker(quiet())
	w.daysLater(300)
	w.once(l)
	w.once(l)
	require.Zero(t, w.once(l).Read, "settled")
	w.retain(&Retention{Raw: "301d"})
	require.Equal(t, 1, w.once(l).Read, "the root has changed")
	w.once(l)
	require.Zero(t, w.once(l).Read)
	require.Equal(t, want, w.read())
	w.daysLater(301)
	w.nowMs--
	require.Zero(t, w.once(l).Read)
	w.nowMs++
	r := w.once(l)
	require.Equal(t, 1, r.Read, "it wakes by itself")
	require.Equal(t, 3, r.Expired)
	require.NotZero(t, r.ExpiredBytes)
	require.Equal(t, 3.0, testutil.ToFloat64(l.metrics.expired))
	require.Empty(t, w.read())
	require.Len(t, w.objects(), 3, "queries may go by an older catalog")

	// What comes late goes at once.
	w.flush()
	require.Equal(t, 1, w.once(l).Expired)
	require.Equal(t, uint64(4), w.partition().Flushed["w"], "a writer that replays its log must find that it flushed")
	w.nowMs += time.Hour.Milliseconds()
	require.Equal(t, 4, w.once(l).Collected)
	w.onlyLive()

	w.retain(nil)
	w.flush()
	require.Zero(t, w.once(l).Expired)
	require.NotEmpty(t, w.read())
}

// TestRetentionDefault: the worker's own goes for tenants that say nothing.
func TestRetentionDefault(t *testing.T) {
	w := newWorld(t)
	w.flush()
	w.daysLater(20)
	cfg := quiet()
	cfg.Retention = "20d"
	l, _ := w.worker(cfg)
	w.retain(&Retention{Raw: Forever})
	require.Zero(t, w.once(l).Expired)
	w.retain(&Retention{Rollups: "2d"})
	require.Equal(t, 1, w.once(l).Expired)
	_, err := New(&Config{Retention: "1h"}, Components{})
	require.ErrorIs(t, err, model.ErrInvalid)
}

// TestRetentionRules: a rule makes one tombstone for what was there, and another one for what comes late.
func TestRetentionRules(t *testing.T) {
	w := newWorld(t)
	w.flushes(3)
	w.retain(&Retention{Raw: "90d", Rules: []RetentionRule{{Matchers: `{i="3"}`, Raw: "7d"}}})
	l, _ := w.worker(quiet())
	w.daysLater(6)
	require.Zero(t, w.once(l).Masked)
	w.daysLater(7)
	r := w.once(l)
	require.Equal(t, 1, r.Masked)
	require.Zero(t, r.Expired)
	p := w.partition()
	require.Len(t, p.Tombstones, 1)
	require.Equal(t, `{i="3"}`, p.Tombstones[0].Matchers)
	require.Equal(t, testDay.Range(), p.Tombstones[0].Range)
	other, _ := w.worker(quiet())
	require.Zero(t, w.once(other).Masked, "another worker finds it done")
	w.flush()
	require.Equal(t, 1, w.once(l).Masked)
	require.Len(t, w.partition().Tombstones, 2)
	require.Zero(t, w.once(other).Masked)
	w.daysLater(90)
	require.NotZero(t, w.once(l).Expired)
	require.Empty(t, w.partition().Blocks)
}

// TestRetentionFaultsAtEveryCall: nothing expires that should not, and the next worker does what is left.
func TestRetentionFaultsAtEveryCall(t *testing.T) {
	for _, a := range everyFault() {
		for n := 1; ; n++ {
			w := newWorld(t)
			w.flushes(2)
			w.retain(&Retention{Raw: "9d", Rules: []RetentionRule{{Matchers: `{i="3"}`, Raw: "7d"}}})
			want := w.read()
			w.daysLater(8)
			l, d := w.worker(quiet())
			d.SetHook(faultblob.Nth(n, a))
			_, err := l.Once(context.Background())
			require.True(t, expectedFault(err), "%v", err)
			require.Equal(t, want, w.read(), "the blocks stay")
			w.daysLater(9)
			other, _ := w.worker(quiet())
			w.once(other)
			require.Empty(t, w.partition().Blocks, "call %d", n)
			require.LessOrEqual(t, len(w.partition().Tombstones), 1)
			if d.Calls() < n {
				require.Greater(t, n, 6)
				break
			}
		}
	}
}

// TestRetentionRaces lets another worker, a flush, or a change of the setting come at each call.
func TestRetentionRaces(t *testing.T) {
	for name, race := range map[string]func(w *world){
		"worker":  func(w *world) { l, _ := w.worker(quiet()); w.once(l) },
		"flush":   func(w *world) { w.flush() },
		"setting": func(w *world) { w.retain(nil) },
		"merge": func(w *world) {
			l, _ := w.worker(&Config{Merge: MergeSettings{MaxBlocks: 1}, Compact: CompactSettings{Off: true}, Retention: Forever, Sequential: true})
			w.once(l)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				w := newWorld(t)
				w.flushes(3)
				w.retain(&Retention{Raw: "9d"})
				w.daysLater(9)
				l, d := w.worker(quiet())
				expired := false
				d.SetHook(func(c faultblob.Call) faultblob.Action {
					if c.N == n {
						race(w)
						expired = len(w.partition().Blocks) == 0
					}
					return faultblob.Action{}
				})
				_, err := l.Once(context.Background())
				require.NoError(t, err)
				if name == "setting" && d.Calls() >= n && !expired && n < 8 {
					require.NotEmpty(t, w.partition().Blocks, "call %d: the setting was gone before anything was done", n)
				}
				calls := d.Calls()
				d.SetHook(nil)
				if name != "setting" {
					w.nowMs += retentionClaim.Milliseconds() + 1
					w.once(l)
					require.Empty(t, w.partition().Blocks, "call %d", n)
				}
				if calls < n {
					require.Greater(t, n, 6)
					break
				}
			}
		})
	}
}

// TestRetentionClock: a worker whose clock is wrong deletes nothing, and says so.
func TestRetentionClock(t *testing.T) {
	for _, off := range []time.Duration{2 * time.Hour, -2 * time.Hour, 400 * 24 * time.Hour} {
		w := newWorld(t)
		w.flushes(2)
		w.retain(&Retention{Raw: "30d"})
		w.daysLater(31)
		if off > 48*time.Hour {
			w.daysLater(1)
		}
		b := blob.New(w.store, &blob.Options{Retries: -1})
		now := func() time.Time { return w.now().Add(off) }
		l, err := New(quiet(), Components{
			Bucket: b, Now: now, Sleep: w.sleep, Catalog: catalog.New(b, nil, catalog.Components{Now: now, Sleep: w.sleep}),
		})
		require.NoError(t, err)
		r, err := l.Once(context.Background())
		require.NoError(t, err)
		require.Len(t, r.Failures, 1)
		require.Contains(t, r.Failures[0], "the clock of this worker is "+off.String()+" off the bucket's")
		require.Len(t, w.partition().Blocks, 2)

		// Its claim, which it takes to learn the time, keeps nobody waiting who knows better.
		w.daysLater(31)
		l, _ = w.worker(quiet())
		r = w.once(l)
		require.Empty(t, r.Failures)
		require.Equal(t, 2, r.Expired)
	}
}

// TestRetentionNotUnderstood: nothing of the tenant expires, and everything else goes on.
func TestRetentionNotUnderstood(t *testing.T) {
	w := newWorld(t)
	w.flushes(8)
	_, err := w.catalog.UpdateRoot(context.Background(), "t", func(r *catalog.Root) error {
		r.Settings = map[string]string{RetentionSetting: `{"raw":"2d","unless":"leap year"}`}
		return nil
	})
	require.NoError(t, err)
	w.daysLater(10)
	cfg := small()
	cfg.Retention = "3d"
	l, _ := w.worker(cfg)
	r := w.once(l)
	require.Zero(t, r.Expired)
	require.NotZero(t, r.Jobs)
	require.NotEmpty(t, w.partition().Blocks)
}

// TestRetentionTooManySelectors: with the worker's default the rules take more selectors than are allowed, so nothing expires.
func TestRetentionTooManySelectors(t *testing.T) {
	w := newWorld(t)
	w.flush()
	r := &Retention{}
	for i := range 9 {
		r.Rules = append(r.Rules, RetentionRule{Matchers: fmt.Sprintf(`{a="%d",b="c"}`, i), Raw: "9d"})
	}
	require.NoError(t, r.Check())
	w.retain(r)
	w.daysLater(5)
	cfg := quiet()
	cfg.Retention = "3d"
	l, _ := w.worker(cfg)
	require.Zero(t, w.once(l).Masked)
	require.NotEmpty(t, w.partition().Blocks)
	require.Empty(t, w.partition().Tombstones)
}

// deleteTenant makes the root of the tenant a gravestone, and the catalog too if asked to.
func (w *world) deleteTenant(buried bool) {
	root, err := w.catalog.DeleteTenant(context.Background(), "t")
	require.NoError(w.t, err)
	if buried {
		_, err = w.catalog.Bury(context.Background(), root, testDay)
		require.NoError(w.t, err)
	}
}

func TestDeletedTenant(t *testing.T) {
	for _, buried := range []bool{false, true} {
		w := newWorld(t)
		w.flushes(6)
		other := "d/tenant=t2/day=2024-01-01/x.vb"
		for _, key := range []string{other, "t/t/x/tombstone"} {
			_, err := w.own.Put(context.Background(), key, []byte("x"))
			require.NoError(t, err)
		}
		l, _ := w.worker(small())
		w.once(l)
		// Blocks, what they were merged to, and a tombstone in place of the other tenant's.
		all := len(w.objects())
		w.deleteTenant(buried)
		require.Zero(t, w.once(l).DeletedObjects)
		require.NotZero(t, w.partition().GravestoneMs)
		w.nowMs += time.Hour.Milliseconds()
		r := w.once(l)
		require.Equal(t, all, r.DeletedObjects)
		require.NotZero(t, r.DeletedBytes)
		require.Equal(t, map[string]bool{"x": true}, w.objects(), "that of another tenant")
		_, _, err := w.own.Get(context.Background(), "t/t/root")
		require.NoError(t, err)
		// A writer that was away uploads a block, and is refused.
		_, err = w.own.Put(context.Background(), "d/tenant=t/day=2024-01-01/late.vb", []byte("x"))
		require.NoError(t, err)
		require.Zero(t, w.once(l).DeletedObjects)
		w.nowMs += cleanEvery.Milliseconds()
		require.Equal(t, 1, w.once(l).DeletedObjects)
	}
	_, _, err := DeleteObjects(context.Background(), nil, &catalog.Root{Tenant: "t"})
	require.ErrorIs(t, err, model.ErrInvalid, "the root of a living tenant")
}

// TestDeletionFaultsAtEveryCall: whatever happens to a call, another worker brings the deletion to its end.
func TestDeletionFaultsAtEveryCall(t *testing.T) {
	for _, grace := range []int64{0, time.Hour.Milliseconds()} {
		for _, a := range everyFault() {
			for n := 1; ; n++ {
				w := newWorld(t)
				w.flushes(2)
				w.deleteTenant(grace > 0)
				w.nowMs += grace
				l, d := w.worker(small())
				d.SetHook(faultblob.Nth(n, a))
				_, err := l.Once(context.Background())
				require.True(t, expectedFault(err), "%v", err)
				other, _ := w.worker(small())
				w.once(other)
				w.nowMs += time.Hour.Milliseconds()
				_, _ = l.Once(context.Background()) // it goes on, unless it died
				w.once(other)
				require.Empty(t, w.objects(), fmt.Sprint("call ", n))
				require.NotZero(t, w.partition().GravestoneMs)
				if d.Calls() < n {
					break
				}
			}
		}
	}
}
