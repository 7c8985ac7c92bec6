package verify

import (
	"errors"
	"math"
	"slices"
	"testing"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// world is a side with some of everything: 100 samples of each series, which reach over the end of the day.
func world(t *testing.T) *side {
	s := newSide()
	for i := range int64(100) {
		now := at(86_400-60*50) + i*60_000
		s.of("__name__", "up", "job", "a").c.Append(now, float64(i%2))
		s.of("__name__", "up", "job", "b").c.Append(now, float64(i))
		s.of("__name__", "zero").c.Append(now, 0)
		s.of("no", "name").c.Append(now, math.Float64frombits(value.NormalNaN))
		s.of("__name__", "h").c.AppendHistogram(now, encode(t, now, tsdbutil.GenerateTestHistogram(i)))
		s.of("__name__", "f").c.AppendHistogram(now, encodeFloat(t, now, tsdbutil.GenerateTestFloatHistogram(i)))
		s.of("__name__", "since").c.AppendHistogram(now, model.FloatWithStart(at(5), float64(i)))
	}
	return s
}

func encode(t *testing.T, at int64, h *histogram.Histogram) []byte {
	p := prompb.FromIntHistogram(at, h)
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

func encodeFloat(t *testing.T, at int64, h *histogram.FloatHistogram) []byte {
	p := prompb.FromFloatHistogram(at, h)
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

func TestEqual(t *testing.T) {
	source := world(t)
	r := mustCompare(t, &Config{}, source, source.clone())
	require.True(t, r.Equal)
	require.Empty(t, r.Differences)
	require.Len(t, r.Days, 2)
	require.Equal(t, Counts{SourceSeries: 14, TargetSeries: 14, SourceSamples: 700, TargetSamples: 700, SourceHistograms: 200, TargetHistograms: 200}, r.Total)
	require.Equal(t, at(86_400-3000), r.MinMs)
	require.Equal(t, at(86_400-3000+99*60), r.MaxMs)
}

// TestPlanted plants one difference of each kind, and wants it named where it is.
func TestPlanted(t *testing.T) {
	last := 49 // of the first day
	time := func(i int) int64 { return at(86_400-3000) + int64(i)*60_000 }
	for name, c := range map[string]struct {
		plant  func(s *side)
		kind   Kind
		series string
		first  int64
		n      int64 // samples
		source string
		target string
	}{
		"missing sample":         {func(s *side) { s.of("__name__", "up", "job", "b").drop(7) }, MissingSamples, `{__name__="up", job="b"}`, time(7), 1, "7", ""},
		"missing first sample":   {func(s *side) { s.of("__name__", "up", "job", "b").drop(0) }, MissingSamples, `{__name__="up", job="b"}`, time(0), 1, "0", ""},
		"missing at midnight":    {func(s *side) { s.of("__name__", "up", "job", "b").drop(last) }, MissingSamples, `{__name__="up", job="b"}`, time(last), 1, "49", ""},
		"missing after midnight": {func(s *side) { s.of("__name__", "up", "job", "b").drop(last + 1) }, MissingSamples, `{__name__="up", job="b"}`, time(last + 1), 1, "50", ""},
		"missing stretch": {func(s *side) {
			for range 5 {
				s.of("__name__", "up", "job", "b").drop(9)
			}
		}, MissingSamples, `{__name__="up", job="b"}`, time(9), 5, "9", ""},
		"missing histogram": {func(s *side) { s.of("__name__", "h").drop(3) }, MissingSamples, `{__name__="h"}`, time(3), 1, "histogram of count 39, sum 73.6, schema 1", ""},
		"missing series": {func(s *side) {
			s.series = slices.DeleteFunc(s.series, func(p *plain) bool { return p.ls.Get("no") != "" })
		}, MissingSeries, `{no="name"}`, time(0), 50, "NaN", ""},
		"changed bit": {func(s *side) {
			c := &s.of("__name__", "up", "job", "b").c
			c.V[20] = math.Float64frombits(math.Float64bits(c.V[20]) ^ 1)
		}, Values, `{__name__="up", job="b"}`, time(20), 1, "20", "20.000000000000004"},
		"sign of zero": {func(s *side) { s.of("__name__", "zero").c.V[20] = math.Copysign(0, -1) }, Values, `{__name__="zero"}`, time(20), 1, "0", "-0"},
		"other NaN": {func(s *side) {
			s.of("no", "name").c.V[20] = math.Float64frombits(value.NormalNaN + 5)
		}, Values, `{no="name"}`, time(20), 1, "NaN (0x7ff8000000000001)", "NaN (0x7ff8000000000006)"},
		"stale marker": {func(s *side) {
			s.of("no", "name").c.V[20] = math.Float64frombits(value.StaleNaN)
		}, Values, `{no="name"}`, time(20), 1, "NaN (0x7ff8000000000001)", "stale marker (0x7ff0000000000002)"},
		"moved sample": {func(s *side) { s.of("__name__", "zero").c.T[20]++ }, MissingSamples, `{__name__="zero"}`, time(20), 1, "0", ""},
		"bucket": {func(s *side) {
			h := tsdbutil.GenerateTestHistogram(8)
			h.PositiveBuckets[1]++
			h.PositiveBuckets[2]--
			s.of("__name__", "h").c.H[8] = encode(t, 0, h)
		}, Histograms, `{__name__="h"}`, time(8), 1, "bucket (1, 1.414213562373095] 10", "bucket (1, 1.414213562373095] 11"},
		"sum": {func(s *side) {
			h := tsdbutil.GenerateTestFloatHistogram(8)
			h.Sum++
			s.of("__name__", "f").c.H[8] = encodeFloat(t, 0, h)
		}, Histograms, `{__name__="f"}`, time(8), 1, "sum 165.6", "sum 166.6"},
		"gauge": {func(s *side) {
			h := tsdbutil.GenerateTestFloatHistogram(8)
			h.CounterResetHint = histogram.GaugeType
			s.of("__name__", "f").c.H[8] = encodeFloat(t, 0, h)
		}, Histograms, `{__name__="f"}`, time(8), 1, "gauge false", "gauge true"},
		"floats for integers": {func(s *side) {
			s.of("__name__", "h").c.H[8] = encodeFloat(t, 0, tsdbutil.GenerateTestFloatHistogram(8))
		}, Types, `{__name__="h"}`, time(8), 1, "histogram with integers: histogram of count 84, sum 165.6, schema 1", "histogram with floats: histogram of count 84, sum 165.6, schema 1"},
		"float for histogram": {func(s *side) { s.of("__name__", "h").c.H[8] = nil }, Types, `{__name__="h"}`, time(8), 1, "histogram with integers: histogram of count 84, sum 165.6, schema 1", "float: 0"},
		"start":               {func(s *side) { s.of("__name__", "since").c.H[8] = model.FloatWithStart(at(6), 8) }, Types, `{__name__="since"}`, time(8), 1, "8, started at 2026-03-01T00:00:05Z", "8, started at 2026-03-01T00:00:06Z"},
		"value behind a start": {func(s *side) {
			s.of("__name__", "since").c.H[8] = model.FloatWithStart(at(5), 9)
		}, Values, `{__name__="since"}`, time(8), 1, "8", "9"},
		"rubbish": {func(s *side) { s.of("__name__", "h").c.H[8] = []byte{0xff} }, Types, `{__name__="h"}`, time(8), 1, "histogram with integers: histogram of count 84, sum 165.6, schema 1", "broken histogram: a histogram that is none: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			source := world(t)
			target := source.clone()
			c.plant(target)
			r := mustCompare(t, &Config{}, source, target)
			require.False(t, r.Equal)
			require.NotEmpty(t, r.Differences)
			d := r.Differences[0]
			require.Equal(t, []any{c.kind, c.series, c.first, c.n, c.source, c.target}, []any{d.Kind, d.Series, d.FirstMs, d.Samples, d.Source, d.Target})
			require.Equal(t, model.DayOf(c.first).Dashed(), d.Day)
			require.Positive(t, r.Total.Wrong())
			// The other way round something is found too: nothing is compared from one side only.
			back := mustCompare(t, &Config{Exact: true}, target, source)
			require.False(t, back.Equal)
		})
	}
}

// TestExtra: what the bucket has more is told, and counts with Exact only.
func TestExtra(t *testing.T) {
	source := world(t)
	target := source.clone()
	target.of("__name__", "zero").c.Append(at(86_400+86_000), 1)
	target.of("__name__", "live").c.Append(at(86_400+86_000), 1)
	target.of("__name__", "live").c.Append(at(3*86_400), 1) // a day that the source does not have
	r := mustCompare(t, &Config{}, source, target)
	require.True(t, r.Equal)
	require.Equal(t, []int64{1, 2}, []int64{r.Total.ExtraSeries, r.Total.ExtraSamples})
	require.Equal(t, []Kind{ExtraSeries, ExtraSamples}, []Kind{r.Differences[0].Kind, r.Differences[1].Kind})
	require.Equal(t, Day{Day: (migratetest.FirstDay + 3).Dashed(), NotRead: true, Counts: Counts{TargetSamples: 1}}, r.Days[2])
	r = mustCompare(t, &Config{Exact: true}, source, target)
	require.False(t, r.Equal)
	require.Equal(t, []int64{2, 3}, []int64{r.Total.ExtraSeries, r.Total.ExtraSamples})
}

// TestSwapped: samples of two series changed places, and a label got another value.
func TestSwapped(t *testing.T) {
	source := world(t)
	target := source.clone()
	a, b := target.of("__name__", "up", "job", "a"), target.of("__name__", "up", "job", "b")
	a.c, b.c = b.c, a.c
	r := mustCompare(t, &Config{}, source, target)
	require.Equal(t, []int64{196, 4}, []int64{r.Total.DifferentValues, r.Total.DifferentSeries}, "they agree in the first two samples")

	target = source.clone()
	target.of("__name__", "up", "job", "b").ls = labels.FromStrings("__name__", "up", "job", "c")
	r = mustCompare(t, &Config{}, source, target)
	require.Equal(t, []Kind{MissingSeries, ExtraSeries, MissingSeries, ExtraSeries}, kinds(r))
	require.Equal(t, `the bucket has the same samples as {__name__="up", job="c"}`, r.Differences[0].Hint)
	require.Equal(t, `the source has the same samples as {__name__="up", job="b"}`, r.Differences[1].Hint)
}

func kinds(r *Report) (out []Kind) {
	for i := range r.Differences {
		out = append(out, r.Differences[i].Kind)
	}
	return out
}

// TestTolerance: floats may differ by as much, and NaN, infinities and histograms behave.
func TestTolerance(t *testing.T) {
	inf := math.Inf(1)
	nan, stale := math.NaN(), math.Float64frombits(value.StaleNaN)
	for _, c := range []struct {
		a, b, tolerance float64
		same            bool
	}{
		{1, 1, 0, true},
		{1, 1 + 1e-12, 0, false},
		{1, 1 + 1e-12, 1e-9, true},
		{1, 1.1, 1e-9, false},
		{0, math.Copysign(0, -1), 0, false},
		{0, math.Copysign(0, -1), 1e-9, true},
		{0, 1e-300, 1e-9, false},
		{inf, inf, 0, true},
		{inf, 1, 0.5, false},
		{inf, -inf, 0.5, false},
		{nan, nan, 0, true},
		{nan, 1, 0.5, false},
		{stale, nan, 0.5, false},
		{nan, math.Float64frombits(value.NormalNaN + 5), 0.5, true},
		{math.MaxFloat64, -math.MaxFloat64, 0.5, false},
		{-1, -1 - 1e-12, 1e-9, true},
	} {
		require.Equal(t, c.same, sameFloat(c.a, c.b, c.tolerance), "%v %v", c.a, c.b)
		require.Equal(t, c.same, sameFloat(c.b, c.a, c.tolerance), "%v %v", c.b, c.a)
	}
	source := world(t)
	target := source.clone()
	target.of("__name__", "up", "job", "b").c.V[20] += 1e-12
	h := tsdbutil.GenerateTestFloatHistogram(8)
	h.Sum += 1e-12
	h.PositiveBuckets[2] += 1e-12
	target.of("__name__", "f").c.H[8] = encodeFloat(t, 0, h)
	require.False(t, mustCompare(t, &Config{}, source, target).Equal)
	r := mustCompare(t, &Config{Tolerance: 1e-9}, source, target)
	require.True(t, r.Equal)
	require.Equal(t, int64(2), r.Total.WithinTolerance)
	for _, wrong := range []float64{-1, 1, math.NaN(), inf} {
		_, err := compare(t, &Config{Tolerance: wrong}, source, target)
		require.ErrorIs(t, err, model.ErrInvalid)
	}
}

// TestHistogramForm: a histogram is what it means, not how its spans lie, nor what was said of resets.
func TestHistogramForm(t *testing.T) {
	source := newSide()
	h := &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.01, Count: 6, Sum: 2,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}, {Offset: 1, Length: 1}}, PositiveBuckets: []int64{2, 2},
	}
	source.of("__name__", "h").c.AppendHistogram(at(0), encode(t, 0, h))
	target := newSide()
	o := h.Copy()
	o.PositiveSpans, o.PositiveBuckets = []histogram.Span{{Offset: 0, Length: 4}}, []int64{2, -2, 4, -4}
	o.CounterResetHint = histogram.CounterReset
	target.of("__name__", "h").c.AppendHistogram(at(0), encode(t, 7, o))
	r := mustCompare(t, &Config{}, source, target)
	require.True(t, r.Equal, "%+v", r.Differences)
	require.Equal(t, int64(1), r.Total.WithinTolerance)
}

// TestNamed: only the first are named, of the first days, and all are counted.
func TestNamed(t *testing.T) {
	source := newSide()
	for day := range int64(5) {
		for i := range int64(10) {
			source.of("__name__", "m").c.Append(at(day*86_400+i), 1)
		}
	}
	target := source.clone()
	for i := range target.series[0].c.V {
		if i%2 == 0 {
			target.series[0].c.V[i] = 2
		}
	}
	r := mustCompare(t, &Config{MaxNamed: 7}, source, target)
	require.Equal(t, int64(25), r.Total.DifferentValues)
	require.Len(t, r.Differences, 7)
	for i, d := range r.Differences {
		require.Equal(t, at(int64(i/5)*86_400+int64(i%5)*2), d.FirstMs)
	}
}

// TestChoice: matchers are for labels at the source, relabelling is done before.
func TestChoice(t *testing.T) {
	source := world(t)
	target := newSide()
	target.of("__name__", "up", "job", "b").c = source.of("__name__", "up", "job", "b").c
	cfg := &Config{Exact: true}
	cfg.Job.Matchers = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "b")}
	require.True(t, mustCompare(t, cfg, source, target).Equal)
	require.True(t, mustCompare(t, cfg, source, source).Equal, "other series of the bucket are none of it")
	cfg.Job.Relabel = []*relabel.Config{{SourceLabels: commonmodel.LabelNames{"job"}, Separator: ";", Regex: relabel.MustNewRegexp("b"), TargetLabel: "site", Replacement: "x", Action: relabel.Replace}}
	require.NoError(t, cfg.Job.Relabel[0].Validate(commonmodel.UTF8Validation))
	cfg.Job.TempDir = t.TempDir()
	require.False(t, mustCompare(t, cfg, source, target).Equal)
	target.series[0].ls = labels.FromStrings("__name__", "up", "job", "b", "site", "x")
	require.True(t, mustCompare(t, cfg, source, target).Equal)
	cfg.Job.Range = &model.TimeRange{MinMs: at(86_400), MaxMs: at(86_500)}
	r := mustCompare(t, cfg, source, target)
	require.True(t, r.Equal)
	require.Equal(t, int64(2), r.Total.SourceSamples)
}

// TestNothing: nothing is equal to nothing.
func TestNothing(t *testing.T) {
	require.False(t, mustCompare(t, &Config{}, newSide(), newSide()).Equal)
	require.False(t, mustCompare(t, &Config{}, newSide(), world(t)).Equal)
	r := mustCompare(t, &Config{}, world(t), newSide())
	require.False(t, r.Equal)
	require.Equal(t, int64(700), r.Total.MissingSamples)
}

// TestFailures ends either side at each of its series: never is that equal.
func TestFailures(t *testing.T) {
	broken := errors.New("the line is dead")
	for n := range 7 {
		for which := range 2 {
			source, target := world(t), world(t)
			side := []*side{source, target}[which]
			side.failAt, side.err = n, broken
			r, err := compare(t, &Config{}, source, target)
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, []string{"source", "target"}[which])
			require.False(t, r.Complete)
			require.False(t, r.Equal)
		}
	}
	// A day that was compared to its end, and was equal, says nothing about the next.
	source, target := world(t), world(t)
	target.failAt, target.err, target.failOn = 3, broken, migratetest.FirstDay+1
	cfg := &Config{}
	cfg.Job.Parallel = 1
	r, err := compare(t, cfg, source, target)
	require.ErrorIs(t, err, broken)
	require.Equal(t, int64(350), r.Total.SourceSamples)
	require.False(t, r.Equal)
	for which := range 2 {
		source, target := world(t), world(t)
		side := []*side{source, target}[which]
		side.unsorted = true
		_, err := compare(t, &Config{}, source, target)
		require.ErrorIs(t, err, model.ErrCorrupt, "a join of what is in no order finds nothing")
	}
}
