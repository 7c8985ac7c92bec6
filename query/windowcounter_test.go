package query

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/rollup"
)

// growthOf is what increase adds up before it extrapolates.
func growthOf(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum := v[len(v)-1] - v[0]
	for i := 1; i < len(v); i++ {
		if v[i] < v[i-1] {
			sum += v[i-1]
		}
	}
	return sum
}

// aggregateOf is one aggregate of the windows, as a block gives it.
func aggregateOf(ls labels.Labels, w *model.Rollup, a model.Aggregate) model.Series {
	s := &tailSeries{labels: ls}
	for i, t := range w.T {
		switch {
		case w.H == nil || w.H[i] == nil:
			s.columns.Append(t, w.V[a][i])
		case a == model.Count:
			s.columns.Append(t, w.V[a][i])
		case a == model.Last:
			s.columns.AppendHistogram(t, w.H[i])
		}
	}
	return s
}

// windowsOf are the windows of the samples, all of one day, as they are read for a use.
func windowsOf(ls labels.Labels, c *model.Columns, u use, resolutionMs int64, r model.TimeRange, counted bool) *windowSeries {
	var w model.Rollup
	rollup.Append(&w, c, resolutionMs)
	s := &windowSeries{resolutionMs: resolutionMs, r: r, counted: counted}
	aggregates := u.aggregates()
	if counted {
		aggregates = append(aggregates, model.Count)
	}
	for _, a := range aggregates {
		s.aggregates = append(s.aggregates, aggregateOf(ls, &w, a))
	}
	return s
}

// dayOf are the samples of a day.
func dayOf(c *model.Columns, day model.Day) *model.Columns {
	out := &model.Columns{}
	appendWithin(out, c, day.Range())
	return out
}

// randomCounter has a few days of a counter of integers: resets, idle times, gaps, and samples at the edges of windows and days.
func randomCounter(r *rand.Rand, days int) *model.Columns {
	c := &model.Columns{}
	end := (day0 + model.Day(days)).Range().MinMs
	interval := []int64{10_000, 15_000, 60_000, 240_000, 700_000}[r.IntN(5)]
	jitter := r.IntN(2) == 0
	v, pace := float64(r.IntN(1000)), r.IntN(20)
	for t := t0 + r.Int64N(interval); t < end; t += interval {
		switch r.IntN(200) {
		case 0:
			t += r.Int64N(4 * hourMs)
		case 1, 2:
			v = float64(r.IntN(3) * r.IntN(2000))
		case 3:
			pace = r.IntN(3) * r.IntN(500)
		case 4:
			t += fiveMinutesMs - t%fiveMinutesMs
		}
		if r.IntN(500) == 0 && t/model.MsPerDay < (t+hourMs)/model.MsPerDay {
			v = 0
		}
		if t >= end {
			break
		}
		at := t
		if jitter {
			at += r.Int64N(interval / 2)
		}
		if n := c.Len(); n == 0 || at > c.T[n-1] && at < end {
			c.Append(at, v)
		}
		v += float64(r.IntN(pace + 1))
	}
	return c
}

// TestCounterGrowth: over whole windows, the counter that is made of windows grows by what the samples grew by, from the last sample before to the last one within: before anything is
// extrapolated. The one thing that is not known is the step over midnight to a window in which there was a reset.
func TestCounterGrowth(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	exact, blind := 0, 0
	for range 60 {
		c := randomCounter(r, 3)
		for _, res := range [...]int64{fiveMinutesMs, hourMs} {
			for range 40 {
				from := t0 + r.Int64N(3*model.MsPerDay/res)*res
				until := from + (1+r.Int64N(1+r.Int64N(40)))*res
				p := purpose{use: useCounter, startMs: from, reachMs: []int64{res, until - from, 12 * hourMs}[r.IntN(3)]}
				asked := model.TimeRange{MinMs: from + 1, MaxMs: until}
				var parts []model.Series
				for d := day0; d < day0+3; d++ {
					parts = append(parts, windowsOf(metric("c"), dayOf(c, d), p.use, res, p.around(asked, res), false))
				}
				var got, scratch model.Columns
				require.NoError(t, (&rolling{purpose: p}).decode(&got, &scratch, parts, asked, (*querier)(nil).excuse))
				if got.Len() > 0 {
					require.NoError(t, got.Check(1000))
				}
				want, unsure := trueGrowth(c, asked, res)
				diff := want - growthOf(got.V)
				switch {
				case unsure == 0:
					exact++
					require.Zero(t, diff, "(%d, %d] of %s: grew by %v, want %v\n%v\n%v", from, until, windowName(res), growthOf(got.V), want, got.T, got.V)
				default:
					blind++
					require.True(t, diff >= 0 && diff <= unsure, "(%d, %d]: grew by %v, want %v less up to %v", from, until, growthOf(got.V), want, unsure)
				}
			}
		}
	}
	require.Greater(t, exact, 1000)
	t.Logf("%d ranges, %d with a reset in the first window of a day", exact+blind, blind)
}

// trueGrowth is what the samples of the range grow by, with the step from the sample before if it is of the same day or of the window before theirs. unsure is how much of that is
// not known of windows: the first sample of each day whose first window has a reset.
func trueGrowth(c *model.Columns, r model.TimeRange, res int64) (growth, unsure float64) {
	from, to := span(c.T, r)
	if from == to {
		return 0, 0
	}
	first := from
	if from > 0 && (sameDay(c.T[from-1], c.T[from]) || model.WindowEnd(c.T[from]-res, res) <= model.WindowEnd(c.T[from-1], res)) {
		first--
	}
	for i := max(first, 1); i < to; i++ {
		if sameDay(c.T[i-1], c.T[i]) {
			continue
		}
		end := model.WindowEnd(c.T[i], res)
		for j := i + 1; j < to && c.T[j] <= end; j++ {
			if c.V[j] < c.V[j-1] {
				unsure += c.V[i]
				break
			}
		}
	}
	return growthOf(c.V[first:to]), unsure
}

// TestCounterBesideRaw: late raw samples of the same counter never look like a reset.
func TestCounterBesideRaw(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		c, late := &model.Columns{}, &model.Columns{}
		v := 1000.0
		for at := t0; at < t0+model.MsPerDay; at += 15_000 {
			v += float64(r.IntN(10)) / 7
			if r.IntN(100) == 0 {
				late.Append(at, v)
			} else {
				c.Append(at, v)
			}
		}
		p := purpose{use: useCounter, reachMs: fiveMinutesMs, startMs: t0}
		asked := model.TimeRange{MinMs: t0 + r.Int64N(hourMs), MaxMs: t0 + model.MsPerDay - 1}
		parts := []model.Series{
			windowsOf(metric("c"), c, p.use, fiveMinutesMs, p.around(asked, fiveMinutesMs), false),
			&tailSeries{labels: metric("c"), columns: *late},
		}
		var got, scratch model.Columns
		require.NoError(t, (&rolling{purpose: p}).decode(&got, &scratch, parts, asked, (*querier)(nil).excuse))
		require.NoError(t, got.Check(1000))
		require.True(t, slices.IsSorted(got.V), "%v", got.V)
		require.LessOrEqual(t, growthOf(got.V), v-1000)
	}
}

// TestNoCounter: what is no counter is left as it is.
func TestNoCounter(t *testing.T) {
	c := &model.Columns{}
	for i := range int64(40) {
		c.Append(t0+i*minuteMs, float64(-i))
	}
	p := purpose{use: useCounter, reachMs: hourMs}
	asked := model.TimeRange{MinMs: t0 + 1, MaxMs: t0 + hourMs}
	var got, scratch model.Columns
	s := windowsOf(metric("c"), c, p.use, fiveMinutesMs, p.around(asked, fiveMinutesMs), false)
	require.NoError(t, (&rolling{purpose: p}).decode(&got, &scratch, []model.Series{s}, asked, (*querier)(nil).excuse))
	require.Equal(t, []float64{-5, -10, -15, -20, -25, -30, -35, -39}, got.V)
}

// TestCounterAfterDaysWithout: what a counter grew by on days without samples is not of the window in which it comes back; a range that reaches back to the sample
// before has it. So the answer for a moment does not depend on how far back the query began.
func TestCounterAfterDaysWithout(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		pace := float64(1 + r.IntN(9))
		gone, back := t0+r.Int64N(22)*hourMs+1, t0+2*model.MsPerDay+r.Int64N(22)*hourMs+1
		value := func(at int64) float64 { return pace * float64((at-t0)/15_000) }
		if r.IntN(3) == 0 { // it begins anew
			value = func(at int64) float64 { return pace * float64((at-t0)%model.MsPerDay/15_000) }
		}
		c := &model.Columns{}
		for at := t0 + r.Int64N(15_000); at < t0+3*model.MsPerDay; at += 15_000 {
			if at < gone+hourMs || at > back {
				c.Append(at, value(at))
			}
		}
		for _, res := range [...]int64{fiveMinutesMs, hourMs} {
			start := (back - 1) / res * res
			p := purpose{use: useCounter, startMs: start, reachMs: res}
			windows := func(asked model.TimeRange) *model.Columns {
				var parts []model.Series
				for d := day0; d < day0+3; d++ {
					parts = append(parts, windowsOf(metric("c"), dayOf(c, d), p.use, res, p.around(asked, res), false))
				}
				var all, scratch, first model.Columns
				require.NoError(t, (&rolling{purpose: p}).decode(&all, &scratch, parts, asked, (*querier)(nil).excuse))
				appendWithin(&first, &all, model.TimeRange{MinMs: start + 1, MaxMs: start + res})
				if len(all.V) > len(first.V) {
					want, unsure := trueGrowth(c, asked, res)
					require.Zero(t, unsure)
					require.Equal(t, want, growthOf(all.V))
				}
				return &first
			}
			want, _ := trueGrowth(c, model.TimeRange{MinMs: start + 1, MaxMs: start + res}, res)
			narrow := windows(model.TimeRange{MinMs: start + 1, MaxMs: start + res})
			wide := windows(model.TimeRange{MinMs: t0, MaxMs: start + res})
			require.Equal(t, want, growthOf(narrow.V))
			require.Equal(t, want, growthOf(wide.V))
			require.Equal(t, narrow.T, wide.T)
			require.Equal(t, narrow.V, wide.V)
		}
	}
}
