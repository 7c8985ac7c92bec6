package columnar

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
)

// Holder is what a storage.Series may offer beside Decoder.
type Holder interface {
	// Memory accounts for what is held of its query until that lets its series go; nil for nobody who counts.
	Memory() model.Memory
}

const sampleBytes = 16

// meter bounds what the parts of one query hold in memory, in samples of 16 bytes as the engine counts them. What it counts the storage's memory
// has to have room for too, if there is one; what is never released goes with the query. Safe for concurrent use.
type meter struct {
	limit      int64
	held, peak atomic.Int64
	memory     atomic.Pointer[model.Memory]
}

// use makes the meter take what it counts from the memory that the series offers. All series of a query offer the same.
func (m *meter) use(s storage.Series) {
	if m.memory.Load() != nil {
		return
	}
	if h, ok := s.(Holder); ok {
		if memory := h.Memory(); memory != nil {
			m.memory.CompareAndSwap(nil, &memory)
		}
	}
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
		m.held.Add(-n)
		return promql.ErrTooManySamples(whileExecuting)
	}
	if err := m.take(n * sampleBytes); err != nil {
		m.held.Add(-n)
		return err
	}
	return nil
}

func (m *meter) release(n int64) {
	m.held.Add(-n)
	m.give(n * sampleBytes)
}

// take is for what the engine does not count.
func (m *meter) take(bytes int64) error {
	if memory := m.memory.Load(); memory != nil {
		return (*memory).Take(bytes)
	}
	return nil
}

func (m *meter) give(bytes int64) {
	if memory := m.memory.Load(); memory != nil {
		(*memory).Give(bytes)
	}
}
