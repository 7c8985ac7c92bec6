package lifecycle

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// TestSnapshotMetrics: what snapshots there are, and how old the oldest is, without a job to do.
func TestSnapshotMetrics(t *testing.T) {
	w := newWorld(t)
	w.flushes(1)
	l, _ := w.worker(small())
	look := func(snapshots int, age float64) {
		w.once(l)
		require.InDelta(t, snapshots, testutil.ToFloat64(l.metrics.snapshots), 0)
		require.InDelta(t, age, testutil.ToFloat64(l.metrics.oldestSnapshot), 0.01)
	}
	look(0, 0)
	w.snapshot("old")
	w.nowMs += 60_000
	w.snapshot("new")
	w.nowMs += 5_000
	look(2, 65)
	w.nowMs += 1_000
	look(2, 66)
	require.NoError(t, w.catalog.DeleteSnapshot(t.Context(), "t", "old"))
	look(1, 6)
	require.NoError(t, w.catalog.DeleteSnapshot(t.Context(), "t", "new"))
	look(0, 0)
}
