package query

import (
	"context"
	"errors"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// reads are the blocks that one Select reads, each once. Used by one goroutine.
type reads struct {
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	read   func(context.Context, liveBlock) (*answer, error)
	byKey  map[string]*blockRead
	// partial: a damaged block is left out.
	partial bool
}

type blockRead struct {
	done   chan struct{}
	answer *answer
	err    error
}

func newReads(ctx context.Context, parallel int, read func(context.Context, liveBlock) (*answer, error)) *reads {
	ctx, cancel := context.WithCancel(ctx)
	return &reads{ctx: ctx, cancel: cancel, slots: make(chan struct{}, parallel), read: read, byKey: make(map[string]*blockRead), partial: PartialResponse(ctx)}
}

// start begins to read those of the plan, made from what was read in the stage, that were not begun before.
func (r *reads) start(stage int, plan []liveBlock) {
	ctx := blob.AfterStage(r.ctx, stage)
	for _, b := range plan {
		if r.byKey[b.key()] != nil {
			continue
		}
		br := &blockRead{done: make(chan struct{})}
		r.byKey[b.key()] = br
		go func() {
			defer close(br.done)
			select {
			case r.slots <- struct{}{}:
				defer func() { <-r.slots }()
				br.answer, br.err = r.read(ctx, b)
			case <-r.ctx.Done():
				br.err = context.Cause(r.ctx)
			}
		}()
	}
}

// wait waits for the blocks of the plan and returns those that are not there any more.
func (r *reads) wait(plan []liveBlock) (gone map[string]error, err error) {
	for _, b := range plan {
		br := r.byKey[b.key()]
		select {
		case <-br.done:
		case <-r.ctx.Done():
			return nil, context.Cause(r.ctx)
		}
		switch {
		case br.err == nil, r.partial && isDamage(br.err):
		case errors.Is(br.err, model.ErrNotFound):
			if gone == nil {
				gone = make(map[string]error)
			}
			gone[b.key()] = br.err
		default:
			return nil, br.err
		}
	}
	return gone, nil
}

// forget has the blocks begun again at the next start.
func (r *reads) forget(keys map[string]error) {
	for key := range keys {
		delete(r.byKey, key)
	}
}

// end stops what nobody waited for, returns when all reads have ended, and closes the
// answers that were not kept.
func (r *reads) end() {
	r.cancel()
	for _, br := range r.byKey {
		<-br.done
		br.answer.close()
	}
}

// lose has a block count as read though it is not there.
func (r *reads) lose(key string, err error) { r.byKey[key].err = err }

// keep returns the answers of the plan in its order, which are the caller's from now on, and a warning for each block that is left out.
func (r *reads) keep(plan []liveBlock) (answers []*answer, warnings []string) {
	answers = make([]*answer, 0, len(plan))
	for _, b := range plan {
		br := r.byKey[b.key()]
		if br.err != nil {
			warnings = append(warnings, leftOut(br.err))
			continue
		}
		answers = append(answers, br.answer)
		delete(r.byKey, b.key())
	}
	return answers, warnings
}
