package ingester

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// knows is a series that knows of samples before its range.
type knows struct {
	model.Series
	before model.Columns
}

func (k *knows) Before(dst *model.Columns, t int64) error {
	for i := k.before.Len() - 1; i >= 0; i-- {
		if k.before.T[i] < t {
			dst.AppendAt(&k.before, i)
			break
		}
	}
	return nil
}

// The latest sample of any generation counts, at one time that of the newest.
func TestBeforeOfMerged(t *testing.T) {
	older := &knows{before: model.Columns{T: []int64{1, 5, 8}, V: []float64{1, 5, 8}}}
	newer := &knows{before: model.Columns{T: []int64{3, 5}, V: []float64{30, 50}, H: [][]byte{[]byte("h"), nil}}}
	m := &mergedSeries{parts: []model.Series{newer, &mergedSeries{}, older}}
	for _, tc := range []struct {
		t    int64
		want model.Columns
	}{
		{9, model.Columns{T: []int64{8}, V: []float64{8}}},
		{8, model.Columns{T: []int64{5}, V: []float64{50}}},
		{4, model.Columns{T: []int64{3}, V: []float64{0}, H: [][]byte{[]byte("h")}}},
		{3, model.Columns{T: []int64{1}, V: []float64{1}}},
		{1, model.Columns{}},
	} {
		var c model.Columns
		require.NoError(t, m.Before(&c, tc.t))
		require.Equal(t, tc.want.T, c.T)
		require.Equal(t, tc.want.H == nil, c.H == nil)
		if c.H == nil {
			require.Equal(t, tc.want.V, c.V)
		}
	}
}
