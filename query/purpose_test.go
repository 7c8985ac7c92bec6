package query

import (
	"testing"

	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestPurposeOf(t *testing.T) {
	const lookback = fiveMinutesMs
	for _, c := range []struct {
		hints *storage.SelectHints
		want  purpose
	}{
		{nil, purpose{}},
		{&storage.SelectHints{Func: "series"}, purpose{use: useLabels}},
		{&storage.SelectHints{}, purpose{use: useLast, instant: true, reachMs: lookback, startMs: -1}},
		{&storage.SelectHints{Func: "sum", Step: 7}, purpose{use: useLast, function: "sum", instant: true, reachMs: lookback, stepMs: 7, startMs: -1}},
		{&storage.SelectHints{Func: "timestamp", Step: 7}, purpose{function: "timestamp"}},
		// A selector in a subquery has the function around the subquery, and no range.
		{&storage.SelectHints{Func: "max_over_time", Step: 7}, purpose{use: useLast, function: "max_over_time", instant: true, reachMs: lookback, stepMs: 7, startMs: -1}},
		{&storage.SelectHints{Func: "max_over_time", Start: 5, Range: 9, Step: 7}, purpose{use: useMax, function: "max_over_time", reachMs: 9, stepMs: 7, startMs: 4}},
		{&storage.SelectHints{Func: "rate", Range: 9}, purpose{use: useCounter, function: "rate", reachMs: 9, startMs: -1}},
		{&storage.SelectHints{Range: 9}, purpose{use: useSamples, reachMs: 9, startMs: -1}},
	} {
		require.Equal(t, c.want, purposeOf(c.hints, lookback), "%+v", c.hints)
	}
	for _, f := range []string{
		"irate", "idelta", "delta", "changes", "resets", "quantile_over_time", "stddev_over_time", "stdvar_over_time", "first_over_time", "deriv", "predict_linear",
		"mad_over_time", "double_exponential_smoothing", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time", "ts_of_first_over_time",
	} {
		p := purposeOf(&storage.SelectHints{Func: f, Range: model.MsPerDay}, lookback)
		require.Equal(t, useSamples, p.use, f)
		for asked := range Resolution(len(resolutions)) {
			all := facts{thinned: true, rolled: true, has5m: true, has1h: true}
			require.Equal(t, choice{raw: true, expired: true}, p.choose(asked, all), "%s of %s", asked, f)
		}
	}
}

func TestChoose(t *testing.T) {
	var (
		none    = facts{}
		rolling = facts{has5m: true, has1h: true}
		rolled  = facts{rolled: true, has5m: true, has1h: true}
		thinned = facts{rolled: true, thinned: true, has5m: true, has1h: true}
		late    = facts{thinned: true, has5m: true, has1h: true}
		only1h  = facts{rolled: true, thinned: true, has1h: true}
		gone    = facts{thinned: true, rolled: true}

		raw     = choice{raw: true}
		expired = choice{raw: true, expired: true}
		only    = func(ms int64) choice { return choice{rollupMs: ms} }
		beside  = func(ms int64) choice { return choice{raw: true, rollupMs: ms} }
	)
	of := func(u use, function string, reach, step int64) purpose {
		return purpose{use: u, function: function, reachMs: reach, stepMs: step}
	}
	instant := func(step int64) purpose {
		p := of(useLast, "sum", fiveMinutesMs, step)
		p.instant, p.startMs = true, -fiveMinutesMs
		return p
	}
	over := func(reach, step int64) purpose { return of(useMax, "max_over_time", reach, step) }
	rate := func(reach, step int64) purpose { return of(useCounter, "rate", reach, step) }
	from := func(p purpose, start int64) purpose {
		p.startMs += start
		return p
	}
	series := purpose{use: useLabels}
	const def, auto, five, hour = ResolutionDefault, ResolutionAuto, Resolution5m, Resolution1h
	for i, c := range []struct {
		asked Resolution
		day   facts
		p     purpose
		want  choice
	}{
		// Without rollups nothing changes, whatever is asked.
		{def, none, over(hourMs, 0), raw},
		{auto, none, over(hourMs, 0), raw},
		{five, none, over(hourMs, 0), raw},
		{hour, gone, over(hourMs, 0), raw},
		{ResolutionRaw, gone, over(hourMs, 0), raw},
		// Raw is used wherever it exists.
		{def, rolling, over(hourMs, 0), raw},
		{def, rolled, over(hourMs, 0), raw},
		{def, rolled, series, raw},
		{def, thinned, over(hourMs, 0), beside(fiveMinutesMs)},
		{def, thinned, over(minuteMs, 0), expired},
		{def, thinned, rate(minuteMs, 0), beside(fiveMinutesMs)},
		{def, thinned, instant(15_000), beside(fiveMinutesMs)},
		{def, thinned, series, beside(fiveMinutesMs)},
		{def, only1h, over(hourMs, 0), beside(hourMs)},
		{def, only1h, over(fiveMinutesMs, 0), expired},
		{ResolutionRaw, rolled, over(hourMs, 0), raw},
		{ResolutionRaw, thinned, over(hourMs, 0), expired},
		{ResolutionRaw, thinned, series, raw},
		// Auto takes the longest windows that fit.
		{auto, rolling, over(hourMs, 0), raw},
		{auto, late, over(hourMs, hourMs), beside(fiveMinutesMs)},
		{auto, rolled, over(hourMs, hourMs), only(hourMs)},
		{auto, rolled, over(hourMs, 0), only(hourMs)},
		{auto, rolled, over(hourMs, fiveMinutesMs), only(fiveMinutesMs)},
		{auto, rolled, over(90*minuteMs, hourMs), only(fiveMinutesMs)},
		{auto, rolled, over(7*minuteMs, hourMs), raw},
		{auto, rolled, over(hourMs, minuteMs), raw},
		{auto, thinned, over(hourMs, minuteMs), beside(fiveMinutesMs)},
		{auto, rolled, rate(hourMs, hourMs), only(hourMs)},
		{auto, rolled, rate(minuteMs, hourMs), raw},
		{auto, rolled, instant(0), raw},
		{auto, rolled, instant(minuteMs), raw},
		{auto, rolled, instant(10 * minuteMs), only(fiveMinutesMs)},
		{auto, rolled, instant(model.MsPerDay), only(hourMs)},
		// Rather those that ranges and steps end with.
		{auto, rolled, from(over(hourMs, hourMs), 15*minuteMs), only(fiveMinutesMs)},
		{auto, rolled, from(over(hourMs, hourMs), 3*minuteMs), only(hourMs)},
		{auto, rolled, from(instant(hourMs), 15*minuteMs), only(fiveMinutesMs)},
		{auto, rolled, from(instant(hourMs), 3*minuteMs), only(hourMs)},
		{auto, only1h, instant(10 * minuteMs), beside(hourMs)},
		{auto, rolled, series, raw},
		{auto, thinned, series, beside(fiveMinutesMs)},
		// What is asked for by name is used as far as there is an answer from it.
		{five, rolled, over(hourMs, hourMs), only(fiveMinutesMs)},
		{hour, rolled, over(hourMs, minuteMs), only(hourMs)},
		{hour, rolled, instant(0), only(hourMs)},
		{hour, rolled, rate(minuteMs, minuteMs), only(hourMs)},
		{hour, rolled, over(fiveMinutesMs, hourMs), raw},
		{hour, thinned, over(fiveMinutesMs, hourMs), beside(fiveMinutesMs)},
		{hour, late, over(hourMs, 0), beside(hourMs)},
		{hour, rolling, over(hourMs, 0), raw},
	} {
		require.Equal(t, c.want, c.p.choose(c.asked, c.day), "case %d: %q of %+v for %+v", i, c.asked, c.day, c.p)
	}
}

func TestParseResolution(t *testing.T) {
	for r := range Resolution(len(resolutions)) {
		got, err := ParseResolution(r.String())
		require.NoError(t, err)
		require.Equal(t, r, got)
		require.Equal(t, r, ResolutionOf(WithResolution(t.Context(), r)))
	}
	require.Equal(t, ResolutionDefault, ResolutionOf(t.Context()))
	for _, s := range []string{"5", "10m", "1H", "auto ", "default"} {
		_, err := ParseResolution(s)
		require.ErrorIs(t, err, model.ErrInvalid, s)
	}
}
