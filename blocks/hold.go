package blocks

import (
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// held is what one selection holds of the memory of its query. Caches are on another account: what they have is not counted again, but what
// is read past them is, even if they keep it too, since they may drop it first. Safe for concurrent use.
type held struct {
	memory model.Memory
	bytes  atomic.Int64
}

func (h *held) take(n int64) error {
	if err := h.memory.Take(n); err != nil {
		return err
	}
	h.bytes.Add(n)
	return nil
}

func (h *held) give(n int64) {
	h.bytes.Add(-n)
	h.memory.Give(n)
}

// close gives back all that is left.
func (h *held) close() { h.memory.Give(h.bytes.Swap(0)) }

// What series of a selection take, besides the text of labels and the references to chunks.
const (
	seriesBytes  = 128
	rowPartBytes = 24
)

// takeFetch takes the memory for ranges that no cache has, and says how much that is for the first n of them.
func (s *selector) takeFetch(ranges []blob.Range, n int) (first int64, err error) {
	if _, ok := s.r.(Bytes); ok {
		return 0, nil // it is there already
	}
	total := int64(0)
	for i, r := range ranges {
		if s.warm.has(r) {
			continue
		}
		total += r.Length
		if i < n {
			first += r.Length
		}
	}
	return first, s.held.take(total)
}

// takeSeries takes the memory of what was selected.
func (s *selector) takeSeries() error {
	total := int64(0)
	for _, x := range s.sel.series {
		total += seriesBytes + int64(len(x.refs))*chunkRefBytes + textBytes(x.labels)
	}
	return s.held.take(total)
}

func (s *rowSelector) takeSeries() error {
	total := int64(0)
	for _, x := range s.rows.series {
		total += seriesBytes + int64(len(x.parts))*rowPartBytes + textBytes(x.labels)
	}
	return s.held.take(total)
}

func textBytes(ls labels.Labels) int64 { return int64(ls.ByteSize()) }

// holdRuns takes the memory of the timestamps that were decoded since the last call, which the table keeps. Selections that share a table
// may each count them: nobody knows whether the cache will keep it.
func (s *selection) holdRuns() error {
	if s.runs == nil {
		return nil
	}
	now, before := s.runs.kept.Load(), s.kept.Load()
	if now <= before || !s.kept.CompareAndSwap(before, now) {
		return nil
	}
	return s.held.take(8 * (now - before))
}
