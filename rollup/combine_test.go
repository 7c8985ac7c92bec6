package rollup

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// TestCombine lets the raw samples of windows go at random, rolls late ones in, again and again, and compares with rollups of all that ever was.
func TestCombine(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 3))
	t.Logf("seed %d", seed)
	for range 40 {
		var ever, there, rolled model.Columns
		value := map[int64]float64{}
		day := testDay.Range()
		resolution := resolutions[rng.IntN(2)]
		var rollups model.Rollup
		var c Combiner
		for round := range 6 {
			for range rng.IntN(200) {
				at := day.MinMs + rng.Int64N(model.MsPerDay/7_000)*7_000 // of few times, so that some meet
				if _, ok := value[at]; ok {
					continue // of a time that has gone both samples count, which this model does not
				}
				value[at] = float64(rng.IntN(1000))
				ever.Append(at, value[at])
				there.Append(at, value[at])
			}
			sortColumns(&ever)
			sortColumns(&there)
			var next model.Rollup
			c.Combine(&next, &rollups, &there, &rolled, resolution)
			rollups = next
			var want model.Rollup
			Append(&want, &ever, resolution)
			for _, a := range []model.Aggregate{model.Count, model.Sum, model.Min, model.Max} {
				require.Equal(t, want.V[a], rollups.V[a], "%s in round %d", a, round)
			}
			require.Equal(t, want.T, rollups.T)
			if there.Len() == ever.Len() {
				require.Equal(t, want, rollups, "all raw samples are there")
			}
			if rng.IntN(2) == 0 {
				there.Reset() // expired
			}
			rolled.Reset()
			rolled.T, rolled.V = slices.Clone(there.T), slices.Clone(there.V)
		}
	}
}

func sortColumns(c *model.Columns) {
	at := make([]int, c.Len())
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return int(c.T[a] - c.T[b]) })
	var out model.Columns
	for _, i := range at {
		out.Append(c.T[i], c.V[i])
	}
	*c = out
}

// TestCombineKinds: what is added to a window decides its kind, and a window that was made of what was deleted since is made of what is left.
func TestCombineKinds(t *testing.T) {
	h := histogramBytes(t, 2)
	at := testDay.Range().MinMs + 60_000
	end := model.WindowEnd(at, 300_000)
	float := model.Rollup{}
	float.Append(end, &[model.Aggregates]float64{3, 30, 5, 15, 15, 10}, nil)
	hist := model.Rollup{}
	hist.Append(end, &[model.Aggregates]float64{model.Count: 3}, h)
	var one, other, none model.Columns
	one.Append(at, 7)
	other.AppendHistogram(at, h)
	for _, x := range []struct {
		old         *model.Rollup
		all, rolled *model.Columns
		want        [model.Aggregates]float64
		h           []byte
	}{
		{&float, &one, &none, [model.Aggregates]float64{4, 37, 5, 15, 7, 10}, nil},
		{&float, &other, &none, [model.Aggregates]float64{4}, h},
		{&hist, &one, &none, [model.Aggregates]float64{4, 7, 7, 7, 7, 0}, nil},
		{&hist, &other, &none, [model.Aggregates]float64{4}, h},
		{&hist, &none, &none, [model.Aggregates]float64{3}, h},
		{&float, &one, &one, [model.Aggregates]float64{3, 30, 5, 15, 15, 10}, nil}, // nothing new
		{&model.Rollup{}, &one, &one, [model.Aggregates]float64{1, 7, 7, 7, 7, 0}, nil},
	} {
		var c Combiner
		var got, want model.Rollup
		c.Combine(&got, x.old, x.all, x.rolled, 300_000)
		want.Append(end, &x.want, x.h)
		require.Equal(t, want, got)
	}
}
