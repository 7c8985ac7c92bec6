package blob

import (
	"context"
	"strings"
	"sync/atomic"
)

// Trace watches the reads and lists of all Buckets that are made under its context, as net/http/httptrace does for
// HTTP: each request to the store by itself, retries and hedges included. The functions are called from many goroutines at
// a time. nil functions are not called.
type Trace struct {
	// Begin is called before a request is made. Its error refuses the request, is not retried and is returned by the call.
	Begin func(Request) error
	// End is called once for each request that Begin let pass, with the bytes of the body that came.
	End func(r Request, bytes int64)
}

// Request is what a Trace sees.
type Request struct {
	// Key is that of the object, without the Bucket's prefix, or the prefix that is listed.
	Key  string
	List bool
	// Stage is 1 for a request that depends on no other of its trace, and one more than that of the latest request
	// that it had to wait for otherwise. Who reads says what depends on what, by AfterStage.
	Stage int
	// Bytes is the length of the range that is read, -1 if it is not known before.
	Bytes int64
}

// traced is a place in the order of a trace's requests.
type traced struct {
	trace  *Trace
	parent *traced
	after  int
	last   atomic.Int64
}

type traceKey struct{}

func tracedIn(ctx context.Context) *traced {
	t, _ := ctx.Value(traceKey{}).(*traced)
	return t
}

// WithTrace returns a context whose requests t sees, and no trace further up.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, &traced{trace: t})
}

// AfterStage returns a context for requests that could not be made before those of the stage had ended, besides what
// requests of ctx depend on already. Without a trace it returns ctx.
func AfterStage(ctx context.Context, stage int) context.Context {
	t := tracedIn(ctx)
	if t == nil {
		return ctx
	}
	next := &traced{trace: t.trace, parent: t, after: max(t.after, stage)}
	next.last.Store(int64(next.after))
	return context.WithValue(ctx, traceKey{}, next)
}

// LastStage returns the highest stage of the requests made under ctx so far, or if there were none the one they
// would follow. Without a trace it is 0.
func LastStage(ctx context.Context) int {
	t := tracedIn(ctx)
	if t == nil {
		return 0
	}
	return int(t.last.Load())
}

// Stages is how far requests have got in their trace: for others to wait for.
type Stages struct {
	trace *Trace
	last  int
}

// StagesOf returns those of the requests made under ctx so far.
func StagesOf(ctx context.Context) Stages {
	t := tracedIn(ctx)
	if t == nil {
		return Stages{}
	}
	return Stages{t.trace, int(t.last.Load())}
}

// Waited tells the trace of ctx that somebody waited under it for the requests of others, as for its own. Those of another trace,
// whose stages mean nothing here, count as one.
func Waited(ctx context.Context, others Stages) {
	t := tracedIn(ctx)
	if t == nil {
		return
	}
	stage := t.after + 1
	if others.trace == t.trace {
		stage = others.last
	}
	for up := t; up != nil; up = up.parent {
		raise(&up.last, int64(stage))
	}
}

// traceRequest tells the trace of ctx of a request; end must be called after it with the bytes that came.
func (b *Bucket) traceRequest(ctx context.Context, full string, list bool, bytes int64) (end func(bytes int), err error) {
	t := tracedIn(ctx)
	if t == nil {
		return func(int) {}, nil
	}
	r := Request{Key: strings.TrimPrefix(full, b.prefix), List: list, Stage: t.after + 1, Bytes: bytes}
	if t.trace.Begin != nil {
		if err := t.trace.Begin(r); err != nil {
			return nil, err
		}
	}
	for up := t; up != nil; up = up.parent {
		raise(&up.last, int64(r.Stage))
	}
	return func(n int) {
		if t.trace.End != nil {
			t.trace.End(r, int64(n))
		}
	}, nil
}

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for {
		have := v.Load()
		if have >= n || v.CompareAndSwap(have, n) {
			return
		}
	}
}
