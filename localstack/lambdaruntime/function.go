package lambdaruntime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// Options say what a function is.
type Options struct {
	// Program is the path of the binary. Required.
	Program string
	// Env is the function's own environment; that of this process it does not see.
	Env []string
	// Timeout is how long an invocation may take. Default 1 minute.
	Timeout time.Duration
	// MemoryMB is what the function is told. Default 1,769.
	MemoryMB int
	// Concurrency is how many instances there may be; more invocations wait. Default 4.
	Concurrency int
	// OneCPU keeps each instance on one CPU.
	OneCPU bool
	// Log is the file that the instances write to; empty discards.
	Log string
}

// Function is a program and its instances.
type Function struct {
	opts  Options
	slots chan struct{}

	mu      sync.Mutex // guards what follows
	idle    []*instance
	live    map[*instance]bool
	invoked int
	closed  bool
	last    *instance // the one that was started last
}

// New returns a function. It starts nothing; close it after use.
func New(opts *Options) *Function {
	f := &Function{opts: *opts, live: map[*instance]bool{}}
	if f.opts.Timeout <= 0 {
		f.opts.Timeout = time.Minute
	}
	if f.opts.MemoryMB <= 0 {
		f.opts.MemoryMB = 1769
	}
	if f.opts.Concurrency <= 0 {
		f.opts.Concurrency = 4
	}
	f.slots = make(chan struct{}, f.opts.Concurrency)
	return f
}

// Error is what a function fails with, in the words of AWS Lambda: Type is for example Runtime.ExitError.
type Error struct{ Type, Message string }

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Result is what a function answered. The caller reads the body and closes it; until then the instance is busy.
type Result struct {
	// ContentType is that of the response: application/json, or the one of streamed responses.
	ContentType string
	// Body is the response: in whole, or as it comes. A stream that the function broke off ends with an *Error.
	Body io.ReadCloser
	// Cold says that an instance was started, and Init how long it took to ask for its first event.
	Cold bool
	Init time.Duration
}

// Invoke hands an event to an instance and returns its answer. An error of the function is an *Error. ctx is for the wait for an instance: what has begun
// goes on, as with AWS, until it ends or its time is over.
func (f *Function) Invoke(ctx context.Context, payload []byte) (*Result, error) {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		in, cold, err := f.take(ctx)
		if err != nil {
			<-f.slots
			return nil, err
		}
		r, err := in.invoke(f.invocation(payload))
		switch {
		case errors.Is(err, errNotTaken):
			f.forget(in)
			if err := in.close(); err != nil {
				<-f.slots
				return nil, err
			}
		case err != nil:
			f.give(in)
			return nil, err
		default:
			r.Cold, r.Init = cold, in.init
			r.Body = &finish{ReadCloser: r.Body, then: func() { f.give(in) }}
			return r, nil
		}
	}
}

// take returns an instance that has asked for an event, or will.
func (f *Function) take(ctx context.Context) (in *instance, cold bool, err error) {
	for {
		if in, err = f.waiting(); in == nil || err != nil {
			break
		}
		if in.process.Running() {
			return in, false, nil
		}
		f.forget(in)
		if err := in.close(); err != nil {
			return nil, false, err
		}
	}
	if err == nil {
		in, err = startInstance(context.WithoutCancel(ctx), &f.opts)
	}
	if err != nil {
		return nil, false, fmt.Errorf("start instance: %w", err)
	}
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.live[in], f.last = true, in
	}
	f.mu.Unlock()
	if closed {
		return nil, false, errors.Join(errClosed, in.close())
	}
	return in, true, nil
}

var errClosed = errors.New("the function is closed")

// waiting takes an instance from those that are idle; nil if there is none.
func (f *Function) waiting() (*instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	n := len(f.idle)
	if n == 0 {
		return nil, nil
	}
	in := f.idle[n-1]
	f.idle = f.idle[:n-1]
	return in, nil
}

func (f *Function) forget(in *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.live, in)
}

// give takes an instance back.
func (f *Function) give(in *instance) {
	f.mu.Lock()
	if !f.closed {
		f.idle = append(f.idle, in)
	}
	f.mu.Unlock()
	<-f.slots
}

func (f *Function) invocation(payload []byte) *invocation {
	f.mu.Lock()
	f.invoked++
	id := "invocation-" + strconv.Itoa(f.invoked)
	f.mu.Unlock()
	return &invocation{id: id, payload: payload, deadline: time.Now().Add(f.opts.Timeout), reply: make(chan reply, 1), read: make(chan struct{})}
}

// LastInit is the time that the last cold start took, from exec to the first request for an event.
func (f *Function) LastInit() time.Duration {
	if in := f.newest(); in != nil {
		return in.init
	}
	return 0
}

// Usage is what the instance that was started last has cost so far. It must be alive.
func (f *Function) Usage() (process.Usage, error) {
	in := f.newest()
	if in == nil {
		return process.Usage{}, errors.New("no instance was started")
	}
	return in.process.Usage()
}

func (f *Function) newest() *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// Cool ends the instances that are idle, so that the next invocation is a cold one.
func (f *Function) Cool() error {
	f.mu.Lock()
	idle := f.idle
	f.idle = nil
	for _, in := range idle {
		delete(f.live, in)
	}
	f.mu.Unlock()
	var err error
	for _, in := range idle {
		err = errors.Join(err, in.close())
	}
	return err
}

// Close kills all instances.
func (f *Function) Close() error {
	f.mu.Lock()
	live := f.live
	f.live, f.idle, f.closed = nil, nil, true
	f.mu.Unlock()
	var err error
	for in := range live {
		err = errors.Join(err, in.close())
	}
	return err
}

// finish does something once when it is closed.
type finish struct {
	io.ReadCloser
	once sync.Once
	then func()
}

func (f *finish) Close() error {
	err := f.ReadCloser.Close()
	f.once.Do(f.then)
	return err
}
