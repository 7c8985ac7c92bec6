package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// leastBytes is what has to come within the time after which an answer counts as stalled.
const leastBytes = 1 << 10

// watch gives a request up whose server brings next to nothing. Only the time counts that is spent waiting for the server. For one goroutine.
type watch struct {
	timer *time.Timer
	stall time.Duration
	// waited is how long the server was waited for since it brought enough, got what it brought meanwhile.
	waited time.Duration
	got    int
	since  time.Time
}

// newWatch returns a watch at rest; giveUp is called from a goroutine of its own.
func newWatch(stall time.Duration, giveUp func()) *watch {
	w := &watch{stall: stall, timer: time.AfterFunc(stall, giveUp)}
	w.timer.Stop()
	return w
}

// begin says that the server is waited for.
func (w *watch) begin() {
	w.since = time.Now()
	w.timer.Reset(max(w.stall-w.waited, 1))
}

// end says that it has brought so many bytes.
func (w *watch) end(n int) {
	w.timer.Stop()
	w.waited += time.Since(w.since)
	if w.got += n; w.got >= leastBytes {
		w.got, w.waited = 0, 0
	}
}

// watched is a body under watch. Errors of reading are failures, or those of the context.
type watched struct {
	ctx   context.Context
	in    io.Reader
	watch *watch
}

// Read implements io.Reader.
func (r *watched) Read(p []byte) (int, error) {
	r.watch.begin()
	n, err := r.in.Read(p)
	r.watch.end(n)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if cause := context.Cause(r.ctx); cause != nil {
		if errors.Is(cause, errStalled) {
			return n, &failure{again: true, tooMuch: true, err: fmt.Errorf("the answer brought less than %d bytes within %v", leastBytes, r.watch.stall)}
		}
		return n, cause
	}
	return n, broken("the answer broke off", err)
}
