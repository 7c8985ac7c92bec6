package lifecycle

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestRollups follows a day through its life: compacted and rolled, late samples, deletes, raw samples expire, later samples still, more deletes, the end.
func TestRollups(t *testing.T) {
	w := newRollWorld(t)
	w.retain(yearly("9d"))
	for hour := int64(0); hour < 24; hour += 2 {
		w.scrape(hour, hour+2, true)
	}
	w.daysLater(0)
	l, _ := w.worker(rolls())
	r := w.settle(l, 5)
	require.Equal(t, 1, r.Compactions)
	require.Equal(t, 1, r.Rollups)
	require.Empty(t, w.partition().Unrolled())
	require.Len(t, w.partition().Rollups, 6, "of each resolution one block a metric")
	require.Equal(t, 1.0, testutil.ToFloat64(l.metrics.jobs.WithLabelValues(jobRollup, resultDone)))
	w.same("rolled")
	t.Logf("raw %d bytes, rollups %d", w.bytes("d/"), w.bytes("r/"))

	// Late samples, some in place of others.
	w.scrape(3, 5, false, 1, 4)
	r = w.settle(l, 30)
	require.Equal(t, []int{1, 1}, []int{r.Compactions, r.Rollups})
	w.same("late samples")

	// Windows at the ends of a delete are made anew.
	del, _ := w.deleter()
	_, err := del.Delete(context.Background(), w.request("d1", `{i="1"}`, 3_700_000, 11_000_000))
	require.NoError(t, err)
	base := testDay.Range().MinMs
	w.forget(func(ls labels.Labels) bool { return ls.Get("i") == "1" }, model.TimeRange{MinMs: base + 3_700_000, MaxMs: base + 11_000_000})
	left := w.want(blocks.Rollup5m)
	for key := range w.rolled(blocks.Rollup5m) {
		if _, ok := left[key]; !ok {
			require.Fail(t, "it is hidden at once", key)
		}
	}
	r = w.settle(l, 3)
	require.Equal(t, 1, r.Rollups)
	require.Equal(t, 1, r.Erasures)
	w.same("deleted")
	_, err = del.Delete(context.Background(), w.request("d2", `{i="none"}`, 0, 11_000_000))
	require.NoError(t, err)
	r = w.settle(l, 3)
	require.Equal(t, []int{0, 0}, []int{r.Rollups, r.Erasures}, "nothing of it is there")
	require.NotZero(t, r.Settled)

	before := w.bytes("d/") + w.bytes("r/")
	w.daysLater(9)
	require.Equal(t, 3, w.settle(l, 3).Expired)
	require.True(t, w.partition().Thinned)
	require.Zero(t, w.rawSamples(""))
	require.Zero(t, w.bytes("d/"))
	after := w.bytes("d/") + w.bytes("r/")
	t.Logf("%d bytes before raw samples expired, %d after", before, after)
	require.Less(t, after, before/2)
	w.same("raw samples have expired")

	// Later samples are added to windows; what they add to is not known any more.
	w.scrape(3, 5, true, 2)
	w.scrape(5, 6, true, 2)
	require.NotZero(t, w.rawSamples(`i="2"`))
	r = w.settle(l, 3)
	require.Equal(t, []int{1, 2}, []int{r.Rollups, r.Expired})
	require.Zero(t, w.rawSamples(""))
	w.alike(t, "later samples")

	_, err = del.Delete(context.Background(), w.request("d3", `{i="2"}`, 0, 86_399_999))
	require.NoError(t, err)
	w.forget(func(ls labels.Labels) bool { return ls.Get("i") == "2" }, testDay.Range())
	require.Equal(t, 1, w.settle(l, 3).Rollups)
	w.same("deleted where there are rollups only")
	_, err = del.Delete(context.Background(), w.request("d4", `{i="3"}`, 3_700_000, 3_900_000))
	require.NoError(t, err)
	require.Equal(t, 1, w.settle(l, 3).Rollups)
	require.Len(t, w.rolled(blocks.Rollup1h), len(w.want(blocks.Rollup1h))-1, "an hour of one series is gone as a whole")
	for _, id := range []string{"d1", "d2", "d3", "d4"} {
		report, err := ReportErasure(context.Background(), w.own, w.catalog, "t", id)
		require.NoError(t, err)
		require.True(t, report.Erased, "%s: %v", id, report.Holders)
	}

	w.daysLater(365)
	require.Equal(t, 6, w.settle(l, 3).Expired)
	require.Zero(t, w.bytes("d/")+w.bytes("r/"))
}

// alike is same but for last and increase, which are not exact where late samples were added to windows whose samples have gone.
func (w *rollWorld) alike(t *testing.T, why string) {
	for _, f := range rollupFormats {
		want, have := w.want(f), w.rolled(f)
		require.Len(t, have, len(want), why)
		for key, x := range want {
			got := have[key]
			require.Equal(t, x.V[:model.Last], got.V[:model.Last], "%s: %s", why, key)
		}
	}
}

// TestRollupsOfRules: raw samples of some series expire and those of others do not. Late samples of both come.
func TestRollupsOfRules(t *testing.T) {
	w := newRollWorld(t)
	w.retain(&Retention{Raw: "20d", Rollups: "365d", Rules: []RetentionRule{{Matchers: `{__name__="m0"}`, Raw: "5d"}, {Matchers: `{i="4"}`, Rollups: "40d"}}})
	w.scrape(0, 12, true)
	w.scrape(12, 24, true)
	w.daysLater(1)
	l, _ := w.worker(rolls())
	l.cfg.Compact.LatePercent = 1 << 40 // a day waits for late samples of an hour
	require.Equal(t, 1, w.settle(l, 3).Rollups)
	w.daysLater(5)
	r := w.settle(l, 5)
	require.Equal(t, 1, r.Masked)
	require.Zero(t, r.Rollups)
	require.Zero(t, w.rawSamples(`"m0"`))
	raw := w.rawSamples(`"m1"`)
	require.NotZero(t, raw)
	w.same("m0 has expired as raw samples")

	for range 3 {
		w.scrape(5, 6, true, 0, 1, 3)
		r = w.settle(l, 2)
		require.Equal(t, 1, r.Rollups)
		require.Zero(t, w.rawSamples(`"m0"`), "they are hidden as they are rolled")
		require.Greater(t, w.rawSamples(`"m1"`), raw)
		w.alike(t, "late samples")
	}
	r = w.settle(l, 30)
	require.Equal(t, 1, r.Compactions)
	require.Zero(t, r.Rollups)
	require.Empty(t, w.partition().Unrolled())
	// What is there as raw samples is made anew to the bit.
	for _, f := range rollupFormats {
		have := w.rolled(f)
		for key, x := range w.want(f) {
			if w.ls[key[:len(key)-13]].Get("__name__") != "m0" {
				require.Equal(t, x, have[key], key)
			}
		}
	}

	w.daysLater(40)
	w.settle(l, 5)
	require.Zero(t, w.rawSamples(""))
	w.forget(func(ls labels.Labels) bool { return ls.Get("i") == "4" }, testDay.Range())
	w.alike(t, "rollups of one series have expired")
	w.scrape(7, 8, true, 4, 5)
	w.settle(l, 5)
	w.forget(func(ls labels.Labels) bool { return ls.Get("i") == "4" }, testDay.Range())
	w.alike(t, "and so have those of what it gets now")
}

// TestRollupsWaitForNothing: raw samples that are still hot when they want to expire are rolled as they are.
func TestRollupsWaitForNothing(t *testing.T) {
	w := newRollWorld(t)
	w.retain(yearly("3d"))
	w.scrape(0, 24, true)
	l, _ := w.worker(quiet())
	w.daysLater(2)
	require.Zero(t, w.settle(l, 3).Rollups)
	w.daysLater(3)
	r := w.settle(l, 3)
	require.Equal(t, []int{1, 1}, []int{r.Rollups, r.Expired})
	require.Zero(t, w.bytes("d/"))
	w.same()
}

// TestRollupFaultsAtEveryCall lets each call of a worker go wrong, on a day with all its raw samples and on one that has lost some: nothing is lost or doubled, and another
// worker does the rest.
func TestRollupFaultsAtEveryCall(t *testing.T) {
	for _, thinned := range []bool{false, true} {
		for _, a := range everyFault()[1:] { // one that fails loses less than an answer
			for n := 1; ; n++ {
				w := dayToRoll(t, thinned)
				l, d := w.worker(whole())
				d.SetHook(faultblob.Nth(n, a))
				_, err := l.Once(context.Background())
				require.True(t, expectedFault(err), "%v", err)
				require.Empty(t, w.partition().Quarantined, "call %d: a bucket in trouble is not the fault of a block", n)
				other, _ := w.worker(whole())
				w.nowMs += 11 * 60_000
				w.once(other)
				w.alike(t, "after another worker")
				require.Empty(t, w.partition().Unrolled())
				require.Len(t, w.partition().Rollups, 2)
				if d.Calls() < n {
					require.Greater(t, n, 20, "a roll-up makes calls")
					break
				}
			}
		}
	}
}

// dayToRoll is a world with a day that is due for one block of each resolution.
func dayToRoll(t *testing.T, thinned bool) *rollWorld {
	w := newRollWorld(t)
	w.retain(&Retention{Raw: "20d", Rollups: "365d", Rules: []RetentionRule{{Matchers: `{__name__="m0"}`, Raw: "2d"}}})
	w.scrape(8, 9, true, 0, 1, 3)
	w.daysLater(1)
	l, _ := w.worker(whole())
	if !thinned {
		w.retain(nil)
		w.once(l) // compacted, and not rolled
		w.retain(yearly("20d"))
		w.nowMs += 1000
		return w
	}
	w.settle(l, 2)
	w.daysLater(2)
	w.settle(l, 2)
	w.scrape(8, 10, true, 0, 1)
	w.nowMs += 31 * 60_000
	require.True(t, w.partition().Thinned)
	require.NotEmpty(t, w.partition().Unrolled())
	return w
}

// whole are settings under which a day is one block.
func whole() *Config {
	return &Config{Merge: MergeSettings{MaxBlocks: 1000}, Compact: CompactSettings{LatePercent: 1 << 40}, Sequential: true}
}

// TestRacingRollups lets a second worker run at each call of the first.
func TestRacingRollups(t *testing.T) {
	for _, thinned := range []bool{false, true} {
		for _, wait := range []int64{0, 11 * 60_000} {
			for n := 1; ; n++ {
				w := dayToRoll(t, thinned)
				first, d := w.worker(whole())
				second, _ := w.worker(whole())
				d.SetHook(func(c faultblob.Call) faultblob.Action {
					if c.N == n {
						w.nowMs += wait
						w.once(second)
					}
					return faultblob.Action{}
				})
				w.once(first)
				w.alike(t, "raced")
				p := w.partition()
				require.Len(t, p.Rollups, 2)
				objects := 0
				for _, prefix := range []string{"d/", "r/"} {
					for _, err := range w.own.List(context.Background(), prefix) {
						require.NoError(t, err)
						objects++
					}
				}
				require.Equal(t, len(p.Blocks)+len(p.Rollups)+len(p.Retired), objects, "racing workers make the same objects: no orphans")
				if d.Calls() < n {
					break
				}
			}
		}
	}
}

// TestRollupBadInputs: a damaged raw block is put aside and waits for nothing; damaged rollups are made anew of raw samples, or kept where these have gone.
func TestRollupBadInputs(t *testing.T) {
	w := newRollWorld(t)
	w.retain(yearly("9d"))
	w.scrape(0, 24, true)
	bad := w.scrape(6, 7, false, 3)
	w.corrupt(bad)
	w.daysLater(1)
	l, _ := w.worker(rolls())
	r, err := l.Once(context.Background())
	require.NoError(t, err)
	require.Len(t, r.Quarantined, 1)
	w.settle(l, 3)
	require.NotEmpty(t, w.partition().Rollups)
	m := w.partition().Rollups[0].Meta
	data, _, err := w.own.Get(context.Background(), blocks.Key(m))
	require.NoError(t, err)
	data[m.SeriesPages.Offset+30] ^= 1
	_, err = w.own.Put(context.Background(), blocks.Key(m), data)
	require.NoError(t, err)
	w.scrape(7, 8, true, 2)
	require.Equal(t, 1, w.settle(l, 26).Rollups, "it is not read, raw samples are there")
	w.daysLater(9)
	w.settle(l, 2)
	require.True(t, w.partition().Thinned)
	require.Zero(t, w.bytes("d/"), "what is damaged expires with the rest")

	m = w.partition().Rollups[0].Meta
	data, _, err = w.own.Get(context.Background(), blocks.Key(m))
	require.NoError(t, err)
	data[m.SeriesPages.Offset+30] ^= 1
	_, err = w.own.Put(context.Background(), blocks.Key(m), data)
	require.NoError(t, err)
	w.scrape(8, 9, true, 2)
	w.later(1)
	r, err = l.Once(context.Background())
	require.NoError(t, err)
	require.Len(t, r.Quarantined, 1)
	require.Contains(t, r.Quarantined[0], m.ID)
	require.Len(t, w.partition().Unrolled(), 1, "late samples stay as they are")
	require.Zero(t, w.once(l).Jobs)
}
