package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// blocksTarget writes blocks of Prometheus into a directory, those of one day at a time. Each holds the chunks of its series in the order of labels.Compare.
type blocksTarget struct {
	j        *job
	dir      *dirOutput
	stepMs   int64
	day      model.Day
	open     []*blockWriter // of the day, by number; nil has nothing yet
	part     model.Columns  // a view of the series at hand
	files    int
	bytes    int64
	sortEach int64
	// segment is how long files of chunks become, at most.
	segment int64
}

func newBlocksTarget(j *job) (target, error) {
	step := j.cfg.BlockDuration.Milliseconds()
	if step == 0 {
		step = model.MsPerDay
	}
	if step < minBlockMs || step > model.MsPerDay || model.MsPerDay%step != 0 {
		return nil, fmt.Errorf("blocks of %v: want an even part of a day, an hour or more: %w", j.cfg.BlockDuration, model.ErrInvalid)
	}
	if j.cfg.Out == stdout {
		return nil, fmt.Errorf("blocks need a directory: %w", model.ErrInvalid)
	}
	dir, err := j.dir(vfs.OS{}, j.cfg.Out)
	if err != nil {
		return nil, err
	}
	n := model.MsPerDay / step
	return &blocksTarget{j: j, dir: dir, stepMs: step, open: make([]*blockWriter, n), sortEach: j.cfg.SortBytes / n}, nil
}

const (
	// minBlockMs bounds how many blocks of a day are written at one time.
	minBlockMs = 3_600_000
	// chunkSampleBytes is a guess of what a sample takes.
	chunkSampleBytes = 4
	minSegment       = 4 << 20
)

func (b *blocksTarget) begin(e *migrate.Extent) error {
	b.day = e.Day
	// Room for a file of chunks is taken at once, for each block.
	b.segment = min(max(e.Samples*chunkSampleBytes/int64(len(b.open)), minSegment), chunks.DefaultChunkSegmentSize)
	return nil
}

// add cuts the series where blocks end.
func (b *blocksTarget) add(_ context.Context, s *blocks.BuildSeries) error {
	c := s.Columns
	first := b.day.Range().MinMs
	for from := 0; from < len(c.T); {
		n := (c.T[from] - first) / b.stepMs
		to, _ := slices.BinarySearchFunc(c.T, first+(n+1)*b.stepMs, cmp.Compare[int64])
		b.part = model.Columns{T: c.T[from:to], V: c.V[from:to]}
		if c.H != nil {
			b.part.H = c.H[from:to]
		}
		w, err := b.writer(int(n))
		if err != nil {
			return err
		}
		if err := w.add(s.Labels, &b.part); err != nil {
			return fmt.Errorf("write block: %w", err)
		}
		from = to
	}
	return nil
}

func (b *blocksTarget) writer(n int) (*blockWriter, error) {
	if b.open[n] != nil {
		return b.open[n], nil
	}
	id, err := ulid.New(ulid.Timestamp(b.j.c.Now()), b.j.c.Rand)
	if err != nil {
		return nil, fmt.Errorf("make id of block: %w", err)
	}
	w, err := newBlockWriter(b.dir.tmp, id, b.j, b.sortEach, b.segment)
	b.open[n] = w
	return w, err
}

// end completes the blocks of the day.
func (b *blocksTarget) end(ctx context.Context) error {
	for _, w := range b.open {
		if w == nil {
			continue
		}
		if err := w.endChunks(); err != nil {
			return fmt.Errorf("write block: %w", err)
		}
	}
	for n, w := range b.open {
		if w == nil {
			continue
		}
		size, err := w.finish(ctx)
		if err != nil {
			return fmt.Errorf("write block: %w", err)
		}
		b.open[n] = nil
		if size > 0 {
			b.files++
			b.bytes += size
		}
	}
	return nil
}

func (b *blocksTarget) finish(context.Context) (int, int64, error) {
	return b.files, b.bytes, b.dir.finish()
}

func (b *blocksTarget) abort() error {
	var errs []error
	for n, w := range b.open {
		if w != nil {
			errs = append(errs, w.close())
			b.open[n] = nil
		}
	}
	return errors.Join(append(errs, b.dir.abort())...)
}
