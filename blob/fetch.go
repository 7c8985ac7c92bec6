package blob

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/model"
)

// fetch reads n bytes at off, or to the end if n < 0, with retries and hedging. A body that broke off is taken up where it
// ended if the object is still at the same version, and begun anew if not. With since it is a conditional read of the whole object, always begun anew.
func (b *Bucket) fetch(ctx context.Context, op, key string, off, n int64, since Version) (GetResult, error) {
	if err := ValidKey(key); err != nil {
		return GetResult{}, fmt.Errorf("%s: %w", op, err)
	}
	var got GetResult
	// The call is timed and counted inside, once for each request that a hedge makes.
	for retry := 0; ; retry++ {
		have := int64(len(got.Data))
		rest := n
		if n >= 0 {
			rest = n - have
		}
		r, err := b.read(ctx, op, b.prefix+key, off+have, rest, since)
		switch {
		case since != "":
			got = r
			if err != nil {
				got = GetResult{}
			}
		case have > 0 && r.Version != got.Version && (err == nil || len(r.Data) > 0):
			got, err = GetResult{}, fmt.Errorf("changed while it was read: %w", model.ErrUnavailable)
		case have > 0:
			got.Data = append(got.Data, r.Data...)
		case err == nil || len(r.Data) > 0:
			got = r
		}
		if err == nil {
			return got, nil
		}
		if err := b.pause(ctx, op, key, retry, err); err != nil {
			return GetResult{}, err
		}
	}
}

// read makes one try of a read, hedged.
func (b *Bucket) read(ctx context.Context, op, full string, off, n int64, since Version) (GetResult, error) {
	one := func(ctx context.Context) (r GetResult, err error) {
		known := n
		if op == opGetFirst {
			known = -1 // n is only a bound
		}
		end, err := b.traceRequest(ctx, full, false, known)
		if err != nil {
			return GetResult{}, err
		}
		defer func() { end(len(r.Data)) }()
		err = b.timed(ctx, op, func(ctx context.Context) error {
			r, err = b.driver.Get(ctx, full, off, n, since)
			b.metrics.addRead(op, len(r.Data))
			return err
		})
		return r, err
	}
	if err := b.acquire(ctx); err != nil {
		return GetResult{}, err
	}
	delay, ok := b.hedge.delay(n)
	if !ok {
		defer b.release()
		return one(ctx)
	}
	return b.race(ctx, op, delay, one)
}

type readAnswer struct {
	GetResult
	err   error
	hedge bool
}

// race runs the read, whose slot is held already, and after the delay a second one if the hedger and the slots
// allow. The first answer without error wins, the other read is cancelled and ends on its own; Close waits for it.
func (b *Bucket) race(ctx context.Context, op string, delay time.Duration, one func(context.Context) (GetResult, error)) (GetResult, error) {
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan readAnswer, 2)
	start := func(hedge bool) {
		b.losers.Go(func() {
			defer b.release()
			r, err := one(rctx)
			answers <- readAnswer{r, err, hedge}
		})
	}
	late := make(chan struct{})
	b.losers.Go(func() {
		if b.opts.Clock.Sleep(rctx, delay) == nil {
			close(late)
		}
	})
	start(false)
	for running := 1; ; {
		select {
		case a := <-answers:
			running--
			if a.err == nil || running == 0 {
				b.metrics.hedged(op, a.hedge && a.err == nil)
				return a.GetResult, a.err
			}
		case <-late:
			late = nil
			if b.hedge.spend() && b.tryAcquire() {
				running++
				start(true)
			}
		}
	}
}

// hedgeShare is how many reads earn one hedge, and hedgeSaved how many hedges may be saved up.
const (
	hedgeShare    = 20
	hedgeSaved    = 10
	hedgeByteRate = 16 << 20
)

// hedger decides when a second read may be started: a slow store must not get twice the load.
type hedger struct {
	after  time.Duration
	credit atomic.Int64 // in reads; a hedge costs hedgeShare of them
}

func newHedger(after time.Duration) *hedger {
	h := &hedger{after: after}
	h.credit.Store(hedgeSaved * hedgeShare)
	return h
}

// delay counts a read of n bytes and returns how long it may take before it is hedged; false means never.
func (h *hedger) delay(n int64) (time.Duration, bool) {
	if h.after < 0 {
		return 0, false
	}
	if c := h.credit.Load(); c < hedgeSaved*hedgeShare {
		h.credit.Add(1) // a race may save one too many, which does not matter
	}
	return h.after + time.Duration(max(n, 0)/hedgeByteRate)*time.Second, true
}

func (h *hedger) spend() bool {
	if h.credit.Add(-hedgeShare) < 0 {
		h.credit.Add(hedgeShare)
		return false
	}
	return true
}
