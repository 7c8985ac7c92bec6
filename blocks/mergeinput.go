package blocks

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/blocks/native"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// mergeInput is one block of a merge, at one of its series. Chunk pages follow one another in the order of the series that use
// them, so both sections are read from front to back and nothing is ever looked for.
type mergeInput struct {
	seriesWalk
	chunks stream

	group *native.Group
	// The open chunk page: its number in the group, -1 before the first.
	open   int
	raw    []byte
	chunk  *native.ChunkPage
	places scratch

	runs  [][]byte
	times [][]int64 // decoded runs, as far as keep allows
	keep  int       // timestamps
}

// shares are the parts of the budget for reading that windows of chunks, windows of series pages and decoded timestamps get, of 8.
// Two windows are held of each.
const (
	chunkShare  = 2
	seriesShare = 1
	timesShare  = 2
)

func newMergeInput(r RangeReader, m *Meta, priority int, budget int64, sequential bool) *mergeInput {
	at := func(s Section, share int64) stream {
		return stream{
			r: r, key: Key(m), window: min(max(budget*share/8, 16<<10), maxWindow), sequential: sequential,
			off: s.Offset, next: s.Offset, end: s.End(),
		}
	}
	return &mergeInput{
		seriesWalk: seriesWalk{m: m, priority: priority, series: at(m.SeriesPages, seriesShare)},
		chunks:     at(m.Chunks, chunkShare), open: -1, keep: int(budget * timesShare / 8 / 8),
	}
}

// maxWindow bounds one request of a stream.
const maxWindow = 4 << 20

// fetchFirst reads the runs and the first windows with one call.
func (in *mergeInput) fetchFirst(ctx context.Context) error {
	if in.m.Format != Native {
		return fmt.Errorf("format %d: %w", in.m.Format, model.ErrVersion)
	}
	first := func(s *stream) blob.Range { return blob.Range{Offset: s.off, Length: min(s.window, s.end-s.off)} }
	ranges := []blob.Range{first(&in.chunks), blob.Range(in.m.Runs), first(&in.series)}
	data, err := readRanges(ctx, in.series.r, in.series.key, ranges)
	if err != nil {
		return err
	}
	in.chunks.have, in.chunks.next = data[0], in.chunks.off+int64(len(data[0]))
	in.series.have, in.series.next = data[2], in.series.off+int64(len(data[2]))
	runs, _, at, err := native.ParseRuns(data[1])
	if err != nil {
		return corruptAt(in.series.key, in.m.Runs.Offset+at, err)
	}
	in.runs, in.times = runs, make([][]int64, len(runs))
	return nil
}

// begin sends for the second windows and goes to the first series.
func (in *mergeInput) begin(ctx context.Context) (bool, error) {
	in.series.prefetch(ctx)
	in.chunks.prefetch(ctx)
	return in.next(ctx)
}

func (in *mergeInput) next(ctx context.Context) (bool, error) { return in.walk(ctx, in.nextPage) }

func (in *mergeInput) nextPage(ctx context.Context) error { return in.openPage(ctx, in.locate) }

// locate goes to the chunk pages of a series page, which begin where those before end.
func (in *mergeInput) locate(p *index.Page) (err error) {
	if in.group, err = native.Locate(p, native.Section(in.m.Chunks)); err != nil {
		return err
	}
	if in.group.Pages[0].Offset != in.chunks.off {
		return fmt.Errorf("chunk pages begin at %d, those before end at %d: %w", in.group.Pages[0].Offset, in.chunks.off, model.ErrCorrupt)
	}
	in.open = -1
	return nil
}

// samples appends all samples of the series to dst. It is called once for each series.
func (in *mergeInput) samples(ctx context.Context, dst *model.Columns) error {
	start := len(dst.T)
	for _, ref := range in.group.Of(in.page.Place()) {
		for in.open < int(ref.Page) {
			if err := in.nextChunkPage(ctx); err != nil {
				return err
			}
		}
		if err := in.decode(dst, start, ref); err != nil {
			return corruptAt(in.chunks.key, in.group.Pages[ref.Page].Offset, err)
		}
	}
	in.readSamples += int64(len(dst.T) - start)
	return nil
}

func (in *mergeInput) nextChunkPage(ctx context.Context) error {
	at := in.chunks.off
	b, err := in.chunks.page(ctx)
	if err != nil {
		return err
	}
	in.open++
	if ref := in.group.Pages[in.open]; ref.Offset != at || ref.Length != int64(len(b)) {
		return corruptAt(in.chunks.key, at, fmt.Errorf("chunk page of %d bytes, its series page says %d at %d: %w", len(b), ref.Length, ref.Offset, model.ErrCorrupt))
	}
	raw, _, err := page.Decode(in.raw, b, page.Chunks)
	if err == nil {
		in.raw = raw
		in.chunk, err = native.ParseChunkPage(raw)
	}
	if err != nil {
		return corruptAt(in.chunks.key, at, err)
	}
	return nil
}

func (in *mergeInput) decode(dst *model.Columns, start int, ref native.ChunkRef) error {
	var t []int64
	var err error
	if ref.Inline {
		t, err = inlineTimes(in.chunk, ref, &in.places)
	} else {
		t, err = in.runTimes(int(ref.Run))
	}
	if err != nil {
		return err
	}
	if n := len(dst.T); n > start && t[0] <= dst.T[n-1] {
		return fmt.Errorf("chunk begins at %d, before the end of the one before: %w", t[0], model.ErrCorrupt)
	}
	b, err := in.chunk.Chunk(int(ref.Chunk))
	if err != nil {
		return err
	}
	return appendChunk(dst, t, b, 0, len(t), &in.places)
}

func (in *mergeInput) runTimes(i int) ([]int64, error) {
	if i >= len(in.runs) {
		return nil, fmt.Errorf("run %d of %d: %w", i, len(in.runs), model.ErrCorrupt)
	}
	if t := in.times[i]; t != nil {
		return t, nil
	}
	t, err := chunk.DecodeRun(in.places.t[:0], in.runs[i])
	if err != nil {
		return nil, err
	}
	if len(t) <= in.keep {
		in.keep -= len(t)
		in.times[i], in.places.t = t, nil
		return t, nil
	}
	in.places.t = t
	return t, nil
}

func (in *mergeInput) close() {
	in.series.close()
	in.chunks.close()
}

// read is how many bytes of the sections were used.
func (in *mergeInput) read() int64 {
	return in.series.off - in.m.SeriesPages.Offset + in.chunks.off - in.m.Chunks.Offset
}
