package prom

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/tombstones"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// Copied is a series of a block that is made of several.
type Copied interface {
	model.Series
	// Copies are those that it is made of, sorted by their names; one name may occur several times. Valid as long as the series.
	Copies() []Copy
}

// Copy is a series of a block under the name that Rename gave the copy.
type Copy struct {
	Name   string
	Series model.Series
}

// blockSeries is a series of a block, made of one or several. For the goroutine of its walk.
type blockSeries struct {
	w      *blockWalk
	parts  []entry
	loaded bool // the walk's chunks are those of the one part
}

// Labels implements model.Series.
func (s *blockSeries) Labels() labels.Labels { return s.parts[0].ls }

// Samples implements model.Series.
func (s *blockSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	if len(s.parts) == 1 {
		return s.w.samples(dst, r, &s.parts[0], s.loaded)
	}
	parts := make([]model.Series, len(s.parts))
	for i, c := range s.Copies() {
		parts[i] = c.Series
	}
	return spill.Union(parts, spill.LastWins).Samples(dst, r)
}

// Copies implements Copied.
func (s *blockSeries) Copies() []Copy {
	out := make([]Copy, len(s.parts))
	for i, e := range s.parts {
		out[i] = Copy{Name: e.replica, Series: &blockSeries{w: s.w, parts: s.parts[i : i+1], loaded: s.loaded}}
	}
	return out
}

// samples appends the samples of a series of the block. loaded: it was read last.
func (w *blockWalk) samples(dst *model.Columns, r model.TimeRange, e *entry, loaded bool) error {
	r = r.Intersect(w.r)
	if !loaded {
		if err := w.b.index.Series(e.ref, &w.builder, &w.chunks); err != nil {
			return w.b.corrupt(err)
		}
	}
	deleted, err := w.b.tombstones.Get(e.ref)
	if err != nil {
		return fmt.Errorf("read tombstones of %s: %w", w.b.name, err)
	}
	// Where another block's samples are in dst, these need not lie behind them: what breaks the order of the series is judged by itself.
	own := dst
	if dst.Len() > 0 {
		w.scratch.Reset()
		own = &w.scratch
	}
	for _, m := range w.chunks {
		if m.MinTime > r.MaxMs || m.MaxTime < r.MinMs {
			continue
		}
		if err := w.chunk(own, m, r, deleted); err != nil {
			return err
		}
	}
	if own != dst {
		for i := range own.T {
			dst.AppendAt(own, i)
		}
	}
	return nil
}

// chunk appends the samples of a chunk, or notes that it cannot be read.
func (w *blockWalk) chunk(dst *model.Columns, m chunks.Meta, r model.TimeRange, deleted tombstones.Intervals) error {
	c, iterable, err := w.b.chunks.ChunkOrIterable(m)
	if err == nil && iterable != nil {
		err = errors.New("it is none of a block")
	}
	if err == nil {
		err = w.decode.Chunk(dst, c, r, deleted)
	}
	if err == nil {
		return nil
	}
	segment, offset := chunks.BlockChunkRef(m.Ref).Unpack()
	return w.b.skips.Add(migrate.Skip{
		Kind: "chunk", Where: fmt.Sprintf("%s/chunks/%06d", strings.TrimRight(w.b.name, "/"), segment+1), Offset: int64(offset),
		Reason: fmt.Sprintf("%.200s: %v", w.builder.Labels(), err),
	})
}
