package blocks

import (
	"fmt"
	"slices"

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

func (s *selector) parseRuns(b []byte) error {
	runs, pages, at, err := native.ParseRuns(b)
	if err != nil {
		return corruptAt(s.key, s.m.Runs.Offset+at, err)
	}
	s.sel.runs, s.sel.decoded = runs, make([][]int64, len(runs))
	s.state = make([]runState, len(runs))
	s.runPages = pages
	return nil
}

// neededRuns is the length of the pages that hold a run of a selected chunk.
func (s *selector) neededRuns() (bytes int64) {
	used := make([]bool, len(s.sel.runs))
	for _, x := range s.sel.series {
		for _, ref := range x.refs {
			if !ref.Inline && int(ref.Run) < len(used) {
				used[ref.Run] = true
			}
		}
	}
	from := 0
	for _, p := range s.runPages {
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
		t, err := s.sel.times(i, scratch)
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
