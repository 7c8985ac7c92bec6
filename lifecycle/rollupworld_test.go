package lifecycle

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/rollup"
)

// rollWorld is a world whose flushes are remembered, so that rollups can be compared with what they are of.
type rollWorld struct {
	*world
	// ever are the samples that were written and not deleted, by series and time.
	ever map[string]map[int64]float64
	ls   map[string]labels.Labels
}

func newRollWorld(t *testing.T) *rollWorld {
	return &rollWorld{world: newWorld(t), ever: map[string]map[int64]float64{}, ls: map[string]labels.Labels{}}
}

// rolls are settings under which a day has rollups in several blocks of several parts each.
func rolls() *Config { return daily() }

// scrape flushes samples of some series over some hours of the day, counters that are reset now and then, and stale markers. Times that were written before are
// left out if fresh.
func (w *rollWorld) scrape(fromHour, toHour int64, fresh bool, series ...int) *blocks.Meta {
	if len(series) == 0 {
		series = []int{0, 1, 2, 3, 4, 5}
	}
	var in []blocks.BuildSeries
	for _, i := range series {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i))
		c, v := &model.Columns{}, float64(w.rng.IntN(100))
		key := ls.String()
		if w.ever[key] == nil {
			w.ever[key], w.ls[key] = map[int64]float64{}, ls
		}
		for at := testDay.Range().MinMs + fromHour*3_600_000; at < testDay.Range().MinMs+toHour*3_600_000; at += 1000 * int64(30+w.rng.IntN(60)) {
			if v += float64(w.rng.IntN(9)); w.rng.IntN(50) == 0 {
				v = 0
			}
			if _, have := w.ever[key][at]; have && fresh {
				continue
			}
			x := v
			if w.rng.IntN(40) == 0 {
				x = math.Float64frombits(0x7ff0000000000002)
			}
			w.ever[key][at] = x
			c.Append(at, x)
		}
		in = append(in, blocks.BuildSeries{Labels: ls, Columns: c})
	}
	return w.add(in)
}

// forget forgets the samples of a series in the range, as a delete does.
func (w *rollWorld) forget(matches func(labels.Labels) bool, r model.TimeRange) {
	for key, samples := range w.ever {
		for at := range samples {
			if matches(w.ls[key]) && r.Contains(at) {
				delete(samples, at)
			}
		}
	}
}

// rolledWindow is what a rollup says of one.
type rolledWindow struct {
	V [model.Aggregates]float64
	H string
}

// want are the windows of all that was ever written, of one resolution.
func (w *rollWorld) want(format blocks.Format) map[string]rolledWindow {
	out := map[string]rolledWindow{}
	for key, samples := range w.ever {
		var c model.Columns
		var r model.Rollup
		for _, at := range sortedTimes(samples) {
			c.Append(at, samples[at])
		}
		rollup.Append(&r, &c, format.ResolutionMs())
		takeWindows(out, key, &r)
	}
	return out
}

func sortedTimes(samples map[int64]float64) []int64 {
	var out []int64
	for at := range samples {
		out = append(out, at)
	}
	slices.Sort(out)
	return out
}

func takeWindows(out map[string]rolledWindow, key string, r *model.Rollup) {
	for i, at := range r.T {
		x := rolledWindow{}
		for a := range x.V {
			x.V[a] = r.V[a][i]
		}
		if r.H != nil {
			x.H = string(r.H[i])
		}
		out[fmt.Sprint(key, at)] = x
	}
}

// rolled are the windows that the live rollups of a resolution have, but for what is masked.
func (w *rollWorld) rolled(format blocks.Format) map[string]rolledWindow {
	out := map[string]rolledWindow{}
	p := w.partition()
	for i := range p.Rollups {
		e := &p.Rollups[i]
		if e.Format != format {
			continue
		}
		masks, err := catalog.BlockMasks(p.Masks(e))
		require.NoError(w.t, err)
		r := blocks.NewRollupReader(context.Background(), blocks.Stored{Bucket: w.own}, e.Meta, masks, nil)
		for r.Next() {
			takeWindows(out, r.Labels().String(), r.Rollup())
		}
		require.NoError(w.t, r.Err())
		r.Close()
	}
	return out
}

// same demands that the rollups say what raw samples would.
func (w *rollWorld) same(why ...any) {
	w.t.Helper()
	for _, f := range rollupFormats {
		want, have := w.want(f), w.rolled(f)
		require.Len(w.t, have, len(want), why...)
		for key, x := range want {
			require.Equal(w.t, x, have[key], append([]any{key}, why...)...)
		}
	}
}

// rawSamples counts what queries see of raw samples.
func (w *rollWorld) rawSamples(in string) (n int) {
	for key := range w.readMasked() {
		if strings.Contains(key, in) {
			n++
		}
	}
	return n
}

// bytes are those of all blocks in the bucket, by the first letter of their keys.
func (w *world) bytes(prefix string) (n int64) {
	for o, err := range w.own.List(context.Background(), prefix) {
		require.NoError(w.t, err)
		n += o.Size
	}
	return n
}

// settle runs the worker until nothing is due, hour by hour.
func (w *rollWorld) settle(l *Lifecycle, hours int) (sum Report) {
	for range hours {
		r := w.once(l)
		sum.Rollups += r.Rollups
		sum.Compactions += r.Compactions
		sum.Erasures += r.Erasures
		sum.Expired += r.Expired
		sum.Masked += r.Masked
		sum.Collected += r.Collected
		sum.Settled += r.Settled
		w.later(1)
	}
	return sum
}

// yearly keeps raw samples for some days and rollups for a year.
func yearly(raw Age) *Retention { return &Retention{Raw: raw, Rollups: "365d"} }
