package columnar

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLongWindowsEnd: whoever walks the samples of each window looks now and then whether anybody still waits.
func TestLongWindowsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, eval := range map[string]func(*series, []float64) error{"deviations": deviations, "variances": variances} {
		s := &series{ctx: ctx, v: make([]float64, 1000), t: make([]int64, 1000), windows: &windows{}}
		for range 3 * lookEvery / 1000 {
			s.windows.at = append(s.windows.at, window{0, 1000})
		}
		out := make([]float64, len(s.windows.at))
		require.ErrorContains(t, eval(s, out), "canceled", name)
		require.Zero(t, out[len(out)-1], name)
	}
}
