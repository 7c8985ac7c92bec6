package blocks_test

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// unmasked is what a person would leave of the windows: those without a masked millisecond in them.
func unmasked(s *blocks.BuildSeries, f blocks.Format, masks blocks.Masks) *model.Rollup {
	out := &model.Rollup{}
	for i, end := range s.Rollup.T {
		// The millisecond behind the last one of the day belongs to the next day, whose first window has it.
		last := end
		begin := end - f.ResolutionMs() + 1
		if end == day.Range().MaxMs {
			begin++
		}
		begin = max(begin, day.Range().MinMs)
		hidden := false
		for _, m := range masks {
			for _, ms := range m.Selectors {
				all := m.Range.Overlaps(model.TimeRange{MinMs: begin, MaxMs: last})
				for _, x := range ms {
					all = all && x.Matches(s.Labels.Get(x.Name))
				}
				hidden = hidden || all
			}
		}
		if hidden {
			continue
		}
		var v [model.Aggregates]float64
		for a := range v {
			v[a] = s.Rollup.V[a][i]
		}
		var h []byte
		if s.Rollup.H != nil {
			h = s.Rollup.H[i]
		}
		out.Append(end, &v, h)
	}
	return out
}

func TestRollupMasks(t *testing.T) {
	for seed := range int64(30) {
		f := []blocks.Format{blocks.Rollup5m, blocks.Rollup1h}[seed%2]
		r := rand.New(rand.NewSource(seed))
		var in []blocks.BuildSeries
		for i := range 20 {
			in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%02d", i/4), "i", fmt.Sprint(i%4)), Rollup: anyRollup(r, f, 300, i%5 == 0)})
		}
		m, b := buildRollup(t, f, in)
		edge := func() int64 { // mostly beside the end of a window
			at := day.Range().MinMs + int64(r.Intn(290))*300_000 + int64(r.Intn(3)-1)
			if r.Intn(3) == 0 {
				at += int64(r.Intn(300_000))
			}
			return at
		}
		var masks blocks.Masks
		for i := range 1 + r.Intn(3) {
			from := edge()
			to := max(from, edge())
			if r.Intn(2) == 0 {
				to = from + int64(r.Intn(3))
			}
			if r.Intn(8) == 0 {
				from = day.Range().MinMs - 1_000_000
			}
			masks = append(masks, maskOf(fmt.Sprint(i), from, to, labels.MustNewMatcher(labels.MatchRegexp, "i", []string{".*", "1", "[12]"}[r.Intn(3)])))
		}
		want := map[string]*model.Rollup{}
		for i := range in {
			if x := unmasked(&in[i], f, masks); x.Len() > 0 {
				want[in[i].Labels.String()] = x
			}
		}
		rd := blocks.NewRollupReader(t.Context(), blocks.Bytes(b), m, masks, nil)
		n := 0
		for rd.Next() {
			require.NotNil(t, want[rd.Labels().String()], "seed %d", seed)
			requireRollup(t, want[rd.Labels().String()], rd.Rollup())
			n++
		}
		require.NoError(t, rd.Err())
		require.Equal(t, len(want), n)
		rd.Close()
		for _, a := range []model.Aggregate{model.Count, model.Last, model.Max} {
			sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: day.Range(), Aggregate: a, Masks: masks})
			require.NoError(t, err)
			n := 0
			for _, s := range withSamples(t, sel, day.Range()) {
				requireColumns(t, aggregateOf(want[s.ls], a), &s.c, day.Range())
				n++
			}
			if a == model.Count {
				require.Equal(t, len(want), n)
			}
			sel.Close()
		}
	}
}
