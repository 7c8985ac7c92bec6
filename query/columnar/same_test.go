package columnar

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var rangeFunctions = []string{
	"rate(%s)", "increase(%s)", "delta(%s)", "irate(%s)", "idelta(%s)", "sum_over_time(%s)", "avg_over_time(%s)", "max_over_time(%s)",
	"min_over_time(%s)", "count_over_time(%s)", "present_over_time(%s)", "last_over_time(%s)", "first_over_time(%s)", "changes(%s)", "resets(%s)",
	"stddev_over_time(%s)", "stdvar_over_time(%s)", "quantile_over_time(0.3, %s)", "quantile_over_time(-1, %s)", "quantile_over_time(NaN, %s)",
	"mad_over_time(%s)", "deriv(%s)", "predict_linear(%s, 60)", "integral(%s)", "double_exponential_smoothing(%s, 0.3, 0.6)",
	"ts_of_first_over_time(%s)", "ts_of_last_over_time(%s)", "ts_of_max_over_time(%s)", "ts_of_min_over_time(%s)",
}

var aggregations = []string{
	"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk(2, ", "bottomk(2, ", "topk(1, ", "bottomk(1, ", "topk(1000, ", "quantile(0.4, ",
	"quantile(0, ", "quantile(1, ",
}

var groupings = []string{"", "by (a)", "without (a)", "by (a, b)", "by (__name__)", "without (__name__, b)", "by (le)", "by (missing)"}

// adverse makes values that are hard to treat alike: plain ones, resets, whole numbers, extremes, NaN of several kinds, markers.
func adverse(r *rand.Rand, kind int) func(i int) float64 {
	level := 0.
	special := []float64{math.NaN(), absent, math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.Float64frombits(0xfff8000000000123)}
	return func(int) float64 {
		switch kind {
		case 0: // a counter
			if level += float64(r.IntN(20)); r.IntN(20) == 0 {
				level = float64(r.IntN(3))
			}
			return level
		case 1: // two decimals
			return math.Round(r.NormFloat64()*1000) / 100
		case 2: // extremes
			return []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, -5e-324, 1e308, 1, 1e16}[r.IntN(7)]
		case 3: // anything
			if r.IntN(3) == 0 {
				return special[r.IntN(len(special))]
			}
			return r.NormFloat64()
		case 4: // few values, so that many are equal
			return []float64{0, math.Copysign(0, -1), 1, 2}[r.IntN(4)]
		case 5: // none but special ones
			return special[r.IntN(len(special))]
		default:
			return float64(r.IntN(1000)) * 1e13
		}
	}
}

// fill adds series of every kind with gaps, markers, and several grids of timestamps.
func (w *world) fill(r *rand.Rand, n int) {
	for i := range n {
		value := adverse(r, r.IntN(7))
		var t []int64
		var v []float64
		at := int64(r.IntN(4)) * 5_000
		scrape := []int64{15_000, 15_000, 60_000, 7_321}[r.IntN(4)]
		gaps := r.IntN(3) == 0
		for at < 3_600_000 {
			t, v = append(t, at), append(v, value(len(v)))
			at += scrape
			if gaps && r.IntN(10) == 0 {
				if r.IntN(2) == 0 {
					t, v = append(t, at), append(v, absent)
				}
				at += int64(r.IntN(900_000))
			}
		}
		if r.IntN(8) == 0 {
			t, v = t[:1], v[:1]
		}
		w.add(fmt.Sprintf(`m%d_%s{a="%d", b="%d", le="%d"}`, r.IntN(2), []string{"total", "x"}[r.IntN(2)], r.IntN(3), r.IntN(5), i), t, v)
	}
}

func someTimes(r *rand.Rand) times {
	start := int64(r.IntN(3_600_000)) / 5_000 * 5_000
	if r.IntN(3) == 0 {
		return times{start: start, end: start}
	}
	step := []int64{1_000, 15_000, 15_001, 60_000, 400_000}[r.IntN(5)]
	return times{start, start + step*int64(r.IntN(20)) + int64(r.IntN(2)), step}
}

// TestSame compares every function and aggregation with the engine's on random series.
func TestSame(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	selectors := []string{`{__name__=~"m.*"}%s`, "m0_total%s", `m1_x{a="1"}%s`, `{__name__=~"m._x"}%s offset 2m`, `m0_total%s offset -1m`}
	var nodes float64
	for round := range 4 {
		w := newWorld(t)
		w.iterators = round%2 == 1
		w.fill(r, 20)
		for _, f := range append(rangeFunctions, "%s") {
			span := []string{"[1m]", "[5m]", "[20s]", "[1h]"}[r.IntN(4)]
			if f == "%s" {
				span = ""
			}
			inner := fmt.Sprintf(f, fmt.Sprintf(selectors[r.IntN(len(selectors))], span))
			_, n := w.same(inner, someTimes(r), false)
			nodes += n
			for _, a := range aggregations {
				expr := a + " (" + inner + ")"
				if a[len(a)-1] == ' ' {
					expr = a + inner + ")"
				}
				expr += " " + groupings[r.IntN(len(groupings))]
				_, n := w.same(expr, someTimes(r), false)
				nodes += n
			}
		}
	}
	require.Greater(t, nodes, 2000.)
}

// TestSameAround puts parts into the places where other parts of the engine look at them.
func TestSameAround(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.fill(r, 40)
	for _, expr := range []string{
		"rate(m0_total[5m]) / rate(m0_total[5m])",
		"sum(rate(m0_total[5m])) / sum(rate(m0_x[5m] offset 10m))",
		"rate(m0_total[5m]) or rate(m0_x[5m])",
		`{__name__=~"m0.*"} + on (le) group_left rate({__name__=~"m0.*"}[5m])`,
		"sum by (a) (rate(m0_total[5m])) > bool 0",
		"-rate(m0_total[5m])",
		"abs(delta(m0_x[5m]))",
		"timestamp(rate(m0_total[5m]))", "timestamp(sum(m0_total))", "timestamp(last_over_time(m0_total[5m]))",
		"absent(sum(m0_total))", "absent(sum(nothing))", "absent(rate(nothing{a='1'}[5m]))", "absent_over_time(m0_total[5m])",
		"max(sum by (a) (rate(m0_total[5m])))",
		"sum(count_values('v', changes(m0_total[5m])))",
		"limitk(2, rate(m0_total[5m]))", "limit_ratio(0.5, rate(m0_total[5m]))",
		"topk(scalar(sum(m0_total * 0 + 1)), rate(m0_total[5m]))", "topk(-1, m0_total)", "topk(0.5, m0_total)", "quantile(2, m0_total)",
		"topk(1, sum by (a) (rate(m1_x[5m])))",
		"histogram_quantile(0.9, rate(m0_total[5m]))", "histogram_quantile(0.9, sum by (le) (rate(m0_total[5m])))",
		"histogram_fraction(0, 3, sum by (a, le) (rate(m1_x[5m])))",
		`label_replace(rate(m0_total[5m]), "x", "$1", "__name__", "(.*)_total")`,
		`label_replace(last_over_time(m0_total[5m]), "__name__", "y", "", "")`,
		`label_join(sum by (a, b) (rate(m0_total[5m])), "x", "-", "a", "b")`,
		"sum_over_time(rate(m0_total[5m])[10m:1m])", "max_over_time(sum by (a) (m0_total)[10m:1m])",
		"rate(m0_total[5m] @ 1000)", "sum(rate(m0_total[5m] @ end()))", "sum(m0_total @ 500)", "rate(m0_total[5m]) - rate(m0_total[5m] @ start())",
		`sum by (__name__) ({__name__=~"m.*"})`, `sum by (__name__) (rate({__name__=~"m.*"}[5m]))`,
		`sum by (__name__) (rate({__name__=~"m.*"}[5m])) + 1`, `rate({__name__=~"m.*"}[5m]) + 0`,
		"sort(rate(m0_total[5m]))", "sort_desc(sum by (a) (m0_total))", "scalar(sum(rate(m0_total[5m])))", "vector(scalar(count(m0_total)))",
		"sum(rate(m0_total[5m:1m]))", "sum((rate((m0_total[5m]))))", "sum(rate(m0_total[5m] anchored))", "sum(rate(m0_total[5m] smoothed))", "sum(m0_total smoothed)",
		"clamp_min(sum by (a) (rate(m0_total[5m])), 3)", "sum(m0_total) and sum(m0_x)", "sum by (a) (rate(m0_total[5m])) unless sum by (a) (rate(m0_x[5m]))",
		"sum(sum_over_time(m0_x[step()*2+1s]))", "predict_linear(m0_total[10m], -3600)", "info(rate(m0_total[5m]))",
		"double_exponential_smoothing(m0_total[5m], 7, 0.1)",
		"sum(rate(m0_total[5m])) by (a) * on (a) group_right rate(m0_x[5m])",
		"1 + 2", "vector(1)", "'text'", "time()",
	} {
		for range 4 {
			at := someTimes(r)
			if expr == "'text'" {
				at.step = 0
			}
			w.same(expr, at, true) // some functions of the engine have no order
		}
	}
}
