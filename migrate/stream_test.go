package migrate

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// TestPartLabels: a part ends when its labels are long, at the same series for whoever reads the day again; usual labels do not count.
func TestPartLabels(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	var all []labels.Labels
	for i := range 200 {
		all = append(all, labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%03d", i), "long", strings.Repeat("x", rng.IntN(2000))))
	}
	in := func(yield func(blocks.BuildSeries, error) bool) {
		for _, ls := range all {
			if !yield(blocks.BuildSeries{Labels: ls, Columns: &model.Columns{T: []int64{1}, V: []float64{1}}}, nil) {
				return
			}
		}
	}
	const most = 10_000
	parts := func(l limits, in iter.Seq2[blocks.BuildSeries, error]) (sizes []int64, series int) {
		s := newStream(in, func(int64) {})
		defer s.stop()
		for s.ok {
			bytes := int64(0)
			for b, err := range s.part(l) {
				require.NoError(t, err)
				bytes += longLabels(b.Labels)
				series++
			}
			sizes = append(sizes, bytes)
		}
		return sizes, series
	}
	sizes, series := parts(limits{samples: 1000, series: 1000, labelBytes: most}, in)
	require.Equal(t, len(all), series)
	require.Greater(t, len(sizes), 10)
	for _, bytes := range sizes {
		require.Less(t, bytes, int64(most+2000))
	}
	again, _ := parts(limits{samples: 1000, series: 1000, labelBytes: most}, in)
	require.Equal(t, sizes, again)
	for i := range all {
		all[i] = labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%03d", i), "usual", strings.Repeat("x", 50))
	}
	sizes, series = parts(limits{samples: 1000, series: 1000, labelBytes: 1}, in)
	require.Equal(t, []int64{0}, sizes)
	require.Equal(t, len(all), series)
}
