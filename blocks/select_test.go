package blocks_test

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

const day = model.Day(20000)

// each yields the series in the order of a block.
func each(in []blocks.BuildSeries) iter.Seq2[blocks.BuildSeries, error] {
	in = slices.Clone(in)
	slices.SortFunc(in, func(a, b blocks.BuildSeries) int {
		return index.Compare(a.Labels, b.Labels)
	})
	return func(yield func(blocks.BuildSeries, error) bool) {
		for _, s := range in {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func build(t testing.TB, in []blocks.BuildSeries) (*blocks.Meta, []byte) {
	t.Helper()
	var b bytes.Buffer
	m, err := blocks.Build(t.Context(), &blocks.Params{Tenant: "t1", Day: day, Writer: "w", Generation: 3, CreatedMs: 5}, each(in), &b)
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), m.Size)
	require.Equal(t, blocks.Checksum(b.Bytes()), m.CRC)
	return m, b.Bytes()
}

// columns makes n samples in steps of 15 s; kind decides the codec.
func columns(r *rand.Rand, kind, n int, jitter bool) *model.Columns {
	c := &model.Columns{}
	t := day.Range().MinMs + int64(r.Intn(5))*1000
	v := float64(r.Intn(1000))
	for i := range n {
		at := t + int64(i)*15000/int64(1+n/5000)
		if jitter {
			at += int64(r.Intn(500))
		}
		switch kind % 7 {
		case 0: // constant
		case 1:
			v += float64(r.Intn(100))
		case 2:
			v = math.Round(v*100+float64(r.Intn(21)-10)) / 100
		case 3:
			v = r.NormFloat64()
		case 4:
			v = []float64{math.NaN(), math.Inf(1), math.Copysign(0, -1), 5e-324, math.Float64frombits(0x7ff0000000000002), 1e300}[r.Intn(6)]
		case 5:
			if v = float64(i); i%50 == 49 {
				v = math.Float64frombits(0x7ff0000000000002)
			}
		case 6:
			if i%3 == 0 {
				c.AppendHistogram(at, []byte(fmt.Sprintf("histogram %d", r.Intn(10))))
				continue
			}
			v = float64(i)
		}
		c.Append(at, v)
	}
	return c
}

func requireColumns(t require.TestingT, want, got *model.Columns, r model.TimeRange) {
	w := &model.Columns{}
	for i, at := range want.T {
		if !r.Contains(at) {
			continue
		}
		if want.H != nil && want.H[i] != nil {
			w.AppendHistogram(at, want.H[i])
		} else {
			w.Append(at, want.V[i])
		}
	}
	require.Equal(t, len(w.T), len(got.T))
	require.Equal(t, len(w.T), len(got.V))
	require.Equal(t, w.H == nil, got.H == nil, "histograms")
	for i := range w.T {
		require.Equal(t, w.T[i], got.T[i])
		isHistogram := w.H != nil && w.H[i] != nil
		if isHistogram {
			require.Equal(t, w.H[i], got.H[i])
		} else {
			require.Equal(t, math.Float64bits(w.V[i]), math.Float64bits(got.V[i]), "sample %d", i)
			require.True(t, got.H == nil || got.H[i] == nil)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	var in []blocks.BuildSeries
	for i := range 300 {
		n := 1 + r.Intn(300)
		if i%50 == 0 {
			n = 5000 + r.Intn(9000)
		}
		in = append(in, blocks.BuildSeries{
			Labels:  labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%20), "instance", fmt.Sprint(i), "Zone", fmt.Sprint(i%3)),
			Columns: columns(r, i, n, i%2 == 0),
		})
	}
	m, b := build(t, in)
	require.NoError(t, blocks.Verify(b))
	want := map[string]*model.Columns{}
	for _, s := range in {
		want[s.Labels.String()] = s.Columns
	}
	for _, rg := range []model.TimeRange{day.Range(), {MinMs: m.MinT + 100_000, MaxMs: m.MinT + 900_000}, {MinMs: m.MinT, MaxMs: m.MinT}} {
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: rg})
		require.NoError(t, err)
		require.True(t, slices.IsSortedFunc(sel.Series, func(a, b model.Series) int { return labels.Compare(a.Labels(), b.Labels()) }))
		for _, s := range sel.Series {
			var c model.Columns
			require.NoError(t, s.Samples(&c, rg))
			requireColumns(t, want[s.Labels().String()], &c, rg)
		}
		if rg == day.Range() {
			require.Len(t, sel.Series, len(in))
		}
		sel.Close()
	}
}

// TestSelectAgainstModel compares random matchers on random blocks with evaluating them one series at a time.
func TestSelectAgainstModel(t *testing.T) {
	names := []string{"__name__", "a", "b", "Ü.x", "job"}
	values := []string{"", "x", "y", "xy", "zz", "0"}
	patterns := []string{"", "x", "x|y", ".*", ".+", "x.*", "|x", "[xy]+", "zz|0|q"}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(rt, "series")
		seen := map[string]bool{}
		var in []blocks.BuildSeries
		for i := range n {
			b := labels.NewScratchBuilder(8)
			for _, name := range names {
				if v := rapid.SampledFrom(values).Draw(rt, name); v != "" {
					b.Add(name, v)
				}
			}
			b.Sort()
			ls := b.Labels()
			if ls.IsEmpty() || seen[ls.String()] {
				continue
			}
			seen[ls.String()] = true
			in = append(in, blocks.BuildSeries{Labels: ls, Columns: &model.Columns{T: []int64{day.Range().MinMs + int64(i)}, V: []float64{float64(i)}}})
		}
		if len(in) == 0 {
			return
		}
		m, data := build(t, in)
		for range 5 {
			var ms []*labels.Matcher
			for range rapid.IntRange(0, 3).Draw(rt, "matchers") {
				typ := rapid.SampledFrom([]labels.MatchType{labels.MatchEqual, labels.MatchNotEqual, labels.MatchRegexp, labels.MatchNotRegexp}).Draw(rt, "type")
				vs := values
				if typ >= labels.MatchRegexp {
					vs = patterns
				}
				name := rapid.SampledFrom(append(names, "absent")).Draw(rt, "name")
				ms = append(ms, labels.MustNewMatcher(typ, name, rapid.SampledFrom(vs).Draw(rt, "value")))
			}
			want := matching(in, ms)
			sel, err := blocks.Select(t.Context(), blocks.Bytes(data), m, &blocks.Query{Range: day.Range(), Matchers: ms})
			require.NoError(rt, err)
			got := []string{}
			for _, s := range sel.Series {
				got = append(got, s.Labels().String())
			}
			require.Equal(rt, want, got, "%v", ms)
			sel.Close()
		}
	})
}

func matching(in []blocks.BuildSeries, ms []*labels.Matcher) []string {
	var found []labels.Labels
	for _, s := range in {
		ok := true
		for _, m := range ms {
			ok = ok && m.Matches(s.Labels.Get(m.Name))
		}
		if ok {
			found = append(found, s.Labels)
		}
	}
	slices.SortFunc(found, labels.Compare)
	out := []string{}
	for _, ls := range found {
		out = append(out, ls.String())
	}
	return out
}
