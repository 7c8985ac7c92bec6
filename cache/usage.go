package cache

import (
	"context"
	"sync/atomic"
)

// Usage adds up what caches answered in place of the bucket. Safe for concurrent use.
type Usage struct {
	// Hits are the ranges that took no request of the caller's own, and the parsed objects in whose place nothing was read. Bytes
	// are what they would have read.
	Hits, Bytes atomic.Int64
}

type usageKey struct{}

// WithUsage returns a context whose reads are counted in u.
func WithUsage(ctx context.Context, u *Usage) context.Context {
	return context.WithValue(ctx, usageKey{}, u)
}

// Count adds hits to the usage of the context, if it has one.
func Count(ctx context.Context, hits int, bytes int64) {
	if u, ok := ctx.Value(usageKey{}).(*Usage); ok && hits > 0 {
		u.Hits.Add(int64(hits))
		u.Bytes.Add(bytes)
	}
}
