// Package faultblob wraps a blob.Driver so that its calls fail as a test says:
// the n-th call fails, is delayed, torn, executed with its answer lost, or is the last before a crash.
//
// The test gives a Hook, which is called before each call, in the goroutine of the call and without a lock
// held: it may block, and run other code that uses the same bucket (a
// simulator lets other processes take their turn there). Without randomness or time of its own
// the driver is as deterministic as its callers are. Safe for concurrent use.
package faultblob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// ErrCrashed is the error of all calls from a crash on. It is no kind of package model: nobody may act on it but the test.
var ErrCrashed = errors.New("faultblob: crashed")

// ErrInjected is within every error that the driver makes up, ErrCrashed apart.
var ErrInjected = errors.New("injected fault")

// The operations, as Call names them.
const (
	OpGet    = "get"
	OpPut    = "put"
	OpDelete = "delete"
	OpList   = "list"
)

// Call is one call of the driver, about to be made.
type Call struct {
	// N numbers the calls from 1, in the order in which they begin.
	N  int
	Op string
	// Key is the object, the first one of a Delete, or the prefix of a List.
	Key string
	// Cond is the condition of a put.
	Cond blob.Condition
}

// Kind is what happens to a call.
type Kind int

const (
	// None lets the call pass.
	None Kind = iota
	// Fail does not make the call and answers with Action.Err.
	Fail
	// Delay makes the call after Action.Delay.
	Delay
	// LoseAnswer makes the call and answers model.ErrUnavailable whatever came of it.
	LoseAnswer
	// Tear cuts the call short: a get gives Action.Keep bytes, a list as many objects, a delete removes as many keys, each
	// with model.ErrUnavailable; a put, which is atomic, does nothing.
	Tear
	// CrashBefore does not make the call; it and all later ones answer ErrCrashed.
	CrashBefore
	// CrashAfter makes the call; it and all later ones answer ErrCrashed.
	CrashAfter
)

// Action is what a Hook wants to happen to a call.
type Action struct {
	Kind Kind
	// Err is for Fail; nil means model.ErrUnavailable.
	Err error
	// Delay is for Delay.
	Delay time.Duration
	// Keep is for Tear.
	Keep int
}

// Hook decides what happens to a call.
type Hook func(Call) Action

// Driver is a blob.Driver that fails on demand.
type Driver struct {
	inner   blob.Driver
	calls   atomic.Int64
	crashed atomic.Bool

	mu   sync.Mutex // guards hook
	hook Hook
}

var _ blob.Driver = (*Driver)(nil)

// Wrap returns a driver over d that lets every call pass until SetHook.
func Wrap(d blob.Driver) *Driver { return &Driver{inner: d} }

// SetHook replaces the hook; nil lets every call pass.
func (d *Driver) SetHook(h Hook) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = h
}

// Calls returns how many calls have begun.
func (d *Driver) Calls() int { return int(d.calls.Load()) }

// Crash makes all later calls answer ErrCrashed.
func (d *Driver) Crash() { d.crashed.Store(true) }

// Nth returns a hook that applies the action to the n-th call, counted from 1, and lets the others pass.
func Nth(n int, a Action) Hook {
	return func(c Call) Action {
		if c.N == n {
			return a
		}
		return Action{}
	}
}

// begin counts the call and asks the hook. An error ends the call.
func (d *Driver) begin(ctx context.Context, op, key string, cond blob.Condition) (Action, error) {
	if d.crashed.Load() {
		return Action{}, ErrCrashed
	}
	c := Call{N: int(d.calls.Add(1)), Op: op, Key: key, Cond: cond}
	d.mu.Lock()
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return Action{}, nil
	}
	a := hook(c)
	if d.crashed.Load() { // meanwhile, by another call or by the hook
		return Action{}, ErrCrashed
	}
	switch a.Kind {
	case Fail:
		if a.Err == nil {
			a.Err = model.ErrUnavailable
		}
		return a, fmt.Errorf("%w: %w", ErrInjected, a.Err)
	case Delay:
		return a, blob.SystemClock{}.Sleep(ctx, a.Delay)
	case CrashBefore:
		d.Crash()
		return a, ErrCrashed
	}
	return a, nil
}

// end replaces the answer of a call that was made.
func (d *Driver) end(a Action, err error) error {
	switch {
	case a.Kind == CrashAfter:
		d.Crash()
		return ErrCrashed
	case d.crashed.Load():
		return ErrCrashed
	case a.Kind == LoseAnswer:
		return fmt.Errorf("%w: answer lost: %w", ErrInjected, model.ErrUnavailable)
	}
	return err
}

func torn() error { return fmt.Errorf("%w: torn: %w", ErrInjected, model.ErrUnavailable) }

// Get implements blob.Driver.
func (d *Driver) Get(ctx context.Context, key string, offset, length int64, since blob.Version) (blob.GetResult, error) {
	a, err := d.begin(ctx, OpGet, key, blob.Condition{})
	if err != nil {
		return blob.GetResult{}, err
	}
	r, err := d.inner.Get(ctx, key, offset, length, since)
	if err == nil && a.Kind == Tear {
		r.Data = r.Data[:min(a.Keep, len(r.Data))]
		return r, torn()
	}
	if err = d.end(a, err); err != nil {
		return blob.GetResult{}, err
	}
	return r, nil
}

// Put implements blob.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, cond blob.Condition) (blob.Version, error) {
	a, err := d.begin(ctx, OpPut, key, cond)
	if err != nil {
		return "", err
	}
	if a.Kind == Tear {
		return "", torn()
	}
	v, err := d.inner.Put(ctx, key, data, cond)
	if err = d.end(a, err); err != nil {
		return "", err
	}
	return v, nil
}

// Delete implements blob.Driver.
func (d *Driver) Delete(ctx context.Context, keys []string) error {
	var first string
	if len(keys) > 0 {
		first = keys[0]
	}
	a, err := d.begin(ctx, OpDelete, first, blob.Condition{})
	if err != nil {
		return err
	}
	if a.Kind == Tear {
		if err := d.inner.Delete(ctx, keys[:min(a.Keep, len(keys))]); err != nil {
			return err
		}
		return torn()
	}
	return d.end(a, d.inner.Delete(ctx, keys))
}

// List implements blob.Driver. The call counts when the iteration begins.
func (d *Driver) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	return func(yield func(blob.Object, error) bool) {
		a, err := d.begin(ctx, OpList, prefix, blob.Condition{})
		if err == nil && a.Kind != None && a.Kind != Tear {
			err = d.end(a, nil)
		}
		if err != nil {
			yield(blob.Object{}, err)
			return
		}
		seen := 0
		for o, err := range d.inner.List(ctx, prefix) {
			if a.Kind == Tear && seen == a.Keep {
				break
			}
			if d.crashed.Load() {
				yield(blob.Object{}, ErrCrashed)
				return
			}
			if seen++; !yield(o, err) {
				return
			}
		}
		if a.Kind == Tear {
			yield(blob.Object{}, torn())
		}
	}
}

// Scheme implements blob.Driver.
func (d *Driver) Scheme() string { return d.inner.Scheme() }

// Close implements blob.Driver.
func (d *Driver) Close() error { return d.inner.Close() }
