package lifecycle

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// counted is how many samples of each series a query sees that takes raw samples, and where some of the day have expired the windows of rollups that hold no raw sample
// which is in the rollups. Stale markers do not count.
func (w *rollWorld) counted() map[string]int {
	out := map[string]int{}
	p := w.partition()
	raw, rolled := map[string]float64{}, map[string]bool{} // by series and time, by series and window
	for i := range p.Blocks {
		e := &p.Blocks[i]
		w.eachSample(p, e, func(key string, c *model.Columns, i int) {
			raw[fmt.Sprint(key, " ", c.T[i])] = c.V[i]
			if e.Rolled {
				rolled[fmt.Sprint(key, " ", model.WindowEnd(c.T[i], 300_000))] = true
			}
		})
	}
	for at, v := range raw {
		if !value.IsStaleNaN(v) {
			out[at[:len(at)-14]]++
		}
	}
	if !p.Thinned {
		return out
	}
	for i := range p.Rollups {
		if e := &p.Rollups[i]; e.Format == blocks.Rollup5m {
			w.eachSample(p, e, func(key string, c *model.Columns, i int) {
				if !rolled[fmt.Sprint(key, " ", c.T[i])] {
					out[key] += int(c.V[i])
				}
			})
		}
	}
	return out
}

// eachSample calls do with what is not masked of a block; of a rollup with the counts of its windows.
func (w *rollWorld) eachSample(p *catalog.Partition, e *catalog.Entry, do func(key string, c *model.Columns, i int)) {
	masks, err := catalog.BlockMasks(p.Masks(e))
	require.NoError(w.t, err)
	sel, err := blocks.Select(context.Background(), blocks.Stored{Bucket: w.own}, e.Meta, &blocks.Query{Range: testDay.Range(), Masks: masks, Aggregate: model.Count})
	require.NoError(w.t, err)
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		require.NoError(w.t, s.Samples(&c, testDay.Range()))
		for i := range c.T {
			do(s.Labels().String(), &c, i)
		}
	}
}

// wantCounted is what of it there should be.
func (w *rollWorld) wantCounted() map[string]int {
	out := map[string]int{}
	for key, samples := range w.ever {
		for _, v := range samples {
			if !value.IsStaleNaN(v) {
				out[key]++
			}
		}
	}
	return out
}

// TestRollupsModel lets samples come at any time, deletes, hours and days pass, workers crash, while raw samples of some series expire before those of others. After every job a query sees each sample once,
// and what is rolled in the end is what was ever written.
func TestRollupsModel(t *testing.T) {
	for range 5 {
		w := newRollWorld(t)
		w.retain(&Retention{Raw: "9d", Rollups: "365d", Rules: []RetentionRule{{Matchers: `{__name__="m0"}`, Raw: "4d"}, {Matchers: `{__name__="m1"}`, Raw: "forever"}}})
		cfg := rolls()
		if w.rng.IntN(2) == 0 {
			cfg.Merge.MaxBlocks, cfg.Compact.LateBlocks = 3, 2
		}
		w.scrape(0, 12, true)
		w.daysLater(0)
		l, d := w.worker(cfg)
		steps := func(n int) {
			for range n {
				did, err := l.Step(context.Background(), "t", testDay)
				require.NoError(t, err)
				require.Equal(t, w.wantCounted(), w.counted())
				if !did {
					return
				}
			}
		}
		del, _ := w.deleter()
		for n := range 40 {
			switch w.rng.IntN(8) {
			case 0, 1:
				from := int64(w.rng.IntN(23))
				w.scrape(from, from+1, true, w.rng.IntN(6))
			case 2:
				hour := testDay.Range().MinMs + int64(w.rng.IntN(23))*3_600_000
				r := model.TimeRange{MinMs: hour + 1, MaxMs: hour + 3_600_000} // whole windows
				i := fmt.Sprint(w.rng.IntN(6))
				_, err := del.Delete(context.Background(), w.request(fmt.Sprint("d", n), `{i="`+i+`"}`, r.MinMs-testDay.Range().MinMs, r.MaxMs-testDay.Range().MinMs))
				require.NoError(t, err)
				w.forget(func(ls labels.Labels) bool { return ls.Get("i") == i }, r)
			case 3:
				w.later(int64(1 + w.rng.IntN(40)))
			case 4:
				d.SetHook(faultblob.Nth(1+w.rng.IntN(60), everyFault()[w.rng.IntN(5)]))
				_, err := l.Once(context.Background())
				require.True(t, expectedFault(err), "%v", err)
				require.Equal(t, w.wantCounted(), w.counted(), "after a crash")
				l, d = w.worker(cfg)
				w.nowMs += 11 * 60_000
			default:
				w.nowMs += 31 * 60_000
				steps(1 + w.rng.IntN(4))
			}
			require.Equal(t, w.wantCounted(), w.counted(), "step %d", n)
		}
		w.settle(l, 30)
		require.Equal(t, w.wantCounted(), w.counted())
		w.daysLater(20)
		w.settle(l, 30)
		require.Equal(t, w.wantCounted(), w.counted())
		require.True(t, w.partition().Thinned)
		require.Empty(t, w.partition().Unrolled())
		w.alike(t, "in the end")
	}
}
