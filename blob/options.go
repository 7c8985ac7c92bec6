package blob

import (
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are the tunables of a Bucket; nil means all defaults.
type Options struct {
	// Prefix is put before every key, with a "/" between. Default none.
	Prefix string
	// MaxInFlight bounds the calls under way at one time. Default 256. With 1 the Bucket starts no
	// goroutine and makes its calls one after another in a fixed order.
	MaxInFlight int
	// Retries is how often a call is tried again after model.ErrUnavailable. Default 6, negative means never.
	Retries int
	// Backoff is the mean wait before the first retry; it doubles with each, up to MaxBackoff, and
	// is jittered between a half and one and a half. Default 100 ms.
	Backoff time.Duration
	// MaxBackoff bounds the mean wait between two tries. Default 5 s.
	MaxBackoff time.Duration
	// TryTimeout ends a try that hangs. Default 2 minutes.
	TryTimeout time.Duration
	// PartBytes is the size of the parts of an Upload. Default PartBytes; stores take no smaller ones, but for memory and directories.
	PartBytes int
	// HedgeAfter is how long a read may take (plus the time its bytes need at 16 MiB/s) before a second, equal one is
	// started; the first answer wins. At most one read in twenty is hedged. Default 400 ms, negative
	// means never, and never for files and memory.
	HedgeAfter time.Duration

	// Registerer gets the metrics; nil means none are registered. Buckets may share one.
	Registerer prometheus.Registerer
	// Clock tells and waits for time. Default the system's.
	Clock Clock
	// Rand jitters the backoff; the Bucket guards it with a lock. Default seeded at random.
	Rand *rand.Rand
}

// Clock tells and waits for time.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whose error it then returns.
	Sleep(ctx context.Context, d time.Duration) error
}

func (o *Options) withDefaults(scheme string) Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.MaxInFlight <= 0 {
		r.MaxInFlight = 256
	}
	if r.Retries == 0 {
		r.Retries = 6
	}
	if r.PartBytes <= 0 {
		r.PartBytes = PartBytes
	}
	setDefault(&r.Backoff, 100*time.Millisecond)
	setDefault(&r.MaxBackoff, 5*time.Second)
	setDefault(&r.TryTimeout, 2*time.Minute)
	setDefault(&r.HedgeAfter, 400*time.Millisecond)
	if scheme == "file" || scheme == "mem" || r.MaxInFlight == 1 {
		r.HedgeAfter = -1
	}
	if r.Clock == nil {
		r.Clock = SystemClock{}
	}
	if r.Rand == nil {
		var seed [32]byte
		_, _ = crand.Read(seed[:]) //nolint:forbidigo // the default of Options.Rand; never fails
		r.Rand = rand.New(rand.NewChaCha8(seed))
	}
	return r
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// SystemClock is the Clock of the machine. Its Sleep waits for d or until ctx ends, and then returns ctx's error.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (SystemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// backoff computes the waits between tries.
type backoff struct {
	first, max time.Duration

	mu   sync.Mutex // guards rand
	rand *rand.Rand
}

// wait returns the wait before the retry with that number, counted from 0.
func (b *backoff) wait(retry int) time.Duration {
	mean := b.first
	for range retry {
		if mean *= 2; mean >= b.max {
			mean = b.max
			break
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return mean/2 + time.Duration(b.rand.Int64N(int64(mean)+1))
}
