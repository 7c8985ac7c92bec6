package ingester

import (
	"context"
	"time"
)

// turn lets one step of a kind run at a time. Unlike a mutex it is held during I/O, and
// waiting for it ends with the context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// give ends the turn.
func (t turn) give() { <-t }

// backoff spaces the tries of something that keeps failing. The zero value is due at once.
type backoff struct {
	failures int
	dueMs    int64
}

// due reports whether the next try may begin.
func (b *backoff) due(nowMs int64) bool { return b.failures == 0 || nowMs >= b.dueMs }

// note records the outcome of a try: nil forgets earlier failures, an error doubles the wait.
func (b *backoff) note(err error, nowMs int64, first, longest time.Duration) {
	if err == nil {
		*b = backoff{}
		return
	}
	wait := longest
	if b.failures < 30 {
		wait = min(longest, first<<b.failures)
	}
	b.failures++
	b.dueMs = nowMs + wait.Milliseconds()
}
