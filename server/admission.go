package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/varvedb/varve/model"
)

// maxWaiting writes wait for memory; the next is refused at once, because it would only time out.
const maxWaiting = 1000

// admission divides a fixed number of bytes among the writes in flight. Safe for concurrent use.
type admission struct {
	total   int64
	timeout time.Duration
	sem     *semaphore.Weighted
	used    atomic.Int64
	waiting atomic.Int64
}

func newAdmission(total int64, timeout time.Duration) *admission {
	return &admission{total: total, timeout: timeout, sem: semaphore.NewWeighted(total)}
}

// reservation is what one request holds. For one goroutine.
type reservation struct {
	a    *admission
	held int64
}

// grow waits for n more bytes. A request that needs more than there is altogether gets all of it, alone. The error wraps
// model.ErrUnavailable.
func (r *reservation) grow(ctx context.Context, n int64) error {
	n = min(n, r.a.total-r.held)
	if !r.a.sem.TryAcquire(n) {
		if err := r.a.wait(ctx, n); err != nil {
			return err
		}
	}
	r.a.used.Add(n)
	r.held += n
	return nil
}

// free gives everything back.
func (r *reservation) free() {
	r.a.used.Add(-r.held)
	r.a.sem.Release(r.held)
	r.held = 0
}

func (a *admission) wait(ctx context.Context, n int64) error {
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > maxWaiting {
		return fmt.Errorf("too many writes are waiting, send again later: %w", model.ErrUnavailable)
	}
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err := a.sem.Acquire(limited, n)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("the memory for writes in flight (%d bytes) is in use, send again later: %w", a.total, model.ErrUnavailable)
	}
	return err
}
