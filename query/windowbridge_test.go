package query

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// onlySeries is a storage of one series, read in windows on all days.
func onlySeries(t testing.TB, res int64, c *model.Columns) *rolledStorage {
	return &rolledStorage{t: t, names: []string{"x"}, series: map[string]*model.Columns{"x": c}, rolled: func(model.Day) int64 { return res }}
}

// seen are the times of a range, from t0, at which the expression has a value, and the values.
func (s *rolledStorage) seen(e promql.QueryEngine, expr string, at moments) map[int64]float64 {
	pq, err := e.NewRangeQuery(s.t.Context(), s, nil, expr, time.UnixMilli(at.start), time.UnixMilli(at.end), time.Duration(at.step)*time.Millisecond)
	require.NoError(s.t, err)
	defer pq.Close()
	m, err := pq.Exec(s.t.Context()).Matrix()
	require.NoError(s.t, err)
	out := map[int64]float64{}
	for _, series := range m {
		for _, p := range series.Floats {
			out[p.T-t0] = p.F
		}
	}
	return out
}

// TestLookback: a series that goes on has a value at every moment, however short the lookback and however long the windows, and it is that of the last window that
// has ended; in the first one of the data it is its own. One that has ended is not seen for longer than a window and the lookback.
func TestLookback(t *testing.T) {
	const begin, end = 90 * minuteMs, 38 * hourMs // over a midnight
	c := &model.Columns{}
	for at := int64(begin + 15_000); at <= end; at += 15_000 {
		c.Append(t0+at, float64(at/1000))
	}
	for _, res := range []int64{fiveMinutesMs, hourMs} {
		for _, lookback := range []int64{15_000, minuteMs, fiveMinutesMs, 7 * minuteMs, hourMs, 2 * hourMs} {
			s := onlySeries(t, res, c)
			for i, e := range engines(t, EngineOptions{Lookback: time.Duration(lookback) * time.Millisecond}) {
				got := s.seen(e, "x", moments{start: t0, end: t0 + 48*hourMs, step: 45_000})
				for at := int64(0); at <= 48*hourMs; at += 45_000 {
					v, ok := got[at]
					last := at / res * res // the end of the last window
					switch {
					case at < begin:
						require.False(t, ok, "%d before it began", at)
					case last > begin && at <= end:
						require.True(t, ok, "no value at %s with %s, lookback %d, engine %d", utc(t0+at), windowName(res), lookback, i)
						require.InDelta(t, last/1000, v, 15, "at %s", utc(t0+at))
					case at >= (end+res-1)/res*res+lookback:
						require.False(t, ok, "%s after it ended", utc(t0+at))
					}
				}
			}
		}
	}
}

// TestShortRanges: functions of the last sample see it in ranges shorter than a window, those of all samples do not.
func TestShortRanges(t *testing.T) {
	c := &model.Columns{}
	for at := int64(5_000); at <= 30*hourMs; at += 15_000 {
		c.Append(t0+at, 1)
	}
	s := onlySeries(t, hourMs, c)
	for _, e := range engines(t, EngineOptions{}) {
		at := moments{start: t0 + 2*minuteMs, end: t0 + 30*hourMs, step: minuteMs}
		for _, expr := range []string{"present_over_time(x[1m])", "last_over_time(x[2m])"} {
			require.Len(t, s.seen(e, expr, at), int((at.end-at.start)/minuteMs)+1, expr)
		}
		require.Empty(t, s.seen(e, "absent_over_time(x[1m])", at))
		require.Empty(t, s.seen(e, "absent(x)", at))
	}
	late := moments{start: t0 + 32*hourMs, end: t0 + 40*hourMs, step: hourMs}
	require.Len(t, s.seen(engines(t, EngineOptions{})[0], "absent_over_time(x[1m])", late), 9)
}

// TestStaleness: windows know of no stale marker, so a series whose target went is seen until its window has been over for as long as one looks back; one that comes back
// is there again.
func TestStaleness(t *testing.T) {
	c := &model.Columns{}
	for at := int64(0); at <= 12*minuteMs; at += minuteMs {
		c.Append(t0+at, float64(at/minuteMs))
	}
	c.Append(t0+13*minuteMs, math.Float64frombits(value.StaleNaN))
	c.Append(t0+58*minuteMs, 58)
	s := onlySeries(t, fiveMinutesMs, c)
	for _, e := range engines(t, EngineOptions{}) {
		got := s.seen(e, "x", moments{start: t0, end: t0 + 70*minuteMs, step: minuteMs})
		want := map[int64]float64{}
		for at := int64(0); at <= 70; at++ {
			switch {
			case at < 20:
				want[at*minuteMs] = float64(min(at/5*5, 12)) // of the last window that ended; in the first five minutes the sample at midnight
			case at >= 60 && at < 65:
				want[at*minuteMs] = 58
			}
		}
		require.Equal(t, want, got)
	}
}

// TestRatesAnywhere: rates of ranges that are not whole windows, or shorter than one, are near those of samples where the counter is steady, and never negative or far off where
// it is reset.
func TestRatesAnywhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	steady, wild := &model.Columns{}, &model.Columns{}
	v := 0.0
	for at := int64(7_000); at < 2*model.MsPerDay; at += 15_000 {
		steady.Append(t0+at, float64(at)/1000*2)
		if v += r.Float64() * 30; r.IntN(50) == 0 {
			v = 0
		}
		wild.Append(t0+at, v)
	}
	e := engines(t, EngineOptions{})[0]
	for _, res := range []int64{fiveMinutesMs, hourMs} {
		for _, span := range []string{"1m", "5m", "7m", "30m", "1h", "6h"} {
			at := moments{start: t0 + 8*hourMs + r.Int64N(hourMs), end: t0 + 40*hourMs, step: 607_000}
			got := onlySeries(t, res, steady).seen(e, fmt.Sprintf("rate(x[%s])", span), at)
			require.Len(t, got, int((at.end-at.start)/at.step)+1, span)
			for at, rate := range got {
				require.InDelta(t, 2, rate, 0.02, "rate over %s of %s at %s", span, windowName(res), utc(t0+at))
			}
			for _, rate := range onlySeries(t, res, wild).seen(e, fmt.Sprintf("rate(x[%s])", span), at) {
				require.GreaterOrEqual(t, rate, 0.0)
				require.Less(t, rate, 2000.0)
			}
		}
	}
}
