package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// lived is a world of four days: of the first all raw samples have expired, of the second those of some series, the third is in the rollups, the last is not.
func lived(t testing.TB, s *rolledStorage) *rolledWorld {
	w := newRolledWorld(t, s)
	for i, f := range []blocks.Format{blocks.Parquet, blocks.Parquet, blocks.Native, blocks.Native} {
		w.keep(day0+model.Day(i), f)
		if i < 3 {
			w.roll(day0 + model.Day(i))
		}
	}
	w.thin(day0, "")
	w.thin(day0+1, `{series=~".*_[0-1]"}`)
	return w
}

// plainStorage has series with a sample a minute.
func plainStorage(t testing.TB) *rolledStorage {
	s := &rolledStorage{t: t, series: map[string]*model.Columns{}}
	for i := range int64(6) {
		name, c := fmt.Sprintf("whole_%d", i), &model.Columns{}
		for at := t0 + 17_000 + i; at < t0+storageDays*model.MsPerDay; at += minuteMs {
			c.Append(at, float64((at/7919)%1000))
		}
		s.names, s.series[name] = append(s.names, name), c
	}
	return s
}

// TestRolledDays: over real blocks and catalogs, what is exact is exact whatever days the ranges touch and whatever resolution is asked for.
func TestRolledDays(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := lived(t, randomStorage(t, r))
	form := []string{
		"%[1]s(%[2]s[%[3]s])", "%[1]s(%[2]s[%[3]s] offset %[4]s)", "sum(%[1]s(%[2]s[%[3]s])) by (series)", "max_over_time(%[1]s(%[2]s[%[3]s])[%[3]s:%[4]s])",
		"%[1]s(%[2]s[%[3]s] @ end())",
	}
	for range 40 {
		res := []int64{fiveMinutesMs, hourMs}[r.IntN(2)]
		asked := []Resolution{ResolutionDefault, ResolutionAuto, Resolution5m, Resolution1h}[r.IntN(4)]
		if asked == Resolution1h {
			res = hourMs
		}
		at := moments{start: t0 + r.Int64N(storageDays*model.MsPerDay/res)*res}
		if r.IntN(2) == 0 {
			at.step = res * (1 + r.Int64N(6))
			at.end = at.start + r.Int64N(30)*at.step
		}
		span := promDuration(time.Duration(1+r.Int64N(1+r.Int64N(30))) * time.Duration(res) * time.Millisecond)
		step := promDuration(time.Duration(res) * time.Millisecond)
		for _, f := range []string{"min_over_time", "max_over_time", "last_over_time", "count_over_time", "sum_over_time"} {
			expr := fmt.Sprintf(form[r.IntN(len(form))], f, `{__name__=~"whole.+"}`, span, step)
			got, _ := w.ask(asked, expr, at)
			require.Equal(t, w.want(expr, at), got, "%q: %s at %+v", asked, expr, at)
		}
	}
}

// TestRolledEngines: whatever is asked, at any times and of any resolution, the columnar engine has the bits of Prometheus' own over the same windows. That is what asking checks.
func TestRolledEngines(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := lived(t, randomStorage(t, r))
	exprs := []string{
		"rate({__name__=~\".+\"}[%s])", "sum(increase({__name__=~\".+\"}[%s])) by (series)", "avg_over_time({__name__=~\".+\"}[%s])", "count_over_time({__name__=~\".+\"}[%s] offset 17m)",
		"max_over_time(rate(whole_0[%s])[3h:7m])", "last_over_time({__name__=~\".+\"}[%s])", "absent_over_time(whole_1[%s])", "min_over_time({__name__=~\".+\"}[%s]) + on (series) sum by (series) ({__name__=~\".+\"})",
		"quantile_over_time(0.3, whole_2[%s])", "topk(2, sum_over_time({__name__=~\".+\"}[%s]))", "avg({__name__=~\".+\"}) / %.0[1]s2",
	}
	answers := 0
	for range 8 {
		for _, expr := range exprs {
			at := moments{start: t0 + r.Int64N(storageDays*model.MsPerDay), step: 1 + r.Int64N(3*hourMs)}
			at.end = at.start + r.Int64N(25)*at.step
			span := promDuration(time.Duration(60+r.Int64N(40_000)) * time.Second)
			got, _ := w.ask(Resolution(r.IntN(len(resolutions))), fmt.Sprintf(expr, span), at)
			if got != "" {
				answers++
			}
		}
	}
	require.Greater(t, answers, 40)
}

// TestRolledInfos: every answer that used rollups says which, and one that could not says what it lacks.
func TestRolledInfos(t *testing.T) {
	w := lived(t, plainStorage(t))
	all := moments{start: t0 + hourMs, end: t0 + 4*model.MsPerDay, step: hourMs}
	first, last := moments{start: t0 + 12*hourMs}, moments{start: t0 + 4*model.MsPerDay}
	const prefix, five, hour, lost = "PromQL info: ", "rollups of 5m answer for 2024-10-04", "rollups of 1h answer for 2024-10-04", "raw samples before 2024-10-0"
	for _, c := range []struct {
		r    Resolution
		expr string
		at   moments
		want string
	}{
		{ResolutionDefault, "max_over_time(whole_0[1h])", all, five + " to 2024-10-05"},
		{ResolutionDefault, "sum(max_over_time(whole_0[1h]))", all, five + " to 2024-10-05"},
		{ResolutionDefault, "max_over_time(whole_0[1h])", first, five},
		{ResolutionDefault, "max_over_time(whole_0[1h])", last, ""},
		{ResolutionDefault, "whole_0", first, five},
		{ResolutionDefault, "whole_0 offset 3d12h", last, five},
		{ResolutionDefault, "none", all, ""},
		{ResolutionAuto, "max_over_time(whole_0[1h])", all, hour + " to 2024-10-06"},
		{ResolutionAuto, "whole_0", all, hour + " to 2024-10-06"},
		{ResolutionAuto, "max_over_time(whole_0[1h])", last, ""},
		{Resolution5m, "rate(whole_0[1h])", all, five + " to 2024-10-06"},
		{ResolutionRaw, "max_over_time(whole_0[1h])", all, lost + "6 have expired, and resolution=raw leaves rollups out"},
		{ResolutionRaw, "max_over_time(whole_0[1h])", last, ""},
		{ResolutionDefault, "irate(whole_0[1h])", first, lost + "5 have expired, and irate cannot use rollups"},
		{ResolutionAuto, "quantile_over_time(0.5, whole_0[1h])", all, lost + "6 have expired, and quantile_over_time cannot use rollups"},
		{ResolutionDefault, "sum_over_time(whole_0[1m])", first, lost + "5 have expired, and sum_over_time over a range shorter than the windows of rollups cannot use them"},
		{ResolutionDefault, "changes(whole_0[1h])", last, ""},
		{ResolutionDefault, "timestamp(whole_0)", first, lost + "5 have expired, and timestamp cannot use rollups"},
	} {
		_, infos := w.ask(c.r, c.expr, c.at)
		var own []string
		for _, info := range infos {
			if info != prefix+`metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "whole_0"` {
				own = append(own, info)
			}
		}
		if c.want == "" {
			require.Empty(t, own, "%q %s", c.r, c.expr)
			continue
		}
		require.Equal(t, []string{prefix + c.want}, own, "%q %s", c.r, c.expr)
	}
	got, _ := w.ask(ResolutionDefault, "irate(whole_0[1h])", first)
	require.Empty(t, got)
	got, _ = w.ask(ResolutionRaw, "whole_0", first)
	require.Empty(t, got)
	got, _ = w.ask(ResolutionDefault, "whole_0[1h]", moments{start: t0 + 12*hourMs})
	require.Empty(t, got, "a plain range is of samples")
}

// TestRolledLists: calls for series and labels know what is in rollups only.
func TestRolledLists(t *testing.T) {
	w := lived(t, plainStorage(t))
	for _, r := range []Resolution{ResolutionDefault, ResolutionAuto, Resolution1h} {
		series, values := w.listed(r, t0, t0+model.MsPerDay-1)
		require.ElementsMatch(t, w.names, series)
		require.ElementsMatch(t, w.names, values)
	}
	series, values := w.listed(ResolutionRaw, t0, t0+model.MsPerDay-1)
	require.Empty(t, series)
	require.Empty(t, values)
	series, _ = w.listed(ResolutionDefault, t0+model.MsPerDay, t0+4*model.MsPerDay)
	require.ElementsMatch(t, w.names, series)
}

// TestRolledExplain: an account tells rollups from others, and both aggregates of a use cost no further stage.
func TestRolledExplain(t *testing.T) {
	w := lived(t, plainStorage(t))
	explain := func(r Resolution, expr string, at moments) Explain {
		ctx, a := WithAccount(WithResolution(w.ctx(), r))
		pq, err := w.engines[0].NewInstantQuery(ctx, w.queryable(), nil, expr, time.UnixMilli(at.start))
		require.NoError(t, err)
		defer pq.Close()
		require.NoError(t, pq.Exec(ctx).Err)
		return a.Explain()
	}
	raw := explain(ResolutionDefault, "max_over_time(whole_0[1h])", moments{start: t0 + 3*model.MsPerDay})
	require.Zero(t, raw.Rollups)
	one := explain(ResolutionDefault, "max_over_time(whole_0[1h])", moments{start: t0 + 12*hourMs})
	require.Equal(t, 1, one.Rollups)
	require.Equal(t, 1, one.Blocks)
	require.EqualValues(t, 1, one.Series)
	require.NotZero(t, one.GetsByKind.Block)
	require.NotZero(t, one.BytesNeeded)
	require.Zero(t, one.GetsByKind.Other)
	two := explain(ResolutionDefault, "increase(whole_0[1h])", moments{start: t0 + 12*hourMs})
	require.Equal(t, one.Stages, two.Stages)
	require.EqualValues(t, 1, two.Series)
	require.LessOrEqual(t, two.GetsByKind.Block, 2*one.GetsByKind.Block)
}

// TestRolledDelete: what is deleted leaves windows that it overlaps, at once.
func TestRolledDelete(t *testing.T) {
	w := lived(t, plainStorage(t))
	w.do(day0, catalog.AddTombstone{
		ID: "x", CreatedMs: time.Now().UnixMilli(), Matchers: `{series="whole_0"}`,
		Range: model.TimeRange{MinMs: t0 + hourMs + 1, MaxMs: t0 + 2*hourMs},
	})
	at := func(hours int64) moments { return moments{start: t0 + hours*hourMs} }
	const expr = "count_over_time(whole_0[1h])"
	for hours, there := range map[int64]bool{1: true, 2: false, 3: true} {
		got, _ := w.ask(ResolutionDefault, expr, at(hours))
		if there {
			require.Equal(t, w.want(expr, at(hours)), got, hours)
		} else {
			require.Empty(t, got)
		}
	}
}

// TestRolledLate: samples that are in no window count beside them, as they are.
func TestRolledLate(t *testing.T) {
	w := lived(t, plainStorage(t))
	w.register(catalog.Writer{ID: "w2", Mode: "fsync"})
	late := model.Columns{}
	for i := range int64(24) {
		late.Append(t0+i*hourMs, 5_000) // at ends of windows, where rows are
	}
	ls := w.partOf("whole_1")
	w.sources = nil
	source := &listedSource{writer: "w2", series: []model.Series{&tailSeries{ls, late}}}
	w.sources = append(w.sources, source)
	both := *w.rolledStorage
	both.late = map[string]*model.Columns{"whole_1": &late}
	for _, r := range []Resolution{ResolutionDefault, ResolutionAuto, Resolution1h} {
		for _, f := range []string{"max_over_time", "min_over_time", "sum_over_time", "count_over_time", "last_over_time"} {
			expr := f + "(whole_1[3h])"
			at := moments{start: t0 + 6*hourMs, end: t0 + 20*hourMs, step: hourMs}
			got, _ := w.ask(r, expr, at)
			require.Equal(t, evaluate(t, w.engines[1], &both, expr, at), got, "%q %s", r, expr)
		}
	}
}

// TestRolledHistograms: windows that end in a native histogram answer with it, where a sample is asked for.
func TestRolledHistograms(t *testing.T) {
	s := &rolledStorage{t: t, names: []string{"h"}, series: map[string]*model.Columns{"h": {}}}
	for i := range int64(600) {
		n := uint64(i) * 3
		h := prompb.FromIntHistogram(0, &histogram.Histogram{
			Count: n, Sum: float64(n), Schema: 1, ZeroThreshold: 0.001, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{i * 2, -i},
		})
		s.series["h"].AppendHistogram(t0+(i+1)*minuteMs, marshal(t, h))
	}
	w := newRolledWorld(t, s)
	w.keep(day0, blocks.Native)
	w.roll(day0)
	w.thin(day0, "")
	at := moments{start: t0 + hourMs, end: t0 + 10*hourMs, step: hourMs}
	for _, expr := range []string{"last_over_time(h[1h])", "count_over_time(h[1h])", "present_over_time(h[1h])", "histogram_count(h)", "histogram_quantile(0.9, h)"} {
		got, _ := w.ask(ResolutionDefault, expr, at)
		require.Equal(t, w.want(expr, at), got, expr)
		require.NotEmpty(t, got)
	}
	for _, f := range []string{"min", "max", "sum", "avg"} {
		got, _ := w.ask(ResolutionDefault, f+"_over_time(h[1h])", at)
		require.Empty(t, got, "rollups keep no %s of histograms", f)
	}
	got, _ := w.ask(ResolutionDefault, "histogram_count(increase(h[1h]))", moments{start: t0 + 5*hourMs})
	require.Contains(t, got, "(180", "one a minute, by threes")
}

// TestRolledExpiredFirst: series whose rollups expire before their raw samples are answered from these, whatever is asked for.
func TestRolledExpiredFirst(t *testing.T) {
	w := lived(t, plainStorage(t))
	day := day0 + 2
	at := moments{start: t0 + 2*model.MsPerDay + hourMs, end: t0 + 3*model.MsPerDay, step: hourMs}
	const expr = "max_over_time(whole_5[1h])"
	_, infos := w.ask(ResolutionAuto, expr, at)
	require.NotEmpty(t, infos)
	w.do(day, catalog.AddTombstone{ID: "x", CreatedMs: time.Now().UnixMilli(), Range: day.Range(), Matchers: `{series="whole_5"}`, Scope: catalog.ScopeRollups})
	check := func() {
		for r := range Resolution(len(resolutions)) {
			got, infos := w.ask(r, expr, at)
			require.Equal(t, w.want(expr, at), got)
			require.Empty(t, infos)
		}
	}
	check()
	applied := map[string][]string{}
	for _, e := range w.partition(day).Rollups {
		applied[e.ID] = []string{"x"}
	}
	w.do(day, catalog.SettleTombstones{Applied: applied})
	check()
}

// TestRolledQuarantined: what could not be read when rollups were made is not answered from them alone.
func TestRolledQuarantined(t *testing.T) {
	w := lived(t, plainStorage(t))
	at := moments{start: t0 + 3*model.MsPerDay}
	_, infos := w.ask(ResolutionAuto, "max_over_time(whole_5[1h])", at)
	require.NotEmpty(t, infos)
	w.do(day0+2, catalog.Quarantine{IDs: []string{w.partition(day0 + 2).Blocks[0].ID}, Reason: "test"})
	got, infos := w.ask(ResolutionAuto, "max_over_time(whole_5[1h])", at)
	require.Equal(t, w.want("max_over_time(whole_5[1h])", at), got)
	require.Empty(t, infos)
}

// TestRolledDamage: a rollup that is cut short or gone fails the query with its name, or is left out with a warning where that was asked for.
func TestRolledDamage(t *testing.T) {
	for _, cut := range []bool{true, false} {
		w := lived(t, plainStorage(t))
		key := blocks.Key(w.partition(day0).Rollups[0].Meta)
		require.Contains(t, key, "r/tenant=")
		data, version, err := w.bucket.Get(t.Context(), key)
		require.NoError(t, err)
		if cut {
			_, err = w.bucket.PutIf(t.Context(), key, data[:len(data)/4], version)
		} else {
			err = w.bucket.Delete(t.Context(), key)
		}
		require.NoError(t, err)
		at := time.UnixMilli(t0 + 25*hourMs)
		for _, e := range w.engines {
			ask := func(ctx context.Context) *promql.Result {
				pq, err := e.NewInstantQuery(ctx, w.q, nil, "count_over_time(whole_0[12h])", at)
				require.NoError(t, err)
				defer pq.Close()
				return pq.Exec(ctx)
			}
			r := ask(w.ctx())
			require.ErrorIs(t, r.Err, model.ErrCorrupt)
			require.ErrorContains(t, r.Err, w.partition(day0).Rollups[0].ID)
			r = ask(WithPartialResponse(w.ctx()))
			require.Contains(t, textOf(t, r), "(60)", "what is of the second day")
			warnings, infos := r.Warnings.AsStrings("", 0, 0)
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], w.partition(day0).Rollups[0].ID)
			require.Equal(t, []string{"PromQL info: rollups of 5m answer for 2024-10-05"}, infos)
		}
	}
}
