package prom

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	tsdbindex "github.com/prometheus/prometheus/tsdb/index"
	"github.com/prometheus/prometheus/tsdb/tombstones"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/model"
)

// tsdbBlock is a block of Prometheus. Safe for concurrent use.
type tsdbBlock struct {
	dir        string
	meta       tsdb.BlockMeta
	block      *tsdb.Block
	index      tsdb.IndexReader
	chunks     tsdb.ChunkReader
	tombstones tombstones.Reader
	skips      *migrate.Skips
}

func newTSDBBlock(b *tsdb.Block, dir string, skips *migrate.Skips) (*tsdbBlock, error) {
	t := &tsdbBlock{dir: dir, meta: b.Meta(), block: b, skips: skips}
	var err error
	if t.index, err = b.Index(); err != nil {
		return nil, err
	}
	if t.chunks, err = b.Chunks(); err != nil {
		return nil, errors.Join(err, t.index.Close())
	}
	if t.tombstones, err = b.Tombstones(); err != nil {
		return nil, errors.Join(err, t.index.Close(), t.chunks.Close())
	}
	return t, nil
}

func (b *tsdbBlock) close() error {
	return errors.Join(b.tombstones.Close(), b.chunks.Close(), b.index.Close(), b.block.Close())
}

// samples is the range that the block says it has; Prometheus counts the end out.
func (b *tsdbBlock) samples() model.TimeRange {
	return model.TimeRange{MinMs: b.meta.MinTime, MaxMs: max(b.meta.MinTime, b.meta.MaxTime-1)}
}

// extents adds the days of the block, over which it spreads its samples evenly.
func (b *tsdbBlock) extents(r model.TimeRange, at func(model.Day) *migrate.Extent) {
	all := b.samples()
	r = r.Intersect(all)
	if r.Empty() {
		return
	}
	for d := model.DayOf(r.MinMs); d <= model.DayOf(r.MaxMs); d++ {
		part := r.Intersect(d.Range())
		e := at(d)
		e.Samples += int64(float64(b.meta.Stats.NumSamples) * float64(part.MaxMs-part.MinMs+1) / float64(all.MaxMs-all.MinMs+1))
		e.Fingerprint += fmt.Sprintf("block %s %d ", b.meta.ULID, b.meta.Stats.NumTombstones)
		// A block that goes on tomorrow has all of today.
		e.Whole = e.Whole || all.MaxMs > d.Range().MaxMs
	}
}

// series are those of the block, metric by metric, of which it holds the labels of one.
func (b *tsdbBlock) series(ctx context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		w := &blockWalk{b: b, r: r, want: want, builder: labels.NewScratchBuilder(16)}
		names, err := b.index.SortedLabelValues(ctx, index.MetricName, nil)
		if err != nil {
			yield(nil, b.corrupt(err))
			return
		}
		// Series without a metric name come first in our order; those are rare.
		if nameless, err := w.nameless(ctx); err != nil || !w.hand(nameless, yield) {
			if err != nil {
				yield(nil, b.corrupt(err))
			}
			return
		}
		for _, name := range names {
			p, err := b.index.Postings(ctx, index.MetricName, name)
			if err == nil && ctx.Err() != nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, b.corrupt(err))
				return
			}
			found, err := w.find(p)
			if err != nil {
				yield(nil, b.corrupt(err))
				return
			}
			if !w.hand(found, yield) {
				return
			}
		}
	}
}

// corrupt names the block in an error. An index that cannot be read ends the job: what the block lacks would not be known.
func (b *tsdbBlock) corrupt(err error) error {
	return fmt.Errorf("read index of %s: %w", b.dir, err)
}

// blockWalk goes through a block for one reader.
type blockWalk struct {
	b       *tsdbBlock
	r       model.TimeRange
	want    migrate.Want
	builder labels.ScratchBuilder
	chunks  []chunks.Meta
	decode  promchunk.Decoder
}

// found is a series of the block that is wanted.
type found struct {
	ref storage.SeriesRef
	ls  labels.Labels
}

// find are the wanted series among the postings, in order.
func (w *blockWalk) find(p tsdbindex.Postings) ([]found, error) {
	var out []found
	sorted := true
	for p.Next() {
		if err := w.b.index.Series(p.At(), &w.builder, &w.chunks); err != nil {
			err = w.b.skips.Add(migrate.Skip{Kind: "series", Where: w.b.dir + "/index", Offset: int64(p.At()) * 16, Reason: err.Error()})
			if err != nil {
				return nil, err
			}
			continue
		}
		if !w.overlaps() {
			continue
		}
		ls := w.builder.Labels()
		if !w.want(ls) {
			continue
		}
		if n := len(out); n > 0 && labels.Compare(out[n-1].ls, ls) >= 0 {
			sorted = false
		}
		out = append(out, found{p.At(), ls})
	}
	if !sorted {
		slices.SortFunc(out, func(a, b found) int { return labels.Compare(a.ls, b.ls) })
	}
	return out, p.Err()
}

func (w *blockWalk) overlaps() bool {
	return slices.ContainsFunc(w.chunks, func(c chunks.Meta) bool { return c.MinTime <= w.r.MaxMs && c.MaxTime >= w.r.MinMs })
}

// nameless are the wanted series that have no metric name.
func (w *blockWalk) nameless(ctx context.Context) ([]found, error) {
	key, value := tsdbindex.AllPostingsKey()
	all, err := w.b.index.Postings(ctx, key, value)
	if err != nil {
		return nil, err
	}
	named := w.b.index.PostingsForAllLabelValues(ctx, index.MetricName)
	return w.find(tsdbindex.Without(all, named))
}

// hand yields the series that were found; false ends it all.
func (w *blockWalk) hand(series []found, yield func(model.Series, error) bool) bool {
	for i := range series {
		if !yield(&blockSeries{w: w, found: series[i]}, nil) {
			return false
		}
	}
	return true
}

// blockSeries is a series of a block. For the goroutine of its walk.
type blockSeries struct {
	w *blockWalk
	found
}

// Labels implements model.Series.
func (s *blockSeries) Labels() labels.Labels { return s.ls }

// Samples implements model.Series.
func (s *blockSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	w := s.w
	r = r.Intersect(w.r)
	if err := w.b.index.Series(s.ref, &w.builder, &w.chunks); err != nil {
		return w.b.corrupt(err)
	}
	deleted, err := w.b.tombstones.Get(s.ref)
	if err != nil {
		return fmt.Errorf("read tombstones of %s: %w", w.b.dir, err)
	}
	for _, m := range w.chunks {
		if m.MinTime > r.MaxMs || m.MaxTime < r.MinMs {
			continue
		}
		if err := w.chunk(dst, m, r, deleted); err != nil {
			return err
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
		Kind: "chunk", Where: fmt.Sprintf("%s/chunks/%06d", strings.TrimRight(w.b.dir, "/"), segment+1), Offset: int64(offset),
		Reason: fmt.Sprintf("%s: %v", w.series(), err),
	})
}

// series is the series of the chunks as text.
func (w *blockWalk) series() string { return fmt.Sprintf("%.200s", w.builder.Labels()) }
