package query

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// querier implements storage.Querier over one range. The first call that reads settles the tenant and the first
// view; later ones share both.
type querier struct {
	q *Queryable
	r model.TimeRange
	// budget is what the selections of this query may fetch on suspicion.
	budget *blocks.Budget
	// account counts what this query does, trace is how it sees it; set by the first begin.
	account *Account
	trace   *blob.Trace
	// memory is what this query holds.
	memory *Hold
	// notes take what is left out while series are decoded; nil where that is an error. Set by the first begin.
	notes *notes

	first shared[*view]
	// turn holds a token while a confirmation is read.
	turn chan struct{}

	mu sync.Mutex // guards what follows
	// latest is the newest view; pending the confirmation that will begin when the running one has ended and nobody is
	// coming any more: the questions that have yet to ask for theirs. complete is closed then, if somebody waits for it.
	latest   *view
	pending  *confirmation
	coming   int
	complete chan struct{}
	// tails are the logs read so far by writer, each once per querier.
	tails map[string]*tail
	// held is closed by Close: selections that series handed out still point into.
	held   []*answer
	closed bool
	stop   []context.CancelFunc
	// late ends when the budget of time is used up; nil without one.
	late   context.Context //nolint:containedctx // it is the clock of this query, and no call's context
	active sync.WaitGroup
}

type confirmation struct {
	done chan struct{}
	view *view
	err  error
}

func newQuerier(q *Queryable, r model.TimeRange) *querier {
	return &querier{q: q, r: r, memory: q.c.Memory.Open(), budget: blocks.NewBudget(q.cfg.SpeculationBytes), turn: make(chan struct{}, 1), tails: make(map[string]*tail)}
}

// Close ends what is still under way and lets go of everything that answers pin.
func (q *querier) Close() error {
	q.mu.Lock()
	q.closed = true
	stop := q.stop
	q.stop = nil
	q.mu.Unlock()
	for _, cancel := range stop {
		cancel()
	}
	q.active.Wait()
	q.mu.Lock()
	held := q.held
	q.held = nil
	q.mu.Unlock()
	for _, a := range held {
		a.close()
	}
	q.memory.Close()
	return nil
}

// begin registers work that Close has to end and wait for; the returned context ends with it, and its requests are counted.
func (q *querier) begin(ctx context.Context) (context.Context, func(), error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, fmt.Errorf("querier is closed: %w", model.ErrInvalid)
	}
	l := &q.q.cfg.Limits
	if q.account == nil {
		q.account = accountOf(ctx)
		q.notes = notesOf(ctx)
		q.trace = q.account.trace(l)
		if l.Time > 0 {
			late, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), l.Time, l.timeError())
			q.late, q.stop = late, append(q.stop, cancel)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := func() bool { return true }
	if q.late != nil {
		ended = context.AfterFunc(q.late, func() { cancel(context.Cause(q.late)) })
	}
	ctx = cache.WithUsage(blob.WithTrace(ctx, q.trace), &q.account.cached)
	if q.memory != nil {
		ctx = model.WithMemory(ctx, q.memory)
	}
	q.stop = append(q.stop, func() { cancel(nil) })
	q.active.Add(1)
	return ctx, func() { ended(); cancel(nil); q.active.Done() }, nil
}

// failure is the error of a call that failed with err: the budget or the memory that was too small if there is one, whatever it made fail.
func (q *querier) failure(ctx context.Context, err error) error {
	if full, ok := errors.AsType[*MemoryError](err); ok {
		return full
	}
	if budget, ok := errors.AsType[*BudgetError](err); ok {
		return budget
	}
	if budget, ok := errors.AsType[*BudgetError](context.Cause(ctx)); ok {
		return budget
	}
	return err
}

// decoded counts samples that a series of this querier was decoded to.
func (q *querier) decoded(n int) error {
	if err := q.overtime(); err != nil {
		return err
	}
	return q.account.decoded(n, &q.q.cfg.Limits)
}

// overtime returns an error if the budget of time is used up.
func (q *querier) overtime() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.late == nil || q.closed || q.late.Err() == nil {
		return nil
	}
	return context.Cause(q.late)
}

// hold keeps answers until Close.
func (q *querier) hold(answers []*answer) {
	q.mu.Lock()
	q.held = append(q.held, answers...)
	q.mu.Unlock()
}

// firstView reads the view that the plans of this querier start from, once there is memory to begin with.
func (q *querier) firstView(ctx context.Context) (*view, error) {
	return q.first.get(ctx, func() (*view, error) {
		if err := q.memory.Admit(ctx); err != nil {
			return nil, err
		}
		v := witnessOf(ctx).offer()
		var err error
		if v == nil {
			v, err = q.q.views.read(blob.AfterStage(ctx, 0), tenant.FromContext(ctx), q.r)
		}
		if err == nil {
			witnessOf(ctx).saw(q.q, v)
		}
		q.mu.Lock()
		q.latest = v
		q.mu.Unlock()
		return v, err
	})
}

// ticket stands for a question that will ask for a confirmation. Questions that were put together, as those of one PromQL query are,
// are confirmed together: that is one round trip and one set of requests for all of them.
type ticket struct {
	q    *querier
	used bool // guarded by q.mu
}

// expect makes confirmations wait for one more question, until its ticket is used by confirm or dropped.
func (q *querier) expect() *ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.coming++
	return &ticket{q: q}
}

func (t *ticket) drop() {
	t.q.mu.Lock()
	defer t.q.mu.Unlock()
	t.use()
}

// use is for holders of q.mu.
func (t *ticket) use() {
	if t == nil || t.used {
		return
	}
	t.used = true
	if t.q.coming--; t.q.coming == 0 && t.q.complete != nil {
		close(t.q.complete)
		t.q.complete = nil
	}
}

// turnout returns a channel that is closed when nobody is coming any more, nil if that is so now.
func (q *querier) turnout() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.coming > 0 && q.complete == nil {
		q.complete = make(chan struct{})
	}
	return q.complete
}

// confirm returns a view whose readings all began after the call. Calls that find a
// confirmation running share the one that follows it. t is the caller's ticket, nil for one who was not expected.
func (q *querier) confirm(ctx context.Context, t *ticket) (*view, error) {
	q.mu.Lock()
	c, leader := q.pending, false
	if c == nil {
		c, leader = &confirmation{done: make(chan struct{})}, true
		q.pending = c
	}
	t.use() // not before: who waits for it begins to read
	q.mu.Unlock()
	if !leader {
		select {
		case <-c.done:
			return c.view, c.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer close(c.done)
	// A leader whose context ends while it waits drags those who joined it along; they belong to the same query.
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		c.err = context.Cause(ctx)
	}
	if complete := q.turnout(); complete != nil && c.err == nil {
		select {
		case <-complete:
		case <-ctx.Done():
			c.err = context.Cause(ctx)
		}
	}
	q.mu.Lock()
	q.pending = nil // who comes from here on came too late for these readings
	latest := q.latest
	q.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.view, c.err = q.q.views.confirm(blob.AfterStage(ctx, latest.stage), latest)
	if c.err == nil {
		q.mu.Lock()
		q.latest = c.view
		q.mu.Unlock()
		witnessOf(ctx).confirmed(c.view)
	}
	return c.view, c.err
}

// tail returns the shipped log of a writer. Every Select of a querier sees the same reading of it.
func (q *querier) tail(writer string, released uint64, whole bool) *tail {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.tails[writer]
	if t == nil {
		t = newTail(q.q.c.Logs, writer, released+1)
		t.used = func(bytes int64) error {
			q.account.logRead(bytes)
			return q.memory.Take(bytes * logExpansion)
		}
		if !whole {
			t.maxSegments, t.maxBytes = q.q.cfg.MaxTailSegments, q.q.cfg.MaxTailBytes
		}
		q.tails[writer] = t
	}
	return t
}
