package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/varvedb/varve/model"
)

// deleteBatch is how many keys one Delete of a driver gets: the most that S3 takes in one request.
const deleteBatch = 1000

// Bucket is an object store, or the part of one under a prefix. Errors name the operation and the key and wrap
// the kinds of package model; see the package documentation for what a failed write means.
// Safe for concurrent use.
type Bucket struct {
	driver  Driver
	prefix  string
	opts    Options
	backoff *backoff
	slots   chan struct{} // holds a token for each call under way
	metrics *metrics
	hedge   *hedger
	losers  sync.WaitGroup // reads that lost a hedge and have yet to end
	badOpts error          // a prefix that is no key; every call fails with it
}

// New returns a Bucket over the driver, which it closes in Close.
func New(d Driver, opts *Options) *Bucket {
	o := opts.withDefaults(d.Scheme())
	prefix, err := cleanPrefix(o.Prefix)
	return &Bucket{
		driver:  d,
		prefix:  prefix,
		opts:    o,
		backoff: &backoff{first: o.Backoff, max: o.MaxBackoff, rand: o.Rand},
		slots:   make(chan struct{}, o.MaxInFlight),
		metrics: newMetrics(o.Registerer, d.Scheme()),
		hedge:   newHedger(o.HedgeAfter),
		badOpts: err,
	}
}

// Scheme is the URL scheme of the store: "s3", "gs", "azblob", "file" or "mem".
func (b *Bucket) Scheme() string { return b.driver.Scheme() }

// Close waits for reads that lost a hedge and closes the driver. No other call may be under way.
func (b *Bucket) Close() error {
	b.losers.Wait()
	return b.driver.Close()
}

// Get returns the object and its version.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, Version, error) {
	r, err := b.fetch(ctx, opGet, key, 0, -1, "")
	return r.Data, r.Version, err
}

// GetIf returns the object if it is no longer at the version since, and otherwise modified false
// and since itself. since == "" is Get.
func (b *Bucket) GetIf(ctx context.Context, key string, since Version) (data []byte, v Version, modified bool, err error) {
	if since == "" {
		data, v, err = b.Get(ctx, key)
		return data, v, err == nil, err
	}
	r, err := b.fetch(ctx, opGetIf, key, 0, -1, since)
	switch {
	case err != nil:
		return nil, "", false, err
	case r.NotModified || r.Version == since: // the second: a store that ignores the condition
		return nil, since, false, nil
	}
	return r.Data, r.Version, true, nil
}

// GetRange returns the n bytes of the object at off. An object that ends before is model.ErrCorrupt.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, error) {
	if err := (Range{off, n}).check(); err != nil {
		return nil, fmt.Errorf("%s %s: %w", opGetRange, key, err)
	}
	if n == 0 {
		return nil, nil
	}
	r, err := b.fetch(ctx, opGetRange, key, off, n, "")
	if err != nil {
		return nil, err
	}
	if int64(len(r.Data)) != n {
		return nil, fmt.Errorf("%s %s: bytes %d to %d wanted, %d came: %w", opGetRange, key, off, off+n, len(r.Data), model.ErrCorrupt)
	}
	return r.Data, nil
}

// GetFirst returns the first n bytes of the object, or all of it if it has no more, and how long the object is. It is for objects of unknown size, of
// which many are read at a time.
func (b *Bucket) GetFirst(ctx context.Context, key string, n int64) (data []byte, size int64, err error) {
	if n <= 0 {
		return nil, 0, fmt.Errorf("%s %s: first %d bytes: %w", opGetFirst, key, n, model.ErrInvalid)
	}
	r, err := b.fetch(ctx, opGetFirst, key, 0, n, "")
	if err != nil {
		return nil, 0, err
	}
	return r.Data, max(r.Size, int64(len(r.Data))), nil // an empty object may not say its size
}

// PutIfAbsent creates the object. A taken key is model.ErrConflict, which may be the doing of an earlier, lost try
// of this same call: callers read back.
func (b *Bucket) PutIfAbsent(ctx context.Context, key string, data []byte) (Version, error) {
	return b.put(ctx, opPutIfAbsent, key, data, Condition{Absent: true})
}

// PutIf replaces the object if it is at version v, or creates it if v is "". Any other version, and with v a missing object, is model.ErrConflict, which
// may be the doing of an earlier, lost try of this same call: callers read back.
func (b *Bucket) PutIf(ctx context.Context, key string, data []byte, v Version) (Version, error) {
	return b.put(ctx, opPutIf, key, data, Condition{Absent: v == "", Match: v})
}

// Put writes the object whether or not there is one.
func (b *Bucket) Put(ctx context.Context, key string, data []byte) (Version, error) {
	return b.put(ctx, opPut, key, data, Condition{})
}

func (b *Bucket) put(ctx context.Context, op, key string, data []byte, cond Condition) (v Version, err error) {
	err = b.try(ctx, op, key, func(ctx context.Context, full string) error {
		var err error
		v, err = b.driver.Put(ctx, full, data, cond)
		b.metrics.addWritten(op, len(data))
		return err
	})
	if err != nil {
		return "", err
	}
	return v, nil
}

// Delete removes the objects; a missing one is no error. After an error some may be gone.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for batch := range slices.Chunk(keys, deleteBatch) {
		full := make([]string, len(batch))
		for i, k := range batch {
			if err := ValidKey(k); err != nil {
				return fmt.Errorf("%s: %w", opDelete, err)
			}
			full[i] = b.prefix + k
		}
		name := batch[0]
		if len(batch) > 1 {
			name = fmt.Sprintf("%s and %d more", name, len(batch)-1)
		}
		err := b.tryNamed(ctx, opDelete, name, func(ctx context.Context) error { return b.driver.Delete(ctx, full) })
		if err != nil {
			return err
		}
	}
	return nil
}

// List yields the objects whose keys begin with prefix, sorted by key. Objects with keys that Varve does not use (ValidKey) are somebody else's and left
// out. It goes on behind the last key after a failure worth a retry; the first error that stays is yielded last.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := validPrefix(prefix); err != nil {
			yield(Object{}, fmt.Errorf("%s: %w", opList, err))
			return
		}
		last, stopped := "", false
		err := b.tryNamed(ctx, opList, prefix+"*", func(ctx context.Context) error {
			end, err := b.traceRequest(ctx, b.prefix+prefix, true, -1)
			if err != nil {
				return err
			}
			defer end(0)
			for o, err := range b.driver.List(ctx, b.prefix+prefix) {
				if err != nil {
					return err
				}
				o.Key = strings.TrimPrefix(o.Key, b.prefix)
				if o.Key <= last || ValidKey(o.Key) != nil {
					continue
				}
				last = o.Key
				if stopped = !yield(o, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Object{}, err)
		}
	}
}

// try is tryNamed for one object: call gets its full key.
func (b *Bucket) try(ctx context.Context, op, key string, call func(ctx context.Context, full string) error) error {
	if err := ValidKey(key); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return b.tryNamed(ctx, op, key, func(ctx context.Context) error { return call(ctx, b.prefix+key) })
}

// tryNamed makes the call until it ends in anything but model.ErrUnavailable or the retries are used up. Its errors name op and object.
func (b *Bucket) tryNamed(ctx context.Context, op, object string, call func(context.Context) error) error {
	for retry := 0; ; retry++ {
		err := b.once(ctx, op, call)
		if err == nil {
			return nil
		}
		if err := b.pause(ctx, op, object, retry, err); err != nil {
			return err
		}
	}
}

// pause waits before the retry with that number, counted from 0, of a call that failed with err. If there is none it returns
// the error of the whole operation.
func (b *Bucket) pause(ctx context.Context, op, object string, retry int, err error) error {
	if !errors.Is(err, model.ErrUnavailable) || retry >= b.opts.Retries || ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, object, err)
	}
	b.metrics.retried(op)
	if werr := b.opts.Clock.Sleep(ctx, b.backoff.wait(retry)); werr != nil {
		return fmt.Errorf("%s %s: %w, while waiting to retry: %w", op, object, werr, err)
	}
	return nil
}

// once makes one try of a call within a slot.
func (b *Bucket) once(ctx context.Context, op string, call func(context.Context) error) error {
	if err := b.acquire(ctx); err != nil {
		return err
	}
	defer b.release()
	return b.timed(ctx, op, call)
}

func (b *Bucket) acquire(ctx context.Context) error {
	if b.badOpts != nil {
		return b.badOpts
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Bucket) tryAcquire() bool {
	select {
	case b.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (b *Bucket) release() { <-b.slots }

// timed makes one try with a time limit and counts it. The caller holds a slot.
func (b *Bucket) timed(ctx context.Context, op string, call func(context.Context) error) error {
	tctx, cancel := context.WithTimeout(ctx, b.opts.TryTimeout)
	defer cancel()
	start := b.opts.Clock.Now()
	b.metrics.began()
	err := call(tctx)
	if err != nil && tctx.Err() != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s: %w", b.opts.TryTimeout, model.ErrUnavailable)
		} else if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
	b.metrics.ended(op, err, b.opts.Clock.Now().Sub(start))
	return err
}
