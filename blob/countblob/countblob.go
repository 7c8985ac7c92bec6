// Package countblob wraps a blob.Driver and counts what it is asked: requests by
// operation, bytes of bodies, and dependent stages, the longest chain of
// calls of which each began after the one before it had ended. The promises on cold queries are
// numbers of this kind, and tests assert them here.
//
// Parallel calls over memory end before the next one begins and look like a chain. Give Options.Latency
// so that they overlap, and run the test in a testing/synctest bubble: its clock stands still while anybody works, which makes the number of stages exact.
//
// Safe for concurrent use.
package countblob

import (
	"context"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/varvedb/varve/blob"
)

// The operations, as Stats names them.
const (
	OpGet    = "get"
	OpPut    = "put"
	OpDelete = "delete"
	OpList   = "list"
)

// Options are for Wrap; nil means all defaults.
type Options struct {
	// Latency is added to each call before it is made. Default none.
	Latency time.Duration
}

// Stats is what was counted since Wrap or Reset.
type Stats struct {
	// Requests by operation.
	Requests map[string]int
	// NotModified counts the gets that the store answered without a body.
	NotModified int
	// Bytes read and written.
	Bytes, WrittenBytes int64
	// Stages is the longest chain of calls, each begun after the one before it had ended.
	Stages int
	// Keys counts the gets of each key.
	Keys map[string]int
}

// Driver is a blob.Driver that counts.
type Driver struct {
	inner blob.Driver
	opts  Options

	mu    sync.Mutex // guards what follows
	stats Stats
	epoch int // counts resets, so that a call does not end in the epoch after the one it began in
}

var _ blob.Driver = (*Driver)(nil)

// Wrap returns a counting driver over d.
func Wrap(d blob.Driver, opts *Options) *Driver {
	c := &Driver{inner: d}
	if opts != nil {
		c.opts = *opts
	}
	c.Reset()
	return c
}

// Stats returns a copy of the counts.
func (d *Driver) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Requests = maps.Clone(s.Requests)
	s.Keys = maps.Clone(s.Keys)
	return s
}

// Reset sets the counts to zero. Calls under way are not counted any more.
func (d *Driver) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats = Stats{Requests: map[string]int{}, Keys: map[string]int{}}
	d.epoch++
}

// begin counts a call and returns what must be called at its end with the bytes it moved.
func (d *Driver) begin(ctx context.Context, op, key string) (end func(record func(*Stats)), err error) {
	d.mu.Lock()
	d.stats.Requests[op]++
	if op == OpGet {
		d.stats.Keys[key]++
	}
	depth := d.stats.Stages + 1
	epoch := d.epoch
	d.mu.Unlock()
	end = func(record func(*Stats)) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if epoch != d.epoch {
			return
		}
		d.stats.Stages = max(d.stats.Stages, depth)
		if record != nil {
			record(&d.stats)
		}
	}
	if d.opts.Latency > 0 {
		if err := (blob.SystemClock{}).Sleep(ctx, d.opts.Latency); err != nil {
			end(nil)
			return nil, err
		}
	}
	return end, nil
}

// Get implements blob.Driver.
func (d *Driver) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	end, err := d.begin(ctx, OpGet, key)
	if err != nil {
		return blob.GetResult{}, err
	}
	r, err := d.inner.Get(ctx, key, offset, length, since)
	end(func(s *Stats) {
		s.Bytes += int64(len(r.Data))
		if r.NotModified {
			s.NotModified++
		}
	})
	return r, err
}

// Put implements blob.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	end, err := d.begin(ctx, OpPut, key)
	if err != nil {
		return "", err
	}
	v, err := d.inner.Put(ctx, key, data, cond)
	end(func(s *Stats) { s.WrittenBytes += int64(len(data)) })
	return v, err
}

// Delete implements blob.Driver.
func (d *Driver) Delete(ctx context.Context, keys []string) error {
	end, err := d.begin(ctx, OpDelete, "")
	if err != nil {
		return err
	}
	err = d.inner.Delete(ctx, keys)
	end(nil)
	return err
}

// List implements blob.Driver. It counts as one request, from the first object to the last.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		end, err := d.begin(ctx, OpList, prefix)
		if err != nil {
			yield(blob.Object{}, err)
			return
		}
		defer end(nil)
		for o, err := range d.inner.List(ctx, prefix) {
			if !yield(o, err) {
				return
			}
		}
	}
}

// Scheme implements blob.Driver.
func (d *Driver) Scheme() string { return d.inner.Scheme() }

// Close implements blob.Driver.
func (d *Driver) Close() error { return d.inner.Close() }
