package blocks

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/model"
)

// series is one series of a selection. It implements model.Series.
type series struct {
	sel    *selection
	labels labels.Labels
	refs   []native.ChunkRef
	pages  []*chunkPage // of its group; nil where no series needs the page
	bare   bool         // labels only
}

func (s *series) Labels() labels.Labels { return s.labels }

// Samples implements model.Series.
func (s *series) Samples(dst *model.Columns, r model.TimeRange) error {
	if s.bare {
		return fmt.Errorf("block %s: samples of a selection of labels: %w", s.sel.key, model.ErrInvalid)
	}
	return s.samples(dst, r.Intersect(s.sel.rng))
}

// Before implements model.Preceded: it knows the chunks that were read.
func (s *series) Before(dst *model.Columns, t int64) error {
	if s.bare || len(s.refs) == 0 {
		return nil
	}
	var c model.Columns
	if err := s.samples(&c, model.TimeRange{MinMs: math.MinInt64, MaxMs: t - 1}); err != nil {
		return err
	}
	appendLast(dst, &c)
	return nil
}

// appendLast appends the last sample of c, if there is one.
func appendLast(dst, c *model.Columns) {
	if n := c.Len(); n > 0 {
		dst.AppendAt(c, n-1)
	}
}

// samples appends what the chunks that were read have in the range.
func (s *series) samples(dst *model.Columns, r model.TimeRange) error {
	if r.Empty() {
		return nil
	}
	scratch := s.sel.scratch()
	defer s.sel.scratches.Put(scratch)
	start := len(dst.T)
	for _, ref := range s.refs {
		if ref.Inline && !r.Overlaps(model.TimeRange{MinMs: ref.MinT, MaxMs: ref.MaxT}) {
			continue
		}
		p := s.pages[ref.Page]
		if err := s.decode(dst, start, r, ref, p, scratch); err != nil {
			s.sel.warm.distrust(err)
			return corruptAt(s.sel.key, p.ref.Offset, err)
		}
	}
	return s.sel.holdRuns()
}

// decode appends the samples of one chunk; those of the chunks before begin at start.
func (s *series) decode(dst *model.Columns, start int, r model.TimeRange, ref native.ChunkRef, p *chunkPage, scratch *scratch) error {
	var t []int64
	var err error
	if !ref.Inline {
		if t, err = s.sel.runs.times(int(ref.Run), scratch); err != nil {
			return err
		}
		if lo, hi := within(t, r); lo >= hi {
			return nil
		}
	}
	parsed, err := s.sel.acquire(p)
	if err != nil {
		return err
	}
	defer s.sel.release(p)
	if ref.Inline {
		if t, err = inlineTimes(parsed, ref, scratch); err != nil {
			return err
		}
	}
	b, err := parsed.Chunk(int(ref.Chunk))
	if err != nil {
		return err
	}
	lo, hi := within(t, r)
	if n := len(dst.T); n > start && lo < hi && t[lo] <= dst.T[n-1] {
		return fmt.Errorf("chunk begins at %d, before the end of the one before: %w", t[lo], model.ErrCorrupt)
	}
	return appendChunk(dst, t, b, lo, hi, scratch)
}

func inlineTimes(p *native.ChunkPage, ref native.ChunkRef, scratch *scratch) ([]int64, error) {
	run, err := p.Run(int(ref.Run))
	if err != nil {
		return nil, err
	}
	scratch.t, err = chunk.DecodeRun(scratch.t[:0], run)
	if err != nil {
		return nil, err
	}
	if t := scratch.t; t[0] != ref.MinT || t[len(t)-1] != ref.MaxT {
		return nil, fmt.Errorf("run from %d to %d, locator says %d to %d: %w", t[0], t[len(t)-1], ref.MinT, ref.MaxT, model.ErrCorrupt)
	}
	return scratch.t, nil
}

// within returns the indexes [lo, hi) of the timestamps in the range.
func within(t []int64, r model.TimeRange) (lo, hi int) {
	if t[0] >= r.MinMs && t[len(t)-1] <= r.MaxMs {
		return 0, len(t)
	}
	lo = sort.Search(len(t), func(i int) bool { return t[i] >= r.MinMs })
	hi = lo + sort.Search(len(t)-lo, func(i int) bool { return t[lo+i] > r.MaxMs })
	return lo, hi
}

// appendChunk appends the samples [lo, hi) of chunk b with timestamps t.
func appendChunk(dst *model.Columns, t []int64, b []byte, lo, hi int, scratch *scratch) error {
	if lo == 0 && hi == len(t) {
		v, h, err := chunk.Decode(dst.V, dst.H, b, len(t))
		if err != nil {
			return err
		}
		dst.T, dst.V, dst.H = append(dst.T, t...), v, h
		return nil
	}
	v, h, err := chunk.Decode(scratch.v[:0], nil, b, len(t))
	if err != nil {
		return err
	}
	scratch.v = v
	if h != nil && dst.H == nil && slices.ContainsFunc(h[lo:hi], func(x []byte) bool { return x != nil }) {
		dst.H = make([][]byte, len(dst.T), len(dst.T)+hi-lo)
	}
	switch {
	case dst.H != nil && h != nil:
		dst.H = append(dst.H, h[lo:hi]...)
	case dst.H != nil:
		dst.H = append(dst.H, make([][]byte, hi-lo)...)
	}
	dst.T, dst.V = append(dst.T, t[lo:hi]...), append(dst.V, v[lo:hi]...)
	return nil
}
