package prom

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tombstones"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// Block is a block of Prometheus in a directory. Safe for concurrent use. Whoever opened it closes it, when no sequence of it is in use.
type Block struct {
	name       string
	opts       BlockOptions
	meta       tsdb.BlockMeta
	block      *tsdb.Block
	index      tsdb.IndexReader
	chunks     tsdb.ChunkReader
	tombstones tombstones.Reader
	skips      *migrate.Skips
	runSeries  int // see renamed
}

// BlockOptions are the tunables of OpenBlock; nil means defaults.
type BlockOptions struct {
	// Name is what the block is called in errors and skips. Default the directory.
	Name string
	// Rename gives series other labels. Default they keep theirs.
	Rename Rename
}

// Rename gives a series the labels under which matchers see it and those under which it is taken over, which may be the same for several series of a block: copies of one series,
// which are told apart by the name of the copy. The metric name is the same in all of them. Safe for concurrent use.
type Rename func(ls labels.Labels) (seen, taken labels.Labels, replica string)

// OpenBlock opens the block in the directory, for series that are sorted by what Rename calls them. What is found to be damaged later goes to skips.
func OpenBlock(dir string, skips *migrate.Skips, o *BlockOptions) (*Block, error) {
	b := &Block{name: dir, skips: skips, runSeries: runSeries}
	if o != nil {
		b.opts = *o
	}
	if b.opts.Name != "" {
		b.name = b.opts.Name
	}
	opened, err := openBlock(dir)
	if err != nil {
		return nil, err
	}
	b.block, b.meta = opened, opened.Meta()
	if why := BadRange(&b.meta); why != "" {
		return nil, errors.Join(fmt.Errorf("%s: %w", why, model.ErrInvalid), opened.Close())
	}
	if err := b.openReaders(); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return b, nil
}

// openBlock opens the block by Prometheus' code, which panics over some files that are cut, as one of eight bytes for tombstones.
func openBlock(dir string) (b *tsdb.Block, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("open damaged block: %v: %w", p, model.ErrCorrupt)
		}
	}()
	return tsdb.OpenBlock(nil, dir, nil, nil)
}

func (b *Block) openReaders() (err error) {
	if b.index, err = b.block.Index(); err != nil {
		return err
	}
	if b.chunks, err = b.block.Chunks(); err != nil {
		return errors.Join(err, b.index.Close())
	}
	if b.tombstones, err = b.block.Tombstones(); err != nil {
		return errors.Join(err, b.index.Close(), b.chunks.Close())
	}
	return nil
}

// Close unmaps the files.
func (b *Block) Close() error {
	return errors.Join(b.tombstones.Close(), b.chunks.Close(), b.index.Close(), b.block.Close())
}

// Meta is what the block says of itself.
func (b *Block) Meta() tsdb.BlockMeta { return b.meta }

// maxBlockDays bounds what a block may say that it holds.
const maxBlockDays = 1000

// BadRange says what is wrong with the range that a block says it has, or "".
func BadRange(m *tsdb.BlockMeta) string {
	if span := m.MaxTime - m.MinTime; span < 0 || span > maxBlockDays*model.MsPerDay || m.MinTime < model.MinTimeMs || m.MaxTime > model.MaxTimeMs {
		return fmt.Sprintf("it says that its samples lie from %d to %d ms", m.MinTime, m.MaxTime)
	}
	return ""
}

// RangeOf is the range that a block says it has; Prometheus counts the end out.
func RangeOf(m *tsdb.BlockMeta) model.TimeRange {
	return model.TimeRange{MinMs: m.MinTime, MaxMs: max(m.MinTime, m.MaxTime-1)}
}

// Extents adds the days of a block within the range, over which it spreads the samples evenly, and its mark to their fingerprints.
func Extents(m *tsdb.BlockMeta, mark string, r model.TimeRange, at func(model.Day) *migrate.Extent) {
	all := RangeOf(m)
	r = r.Intersect(all)
	if r.Empty() {
		return
	}
	for d := model.DayOf(r.MinMs); d <= model.DayOf(r.MaxMs); d++ {
		e := at(d)
		e.Samples += int64(float64(m.Stats.NumSamples) * share(r.Intersect(d.Range()), all))
		e.Fingerprint += mark
		// A block that goes on tomorrow has all of today.
		e.Whole = e.Whole || all.MaxMs > d.Range().MaxMs
	}
}

func share(part, all model.TimeRange) float64 {
	return float64(part.Length()) / float64(all.Length())
}

// Series are those of the block that are wanted and have chunks in the range, in the order of index.Less, each once; see migrate.Source. One that is made of several implements Copied.
func (b *Block) Series(ctx context.Context, r model.TimeRange, want migrate.Want) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		w := &blockWalk{b: b, r: r, want: want, yield: yield, builder: labels.NewScratchBuilder(16)}
		if err := w.walk(ctx); err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

// corrupt names the block in an error that ends the job: what was readable a moment ago is not.
func (b *Block) corrupt(err error) error {
	return fmt.Errorf("read index of %s: %w", b.name, err)
}
