package model

import "context"

// Memory accounts for what the answer of a question holds while it is in use. Whoever answers takes before, or as soon as, it holds more and gives
// back when that is let go; nothing is kept beyond the last Give. Safe for concurrent use.
type Memory interface {
	// Take takes n bytes, or none and fails. It does not wait.
	Take(n int64) error
	// Give gives n bytes back.
	Give(n int64)
}

type memoryKey struct{}

// WithMemory returns a context whose questions are accounted for by m.
func WithMemory(ctx context.Context, m Memory) context.Context {
	return context.WithValue(ctx, memoryKey{}, m)
}

// MemoryOf returns the account of the context, which may be one that everything fits in. It is never nil.
func MemoryOf(ctx context.Context) Memory {
	if m, ok := ctx.Value(memoryKey{}).(Memory); ok {
		return m
	}
	return endless{}
}

type endless struct{}

func (endless) Take(int64) error { return nil }
func (endless) Give(int64)       {}
