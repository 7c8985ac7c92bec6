package ingester

import (
	"context"
	"errors"
	"sync"
	"time"
)

// wake tells a waiting loop that there is work. Signals that nobody has taken yet are one.
type wake chan struct{}

func newWake() wake { return make(wake, 1) }

func (w wake) signal() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// pause waits for d, for a signal of w (which may be nil), or for the end of ctx, whose error it then returns.
func (i *Ingester) pause(ctx context.Context, d time.Duration, w wake) error {
	sleepCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w == nil {
		return i.c.Sleep(ctx, d)
	}
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		_ = i.c.Sleep(sleepCtx, d) // its only error is that of the context, which is looked at below
	}()
	select {
	case <-w:
		cancel()
		<-slept
	case <-slept:
	}
	return ctx.Err()
}

// The names of what may be in trouble, as Status shows them.
const (
	troubleEnter   = "roster"
	troubleFence   = "fence"
	troubleAdopt   = "adopt"
	troubleRotate  = "rotate"
	troubleShip    = "ship"
	troubleBuild   = "build"
	troubleCommit  = "commit"
	troubleRelease = "release"
	troubleTenant  = "tenant"
)

// step is one kind of work that a loop of Run does.
type step struct {
	trouble string
	run     func(ctx context.Context) (progress bool, err error)
	backoff backoff
}

// Run does the work of all steps until ctx ends, and returns when everything it started has ended. Trouble is logged, shown in Status and tried again; it never
// ends Run. Call it once.
func (i *Ingester) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	loop := func(every time.Duration, w wake, eager bool, steps ...*step) {
		wg.Go(func() { i.loop(ctx, every, w, eager, steps) })
	}
	const tick = time.Second
	loop(tick, i.controlWake, true,
		&step{trouble: troubleEnter, run: i.EnterStep},
		&step{trouble: troubleFence, run: i.FenceStep},
		&step{trouble: troubleAdopt, run: i.AdoptStep},
		&step{trouble: troubleTenant, run: i.TenantStep})
	loop(tick, i.sealedWake, true,
		&step{trouble: troubleRotate, run: i.RotateStep},
		&step{trouble: troubleBuild, run: i.BuildStep})
	loop(i.cfg.ShipInterval, i.shipWake, false,
		&step{trouble: troubleShip, run: i.Ship})
	loop(tick, i.builtWake, true,
		&step{trouble: troubleCommit, run: func(ctx context.Context) (bool, error) { return i.commitStep(ctx, i.cfg.FlushParallel, false) }},
		&step{trouble: troubleRelease, run: i.ReleaseStep})
	wg.Wait()
	return nil
}

// loop runs its steps, if eager for as long as they get on, then waits for a signal or the next round.
func (i *Ingester) loop(ctx context.Context, every time.Duration, w wake, eager bool, steps []*step) {
	for ctx.Err() == nil {
		again := false
		for _, s := range steps {
			again = i.try(ctx, s) || again
		}
		if again && eager {
			continue
		}
		if err := i.pause(ctx, every, w); err != nil {
			return
		}
	}
}

// try runs a step if it is due, and notes its trouble. It reports whether the step got on.
func (i *Ingester) try(ctx context.Context, s *step) bool {
	if !s.backoff.due(i.nowMs()) {
		return false
	}
	began := i.c.Now()
	progress, err := s.run(ctx)
	if err != nil && ctx.Err() != nil {
		return false
	}
	if progress || err != nil {
		i.metrics.stepSeconds.WithLabelValues(s.trouble).Observe(i.c.Now().Sub(began).Seconds())
	}
	// Being fenced is the business of one step; the others just wait for it.
	if errors.Is(err, errFenced) {
		i.controlWake.signal()
		err, progress = nil, false
	}
	i.note(s.trouble, err)
	if progress {
		// What failed within a step that got on has its own backoff.
		err = nil
	}
	s.backoff.note(err, i.nowMs(), i.cfg.RetryFirst, i.cfg.RetryLongest)
	return progress
}

// note keeps the outcome of a step for Status and logs it when it changes for the worse.
func (i *Ingester) note(what string, err error) {
	i.mu.Lock()
	before := i.trouble[what]
	i.trouble[what] = err
	i.mu.Unlock()
	switch {
	case err != nil:
		i.metrics.failures.WithLabelValues(what).Inc()
		i.c.Logger.Warn("step failed, trying again", "step", what, "err", err)
	case before != nil:
		i.c.Logger.Info("step works again", "step", what)
	}
}
