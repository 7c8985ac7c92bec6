package memtable

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/model"
)

// keysOf are keys of seven series; the last two name the same one.
func keysOf() []string {
	return []string{
		"__name__=up,job=a", "__name__=up,job=b", "__name__=down,job=a,Zone=z", "job=a", "__name__=up,job=a,Zone=y",
		"__name__=up,x=1,y=2", "y=2,x=1,__name__=up,z=",
	}
}

func labelsOf(t require.TestingT, key string) labels.Labels {
	b := labels.NewScratchBuilder(4)
	require.NoError(t, textKeys{}.Decode([]byte(key), &b))
	b.Sort()
	return b.Labels().WithoutEmpty()
}

// naive is the model that the table is compared with.
type naive map[string]map[int64]string

func (n naive) show(t require.TestingT, r model.TimeRange, less func(a, b labels.Labels) int, keep func(labels.Labels) bool) string {
	var all []labels.Labels
	for key := range n {
		ls := labelsOf(t, key)
		if keep(ls) && !slices.ContainsFunc(all, func(l labels.Labels) bool { return labels.Equal(l, ls) }) {
			all = append(all, ls)
		}
	}
	slices.SortFunc(all, less)
	var out strings.Builder
	for _, ls := range all {
		var times []int64
		for tm := range n[canonical(ls)] {
			if r.Contains(tm) {
				times = append(times, tm)
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		out.WriteString(ls.String())
		for _, tm := range times {
			fmt.Fprintf(&out, " %d:%s", tm, n[canonical(ls)][tm])
		}
		out.WriteString("\n")
	}
	return out.String()
}

func canonical(ls labels.Labels) string {
	var parts []string
	ls.Range(func(l labels.Label) { parts = append(parts, l.Name+"="+l.Value) })
	return strings.Join(parts, ",")
}

func genValue(t *rapid.T) float64 {
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return math.Float64frombits(value.StaleNaN)
	case 1:
		return math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
	case 2:
		return float64(rapid.IntRange(-1000, 1000).Draw(t, "cents")) / 100
	case 3:
		return math.Copysign(0, -1)
	case 4:
		return float64(rapid.Int64().Draw(t, "wide"))
	case 5:
		return 1
	case 6:
		return math.Inf(1)
	}
	return float64(rapid.IntRange(0, 5).Draw(t, "small"))
}

func genTime(t *rapid.T, last int64) int64 {
	const day = model.MsPerDay
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0:
		return rapid.Int64Range(-3*day, 3*day).Draw(t, "any")
	case 1:
		return last
	case 2:
		return last - rapid.Int64Range(1, 100_000).Draw(t, "back")
	case 3:
		return min(last+rapid.Int64Range(1, day).Draw(t, "far"), 40*day)
	case 4:
		return last + 15_000 + rapid.Int64Range(-7, 7).Draw(t, "jitter")
	}
	return last + 15_000
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab := New(nil, nil)
		tab.arena.sideLimit = rapid.SampledFrom([]int{0, 2, 5, sideLimit}).Draw(t, "side limit")
		want := naive{}
		last := int64(0)
		keys := keysOf()
		withHistograms := rapid.Bool().Draw(t, "histograms")
		rounds := rapid.IntRange(1, 60).Draw(t, "rounds")
		for range rounds {
			var ws []write
			for range rapid.IntRange(1, 6).Draw(t, "series") {
				key := rapid.SampledFrom(keys).Draw(t, "key")
				name := canonical(labelsOf(t, key))
				if want[name] == nil {
					want[name] = map[int64]string{}
				}
				w := write{key: key}
				for range rapid.IntRange(0, 8).Draw(t, "count") {
					last = genTime(t, last)
					s := model.Sample{T: last, V: genValue(t)}
					w.samples = append(w.samples, s)
					want[name][s.T] = fmt.Sprintf("%x", math.Float64bits(s.V))
				}
				if withHistograms && rapid.IntRange(0, 5).Draw(t, "histogram") == 0 {
					h := model.HistogramSample{T: genTime(t, last), H: rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "h")}
					w.histograms = append(w.histograms, h)
					want[name][h.T] = fmt.Sprintf("h%q", h.H)
				}
				ws = append(ws, w)
			}
			add(t, tab, "t", ws...)
		}
		compare(t, tab, want)
	})
}

func compare(t *rapid.T, tab *Table, want naive) {
	all := func(labels.Labels) bool { return true }
	require.Equal(t, want.show(t, everything, labels.Compare, all), show(t, tab, "t", everything))
	lo := rapid.Int64Range(-4*model.MsPerDay, 4*model.MsPerDay).Draw(t, "lo")
	r := model.TimeRange{MinMs: lo, MaxMs: lo + rapid.Int64Range(0, model.MsPerDay).Draw(t, "length")}
	m := rapid.SampledFrom(matcherSets()).Draw(t, "matchers")
	require.Equal(t, want.show(t, r, labels.Compare, func(ls labels.Labels) bool { return matchesAll(ls, m) }), show(t, tab, "t", r, m...))

	byMetric := func(a, b labels.Labels) int {
		return cmpOr(strings.Compare(a.Get("__name__"), b.Get("__name__")), labels.Compare(a, b))
	}
	total := 0
	for _, d := range tab.Days() {
		var got strings.Builder
		for ls, c := range tab.Iterate("t", d.Day) {
			fmt.Fprintf(&got, "%s%s\n", ls, showColumns(c))
			total += c.Len()
			require.GreaterOrEqual(t, c.T[0], d.MinT)
			require.LessOrEqual(t, c.T[c.Len()-1], d.MaxT)
		}
		require.Equal(t, want.show(t, d.Day.Range(), byMetric, all), got.String())
	}
	samples := 0
	for _, s := range want {
		samples += len(s)
	}
	require.Equal(t, samples, total, "samples over all days")
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

func matcherSets() [][]*labels.Matcher {
	m := labels.MustNewMatcher
	return [][]*labels.Matcher{
		nil,
		{m(labels.MatchEqual, "__name__", "up")},
		{m(labels.MatchEqual, "__name__", "up"), m(labels.MatchEqual, "job", "a")},
		{m(labels.MatchEqual, "__name__", "")},
		{m(labels.MatchNotEqual, "job", "a")},
		{m(labels.MatchRegexp, "job", "a|b"), m(labels.MatchNotEqual, "__name__", "")},
		{m(labels.MatchRegexp, "__name__", ".*p"), m(labels.MatchNotRegexp, "Zone", "y")},
		{m(labels.MatchRegexp, "Zone", ".+")},
		{m(labels.MatchEqual, "nosuch", "x")},
	}
}
