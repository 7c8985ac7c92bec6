package blocks_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// A series knows what came before the range among what was read along with it, in both formats, and nothing of what was not read.
func TestBefore(t *testing.T) {
	c := &model.Columns{}
	for i := range 20 {
		if i%5 == 0 {
			c.Append(day.Range().MinMs+int64(i)*1000, float64(i))
			continue
		}
		c.AppendHistogram(day.Range().MinMs+int64(i)*1000, []byte(fmt.Sprintf("histogram %d", i)))
	}
	in := []blocks.BuildSeries{{Labels: labels.FromStrings("__name__", "m"), Columns: c}}
	for _, build := range []func(testing.TB, []blocks.BuildSeries) (*blocks.Meta, []byte){build, buildParquet} {
		m, b := build(t, in)
		for i := range c.T {
			rg := model.TimeRange{MinMs: c.T[i] - 500, MaxMs: c.T[19]}
			sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: rg})
			require.NoError(t, err)
			var got, want model.Columns
			require.NoError(t, model.Before(&got, sel.Series, c.T[i]))
			if i > 0 {
				want.AppendAt(c, i-1)
			}
			require.Equal(t, want, got)
			sel.Close()
		}
		sel, err := blocks.Select(t.Context(), blocks.Bytes(b), m, &blocks.Query{Range: m.Range(), LabelsOnly: true})
		require.NoError(t, err)
		var got model.Columns
		require.NoError(t, model.Before(&got, sel.Series, c.T[19]))
		require.Zero(t, got.Len())
		sel.Close()
	}
}
