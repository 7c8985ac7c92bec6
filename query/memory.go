package query

import (
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query/columnar"
)

// What things take in memory, roughly.
const (
	// sourceSeriesBytes is a series of a source, besides its labels.
	sourceSeriesBytes = 256
	// walkedBytes is what the engine keeps of a series until the query ends, besides the points that it makes of it: 16 bytes each.
	walkedBytes = 256
	pointBytes  = 16
	// logExpansion is how much larger a log is when it is decoded.
	logExpansion = 4
)

// charge takes the memory of what a source answered until it is closed, or closes it.
func (q *querier) charge(sel *model.Selection) error {
	if q.memory == nil {
		return nil
	}
	n := int64(0)
	for _, s := range sel.Series {
		n += sourceSeriesBytes + int64(s.Labels().ByteSize())
		if whole, ok := s.(interface{ MemoryBytes() int64 }); ok {
			n += whole.MemoryBytes()
		}
	}
	if err := q.memory.Take(n); err != nil {
		sel.Close()
		return err
	}
	release := sel.Release
	sel.Release = func() {
		if release != nil {
			release()
		}
		q.memory.Give(n)
	}
	return nil
}

// nameBytes is what names take in a list and in a set.
func nameBytes(names []string) (n int64) {
	for _, s := range names {
		n += 64 + int64(len(s))
	}
	return n
}

// pointsOf is how many points the engine makes of each series that it selects with the hints: it has room for one a step. What the first step looks back at
// is selected before it, and makes none.
func pointsOf(h *storage.SelectHints, lookbackMs int64) int64 {
	reachMs := h.Range
	if reachMs <= 0 {
		reachMs = lookbackMs
	}
	stepsMs := h.End - h.Start - reachMs + 1 // what lies a whole reach before a step is not looked at
	if h.Step <= 0 || stepsMs < 0 {
		return 1
	}
	return stepsMs/h.Step + 1
}

// walked counts the samples of a series that is read by an iterator, as the engine does, and takes the memory for what it makes of it. The engine
// lets that go at the end of the query, so nothing is given back before.
func (s *series) walked(samples int) error {
	if err := s.q.decoded(samples); err != nil {
		return err
	}
	return s.q.memory.Take(walkedBytes + int64(len(s.parts))*pointBytes + s.points*pointBytes)
}

var _ columnar.Holder = (*series)(nil)

// Memory implements columnar.Holder.
func (s *series) Memory() model.Memory {
	if s.q == nil || s.q.memory == nil {
		return nil
	}
	return s.q.memory
}
