package query

import (
	"context"
	"sync"
)

// shared is work that is done once, by the first who asks, while others wait for its outcome. No lock is
// held meanwhile, and each waits only as long as its own context lasts.
type shared[T any] struct {
	mu   sync.Mutex // guards done
	done chan struct{}
	v    T
	err  error
}

func (s *shared[T]) get(ctx context.Context, do func() (T, error)) (T, error) {
	s.mu.Lock()
	done, first := s.done, s.done == nil
	if first {
		done = make(chan struct{})
		s.done = done
	}
	s.mu.Unlock()
	if first {
		defer close(done)
		s.v, s.err = do()
		return s.v, s.err
	}
	select {
	case <-done:
		return s.v, s.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
