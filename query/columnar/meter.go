package columnar

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"
)

// meter bounds what the parts of one query hold in memory, in samples of 16 bytes as the engine counts them. Safe for concurrent use.
type meter struct {
	limit      int64
	held, peak atomic.Int64
}

// hold adds n and fails above the limit; what was added counts until released.
func (m *meter) hold(n int64) error {
	held := m.held.Add(n)
	for {
		peak := m.peak.Load()
		if held <= peak || m.peak.CompareAndSwap(peak, held) {
			break
		}
	}
	if held > m.limit {
		return promql.ErrTooManySamples(whileExecuting)
	}
	return nil
}

func (m *meter) release(n int64) { m.held.Add(-n) }
