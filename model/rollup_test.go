package model_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestWindowEnd(t *testing.T) {
	day := model.Day(20000).Range()
	for _, r := range []int64{300_000, 3_600_000} {
		for _, c := range []struct{ at, end int64 }{
			{0, 0},
			{1, r},
			{r - 1, r},
			{r, r},
			{r + 1, 2 * r},
			{model.MsPerDay - r, model.MsPerDay - r},
			{model.MsPerDay - r + 1, model.MsPerDay - 1},
			{model.MsPerDay - 1, model.MsPerDay - 1},
		} {
			require.Equal(t, day.MinMs+c.end, model.WindowEnd(day.MinMs+c.at, r), "%d at %d", r, c.at)
		}
		before := model.Day(-3).Range()
		require.Equal(t, before.MinMs+r, model.WindowEnd(before.MinMs+1, r))
		require.Equal(t, before.MaxMs, model.WindowEnd(before.MaxMs-5, r))
	}
}

func TestRollup(t *testing.T) {
	var r model.Rollup
	require.ErrorIs(t, r.Check(100), model.ErrInvalid)
	r.Append(5, &[model.Aggregates]float64{1, 2, 3, 4, 5, 6}, nil)
	require.NoError(t, r.Check(100))
	require.Nil(t, r.H)
	r.Append(7, &[model.Aggregates]float64{3}, []byte{1})
	r.Append(9, &[model.Aggregates]float64{4}, nil)
	require.NoError(t, r.Check(100))
	require.Equal(t, [][]byte{nil, {1}, nil}, r.H)
	require.Equal(t, []float64{5, 0, 0}, r.V[model.Last])
	require.ErrorIs(t, r.Check(0), model.ErrInvalid)
	r.V[model.Increase] = r.V[model.Increase][:2]
	require.ErrorIs(t, r.Check(100), model.ErrInvalid)
	r.Reset()
	require.Zero(t, r.Len())
	require.Equal(t, "increase", model.Increase.String())
}
