package blocks

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/model"
)

// runState says whether a run has timestamps in the query's range.
type runState uint8

const (
	runUnknown runState = iota
	runInside
	runOutside
)

// keptTimes bounds the decoded timestamps that a block's runs keep.
const keptTimes = 1 << 20

// runTable is the section of runs of a block. Runs are decoded when they are first asked for, and kept so. Safe for concurrent use.
type runTable struct {
	runs    [][]byte // encoded
	pages   []native.RunPage
	encoded int64
	decoded []atomic.Pointer[[]int64]
	kept    atomic.Int64 // timestamps that are kept decoded
	// charged is how many bytes the cache takes it for.
	charged atomic.Int64
}

func newRunTable(section []byte) (t *runTable, offset int64, err error) {
	runs, pages, at, err := native.ParseRuns(section)
	if err != nil {
		return nil, at, err
	}
	t = &runTable{runs: runs, pages: pages, decoded: make([]atomic.Pointer[[]int64], len(runs))}
	for _, r := range runs {
		t.encoded += int64(len(r))
	}
	return t, 0, nil
}

// bytes is what the table takes in memory now, roughly.
func (t *runTable) bytes() int64 {
	return headerBytes + t.encoded + int64(len(t.runs))*(24+8+16) + 8*t.kept.Load()
}

// times returns the timestamps of run i, in kept memory or in scratch.
func (t *runTable) times(i int, scratch *scratch) ([]int64, error) {
	if t == nil || i >= len(t.runs) {
		return nil, fmt.Errorf("run %d of %d: %w", i, t.len(), model.ErrCorrupt)
	}
	if at := t.decoded[i].Load(); at != nil {
		return *at, nil
	}
	at, err := chunk.DecodeRun(scratch.t[:0], t.runs[i])
	if err != nil {
		return nil, err
	}
	scratch.t = at
	n := int64(len(at))
	if t.kept.Add(n) > keptTimes {
		t.kept.Add(-n)
		return at, nil
	}
	kept := slices.Clone(at)
	if !t.decoded[i].CompareAndSwap(nil, &kept) {
		t.kept.Add(-n) // somebody else was faster
	}
	return at, nil
}

func (t *runTable) len() int {
	if t == nil {
		return 0
	}
	return len(t.runs)
}

func (s *selector) parseRuns(b []byte) error {
	t, at, err := newRunTable(b)
	if err != nil {
		return corruptAt(s.key, s.m.Runs.Offset+at, err)
	}
	s.useRuns(t)
	return s.held.take(t.bytes())
}

// useRuns begins to work with the runs; nil is none.
func (s *selector) useRuns(t *runTable) {
	s.sel.runs, s.state = t, make([]runState, t.len())
	if t != nil {
		s.sel.kept.Store(t.kept.Load())
	}
}

// neededRuns is the length of the pages that hold a run of a selected chunk.
func (s *selector) neededRuns() (bytes int64) {
	if s.sel.runs == nil {
		return 0
	}
	used := make([]bool, s.sel.runs.len())
	for _, x := range s.sel.series {
		for _, ref := range x.refs {
			if !ref.Inline && int(ref.Run) < len(used) {
				used[ref.Run] = true
			}
		}
	}
	from := 0
	for _, p := range s.sel.runs.pages {
		if slices.Contains(used[from:p.End], true) {
			bytes += p.Length
		}
		from = p.End
	}
	return bytes
}

// inRange returns the chunks that can have samples in the query's range. They are a contiguous part of refs, but for runs with
// gaps as long as the range, which Samples passes over.
func (s *selector) inRange(refs []native.ChunkRef) ([]native.ChunkRef, error) {
	if s.covers() {
		return refs, nil
	}
	from, to := -1, 0
	for i, ref := range refs {
		in := s.rng.Overlaps(model.TimeRange{MinMs: ref.MinT, MaxMs: ref.MaxT})
		if !ref.Inline {
			var err error
			if in, err = s.runInRange(int(ref.Run)); err != nil {
				return nil, err
			}
		}
		if in {
			if from < 0 {
				from = i
			}
			to = i + 1
		}
	}
	if from < 0 {
		return nil, nil
	}
	return refs[from:to], nil
}

func (s *selector) runInRange(i int) (bool, error) {
	if i >= len(s.state) {
		return false, fmt.Errorf("run %d of %d: %w", i, len(s.state), model.ErrCorrupt)
	}
	if s.state[i] == runUnknown {
		scratch := s.sel.scratch()
		defer s.sel.scratches.Put(scratch)
		t, err := s.sel.runs.times(i, scratch)
		if err != nil {
			return false, err
		}
		s.state[i] = runOutside
		if lo, hi := within(t, s.rng); lo < hi {
			s.state[i] = runInside
		}
	}
	return s.state[i] == runInside, nil
}
