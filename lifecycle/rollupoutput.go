package lifecycle

import (
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// rollOutput are the blocks of one resolution, one after another, each uploaded as it is made.
type rollOutput struct {
	j       *rollJob
	format  blocks.Format
	attempt uint32
	done    []*blocks.Meta

	// The block at work, if build is not nil.
	build  *pushedBuild
	out    *output
	series int64
	metric string
}

// add adds a series, which has no windows if all its samples are stale markers. What it is given is not kept.
func (o *rollOutput) add(ctx context.Context, ls labels.Labels, r *model.Rollup) error {
	if r.Len() == 0 {
		return nil
	}
	metric := ls.Get(index.MetricName)
	if o.build != nil && o.j.l.cfg.Compact.full(o.out.upload.Size(), o.series, metric != o.metric) {
		if err := o.finish(ctx); err != nil {
			return err
		}
	}
	if o.build == nil {
		params := o.j.params(o.format, len(o.done), o.attempt)
		o.out = newOutput(o.j.l.c.Bucket.NewUpload(ctx, blocks.KeyOf(o.j.tenant, o.j.day, params.ID, o.format)))
		o.build, o.series = newPushedBuild(ctx, params, o.out), 0
	}
	o.series, o.metric = o.series+1, metric
	return o.build.add(blocks.BuildSeries{Labels: ls, Rollup: r})
}

// finish ends the block at work.
func (o *rollOutput) finish(ctx context.Context) error {
	if o.build == nil {
		return nil
	}
	meta, err := o.build.finish()
	if err == nil {
		err = o.j.create(ctx, blocks.Key(meta), o.out)
	}
	if err != nil {
		return err // abort follows
	}
	o.done, o.build = append(o.done, meta), nil
	return nil
}

// abort ends a block that is still at work, and its upload.
func (o *rollOutput) abort() {
	if o.build != nil {
		o.build.stop()
		o.out.upload.Abort()
		o.build = nil
	}
}

// pushedBuild is a blocks.Build that is given one series after another instead of asking for them: two at once are fed from one stream. It runs as a
// coroutine of the caller's goroutine.
type pushedBuild struct {
	resume func() (struct{}, bool)
	stop   func()

	next blocks.BuildSeries
	end  bool
	meta *blocks.Meta
	err  error
}

func newPushedBuild(ctx context.Context, params *blocks.Params, out *output) *pushedBuild {
	b := &pushedBuild{}
	b.resume, b.stop = iter.Pull(func(wait func(struct{}) bool) {
		b.meta, b.err = blocks.Build(ctx, params, func(yield func(blocks.BuildSeries, error) bool) {
			for {
				if !wait(struct{}{}) {
					yield(blocks.BuildSeries{}, context.Canceled) // stopped half way
					return
				}
				if b.end || !yield(b.next, nil) {
					return
				}
			}
		}, out)
	})
	b.resume() // to where it waits for the first series
	return b
}

// add gives it a series, with which it is done when add returns.
func (b *pushedBuild) add(s blocks.BuildSeries) error {
	b.next = s
	if _, more := b.resume(); !more {
		return b.err
	}
	return nil
}

// finish ends the block.
func (b *pushedBuild) finish() (*blocks.Meta, error) {
	b.end = true
	b.resume()
	return b.meta, b.err
}
