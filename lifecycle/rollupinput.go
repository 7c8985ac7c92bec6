package lifecycle

import (
	"cmp"
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/rollup"
)

// rollInput streams the series of a day in the order of blocks, each with its windows. It reads the raw blocks merged; where old rollups count, also
// those, and once more the raw blocks that are in them, to tell what they have from what is new.
type rollInput struct {
	all, rolled *rawStream
	old         [len(rollupFormats)]oldStream
	streams     []series

	labels   labels.Labels
	combiner rollup.Combiner
	out      model.Rollup
}

// defaultReadBytes is Config.ReadBytes by default.
const defaultReadBytes = 32 << 20

func newRollInput(ctx context.Context, j *rollJob) *rollInput {
	in := &rollInput{}
	options := func(share int64) *blocks.MergeOptions {
		return &blocks.MergeOptions{ReadBytes: cmp.Or(j.l.cfg.ReadBytes, defaultReadBytes) / share, Sequential: j.l.cfg.Sequential}
	}
	if !j.roll.Keep {
		in.all = newRawStream(ctx, j, options(1), func(int) bool { return true })
		in.streams = []series{in.all}
		return in
	}
	in.all = newRawStream(ctx, j, options(2), func(int) bool { return true })
	in.rolled = newRawStream(ctx, j, options(4), func(i int) bool { return j.roll.Inputs[i].Rolled })
	in.streams = []series{in.all, in.rolled}
	for i, f := range rollupFormats {
		for k, m := range j.old {
			if m.Format == f {
				r := blocks.NewRollupReader(ctx, blocks.Stored{Bucket: j.l.c.Bucket}, m, j.oldMasks[k], options(int64(4*len(j.old))))
				in.old[i].readers = append(in.old[i].readers, &oldReader{r: r, id: m.ID})
			}
		}
		in.streams = append(in.streams, &in.old[i])
	}
	return in
}

// next goes to the next series.
func (in *rollInput) next() (bool, error) {
	found := false
	for _, s := range in.streams {
		ls, ok, err := s.peek()
		if err != nil {
			return false, err
		}
		if ok && (!found || index.Less(ls, in.labels)) {
			in.labels, found = ls, true
		}
	}
	for _, s := range in.streams {
		s.take(in.labels, found)
	}
	return found, nil
}

// windows returns those of the series at hand in one of the formats, valid until the next call.
func (in *rollInput) windows(format int, resolutionMs int64) *model.Rollup {
	in.out.Reset()
	if in.rolled == nil {
		rollup.Append(&in.out, in.all.taken, resolutionMs)
	} else {
		in.combiner.Combine(&in.out, in.old[format].taken, in.all.taken, in.rolled.taken, resolutionMs)
	}
	return &in.out
}

func (in *rollInput) progress() (done, total int64) { return in.all.m.Progress() }

func (in *rollInput) samples() int64 {
	read, _ := in.all.m.Samples()
	return read
}

func (in *rollInput) close() {
	in.all.close()
	if in.rolled != nil {
		in.rolled.close()
	}
	for i := range in.old {
		for _, r := range in.old[i].readers {
			r.r.Close()
		}
	}
}

// series is a stream of series in the order of blocks.
type series interface {
	// peek returns the labels of the next series; ok is false at the end.
	peek() (ls labels.Labels, ok bool, err error)
	// take makes the next series that at hand if it has the labels and there is one, and else none.
	take(ls labels.Labels, there bool)
}

// rawStream are raw blocks, merged.
type rawStream struct {
	m    *blocks.Merger
	pull func() (blocks.BuildSeries, error, bool)
	stop func()

	at    blocks.BuildSeries
	ready bool
	ended bool
	// taken are the samples of the series at hand; empty if it has none here.
	taken *model.Columns
	none  model.Columns
}

func newRawStream(ctx context.Context, j *rollJob, opts *blocks.MergeOptions, with func(i int) bool) *rawStream {
	var metas []*blocks.Meta
	for i, m := range j.inputs {
		if with(i) {
			metas, opts.Masks = append(metas, m), append(opts.Masks, j.masks[i])
		}
	}
	s := &rawStream{m: blocks.NewMerger(blocks.Stored{Bucket: j.l.c.Bucket}, metas, opts)}
	s.pull, s.stop = iter.Pull2(s.m.Series(ctx, func() bool { return true }))
	return s
}

func (s *rawStream) peek() (labels.Labels, bool, error) {
	for !s.ready && !s.ended {
		at, err, ok := s.pull()
		if err != nil {
			return labels.EmptyLabels(), false, err
		}
		// Exemplars and metadata are not rolled up.
		s.at, s.ready, s.ended = at, ok && !model.Reserved(at.Labels), !ok
	}
	return s.at.Labels, s.ready, nil
}

func (s *rawStream) take(ls labels.Labels, there bool) {
	s.taken = &s.none
	if there && s.ready && labels.Equal(s.at.Labels, ls) {
		s.taken, s.ready = s.at.Columns, false
	}
}

func (s *rawStream) close() {
	s.stop()
	s.m.Close()
}

// oldStream are the rollup blocks of one resolution. They have different series, and are few.
type oldStream struct {
	readers []*oldReader
	least   *oldReader
	taken   *model.Rollup
	none    model.Rollup
}

type oldReader struct {
	r            *blocks.RollupReader
	id           string
	ready, ended bool
}

func (s *oldStream) peek() (ls labels.Labels, ok bool, err error) {
	s.least = nil
	for _, r := range s.readers {
		if !r.ready && !r.ended {
			r.ready = r.r.Next()
			r.ended = !r.ready
			if err := r.r.Err(); err != nil {
				return ls, false, inputError(r.id, err)
			}
		}
		if r.ready && (s.least == nil || index.Less(r.r.Labels(), s.least.r.Labels())) {
			s.least = r
		}
	}
	if s.least == nil {
		return ls, false, nil
	}
	return s.least.r.Labels(), true, nil
}

func (s *oldStream) take(ls labels.Labels, there bool) {
	s.taken = &s.none
	if there && s.least != nil && labels.Equal(s.least.r.Labels(), ls) {
		s.taken, s.least.ready = s.least.r.Rollup(), false
	}
}
