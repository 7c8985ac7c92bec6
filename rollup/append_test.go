package rollup

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

const testDay = model.Day(19676)

var resolutions = []int64{5 * 60_000, 60 * 60_000}

// kinds of series.
var kinds = map[string]func(rng *rand.Rand) func() float64{
	"counter": func(rng *rand.Rand) func() float64 {
		v := float64(rng.IntN(1000))
		return func() float64 {
			if v += float64(rng.IntN(50)); rng.IntN(40) == 0 {
				v = float64(rng.IntN(5))
			}
			return v
		}
	},
	"decimals": func(rng *rand.Rand) func() float64 { return func() float64 { return float64(rng.IntN(1e6))/100 - 2e3 } },
	"any":      func(rng *rand.Rand) func() float64 { return func() float64 { return rng.NormFloat64() * 1e9 } },
	"odd": func(rng *rand.Rand) func() float64 {
		odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1e308, -1e308, 5e-324, 1}
		return func() float64 { return odd[rng.IntN(len(odd))] }
	},
}

// series draws samples of a day with gaps and stale markers, some of them on the edges of windows.
func series(rng *rand.Rand, next func() float64) *model.Columns {
	c := &model.Columns{}
	day := testDay.Range()
	step := int64(1 + rng.IntN(120_000))
	for t := day.MinMs + int64(rng.IntN(2))*rng.Int64N(3_600_000); t <= day.MaxMs; {
		v := next()
		if rng.IntN(30) == 0 {
			v = math.Float64frombits(value.StaleNaN)
		}
		c.Append(t, v)
		switch rng.IntN(50) {
		case 0:
			t += rng.Int64N(7_200_000) + 1
		case 1:
			t = (t/300_000 + 1) * 300_000
		default:
			t += step + rng.Int64N(step)
		}
	}
	return c
}

// call evaluates one of PromQL's functions of floats on one range.
func call(t *testing.T, name string, floats []promql.FPoint) float64 {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(name + "(x[5m])")
	require.NoError(t, err)
	enh := &promql.EvalNodeHelper{Ts: 300_000}
	out, _ := promql.FunctionCalls[name](nil, promql.Matrix{{Floats: floats}}, e.(*parser.Call).Args, enh)
	require.Len(t, out, 1)
	return out[0].F
}

// increase is PromQL's over samples that fill its range, so that it has nothing to extrapolate.
func increase(t *testing.T, v []float64) float64 {
	if len(v) == 1 {
		return 0
	}
	floats := make([]promql.FPoint, len(v))
	for i := range v {
		floats[i] = promql.FPoint{T: 300_000 * int64(i) / int64(len(v)-1), F: v[i]}
	}
	return call(t, "increase", floats)
}

// TestWindows compares each window with PromQL's functions over its samples, bit by bit.
func TestWindows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	for name, kind := range kinds {
		for range 6 {
			c := series(rng, kind(rng))
			for _, resolution := range resolutions {
				var got model.Rollup
				Append(&got, c, resolution)
				at := 0
				var before []float64
				for i := 0; i < c.Len(); {
					end := model.WindowEnd(c.T[i], resolution)
					var floats []promql.FPoint
					values := before
					for ; i < c.Len() && c.T[i] <= end; i++ {
						if !value.IsStaleNaN(c.V[i]) {
							floats, values = append(floats, promql.FPoint{T: c.T[i], F: c.V[i]}), append(values, c.V[i])
						}
					}
					if len(floats) == 0 {
						continue
					}
					want := [model.Aggregates]float64{
						call(t, "count_over_time", floats), call(t, "sum_over_time", floats), call(t, "min_over_time", floats),
						call(t, "max_over_time", floats), call(t, "last_over_time", floats), increase(t, values),
					}
					if math.IsInf(values[0], 0) || math.IsNaN(values[0]) {
						want[model.Increase] = values[len(values)-1] - values[0] // what is not finite is extrapolated to NaN
						if !math.IsNaN(want[model.Increase]) {
							want[model.Increase] = got.V[model.Increase][at]
						}
					}
					require.Equal(t, end, got.T[at])
					for a, w := range want {
						require.Equal(t, math.Float64bits(w), math.Float64bits(got.V[a][at]), "%s %s of window %d: %v, want %v", name, model.Aggregate(a), at, got.V[a][at], w)
					}
					before = values[len(values)-1:]
					at++
				}
				require.Equal(t, at, got.Len())
				if at > 0 {
					require.NoError(t, got.Check(1000))
				}
			}
		}
	}
}

// TestSeveral: PromQL over aggregates of many windows is PromQL over their samples, where nothing is rounded.
func TestSeveral(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 2))
	t.Logf("seed %d", seed)
	for range 20 {
		c := series(rng, kinds["counter"](rng))
		var raw []promql.FPoint
		var all []float64
		for i := range c.T {
			if !value.IsStaleNaN(c.V[i]) {
				raw, all = append(raw, promql.FPoint{T: c.T[i], F: c.V[i]}), append(all, c.V[i])
			}
		}
		for _, resolution := range resolutions {
			var r model.Rollup
			Append(&r, c, resolution)
			points := func(a model.Aggregate) (out []promql.FPoint) {
				for i := range r.T {
					out = append(out, promql.FPoint{T: r.T[i], F: r.V[a][i]})
				}
				return out
			}
			require.Equal(t, call(t, "count_over_time", raw), call(t, "sum_over_time", points(model.Count)))
			require.Equal(t, call(t, "sum_over_time", raw), call(t, "sum_over_time", points(model.Sum)))
			require.Equal(t, call(t, "min_over_time", raw), call(t, "min_over_time", points(model.Min)))
			require.Equal(t, call(t, "max_over_time", raw), call(t, "max_over_time", points(model.Max)))
			require.Equal(t, call(t, "last_over_time", raw), call(t, "last_over_time", points(model.Last)))
			require.Equal(t, increase(t, all), call(t, "sum_over_time", points(model.Increase)))
		}
	}
}

func histogramBytes(t *testing.T, sum float64) []byte {
	h := &histogram.Histogram{Count: 3, Sum: sum, Schema: 1, ZeroThreshold: 0.001, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}}
	p := prompb.FromIntHistogram(5, h)
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

// TestHistograms: the last sample decides, stale markers count for nothing, and start timestamps stay where a histogram is kept.
func TestHistograms(t *testing.T) {
	h, stale := histogramBytes(t, 4), histogramBytes(t, math.Float64frombits(value.StaleNaN))
	started := model.HistogramWithStart(7, h)
	at := testDay.Range().MinMs
	minute := func(n int64) int64 { return at + n*60_000 }
	var c model.Columns
	c.Append(at, 5) // alone in its window
	c.AppendHistogram(minute(1), h)
	c.Append(minute(2), 8) // a float after a histogram
	c.AppendHistogram(minute(6), h)
	c.AppendHistogram(minute(7), stale) // not counted
	c.Append(minute(11), 1)             // reset
	c.AppendHistogram(minute(12), started)
	c.AppendHistogram(minute(16), model.FloatWithStart(3, 4))
	c.AppendHistogram(minute(21), stale)
	var r model.Rollup
	Append(&r, &c, 300_000)
	require.Equal(t, []int64{at, minute(5), minute(10), minute(15), minute(20)}, r.T)
	require.Equal(t, []float64{1, 2, 1, 2, 1}, r.V[model.Count])
	require.Equal(t, []float64{5, 8, 0, 0, 4}, r.V[model.Sum])
	require.Equal(t, []float64{5, 8, 0, 0, 4}, r.V[model.Last])
	require.Equal(t, []float64{0, 3, 0, 0, 3}, r.V[model.Increase])
	require.Equal(t, [][]byte{nil, nil, h, started, nil}, r.H)

	// What cannot be read is kept: whoever asks for it is told.
	for _, bad := range [][]byte{{0xff}, {0, 9}, h[:len(h)-1], {0x0b}, {0x12, 0x7f}, {0x19, 1}} {
		var c model.Columns
		c.AppendHistogram(at, bad)
		r.Reset()
		Append(&r, &c, 300_000)
		require.Equal(t, [][]byte{bad}, r.H)
	}
}

// TestMidnight: the last window of a day ends with it.
func TestMidnight(t *testing.T) {
	day := testDay.Range()
	var c model.Columns
	c.Append(day.MinMs, 1)
	c.Append(day.MinMs+1, 2)
	c.Append(day.MaxMs, 3)
	for _, resolution := range resolutions {
		var r model.Rollup
		Append(&r, &c, resolution)
		require.Equal(t, []int64{day.MinMs, day.MinMs + resolution, day.MaxMs}, r.T)
	}
}

func BenchmarkAppend(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	next := kinds["counter"](rng)
	var c model.Columns
	for t := testDay.Range().MinMs; t <= testDay.Range().MaxMs; t += 15_000 {
		c.Append(t, next())
	}
	var r model.Rollup
	for b.Loop() {
		for _, resolution := range resolutions {
			r.Reset()
			Append(&r, &c, resolution)
		}
	}
	b.ReportMetric(float64(c.Len())*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}
