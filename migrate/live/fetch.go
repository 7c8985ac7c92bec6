package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// fetch brings one day.
type fetch struct {
	s    *Source
	want migrate.Want

	telling sync.Mutex // guards told
	told    func(samples, ms int64)

	mu   sync.Mutex // guards what follows
	next model.TimeRange
	// again are slices that were cut off others.
	again []model.TimeRange
	out   *spill.Sorter
}

// run asks for slices until nothing is left.
func (f *fetch) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range f.s.opts.Requests {
		group.Go(func() error {
			for {
				r, ok := f.take()
				if !ok {
					return nil
				}
				if err := f.slice(ctx, r); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// report says what came.
func (f *fetch) report(samples, ms int64) {
	f.telling.Lock()
	defer f.telling.Unlock()
	f.told(samples, ms)
}

// take returns the slice that is to be asked for next.
func (f *fetch) take() (model.TimeRange, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.again); n > 0 {
		r := f.again[n-1]
		f.again = f.again[:n-1]
		return r, true
	}
	if f.next.Empty() {
		return f.next, false
	}
	r := f.next
	r.MaxMs = min(r.MaxMs, r.MinMs+f.s.pace.take()-1)
	f.next.MinMs = r.MaxMs + 1
	return r, true
}

// slice brings a slice, or halves of it if it is too much for the server. What is cut off is left to whoever takes it; this one at the latest.
func (f *fetch) slice(ctx context.Context, r model.TimeRange) error {
	for try := 1; ; {
		err := f.request(ctx, r)
		if err == nil {
			f.s.pace.succeeded(r.Length())
			return nil
		}
		x := (*failure)(nil)
		if !errors.As(err, &x) || ctx.Err() != nil {
			return err
		}
		if x.tooMuch && r.Length() > minSliceMs {
			f.s.pace.refused(r.Length())
			r = f.halve(r)
		} else if x.tooMuch && !x.again {
			return fmt.Errorf("it is too much even for %v from %s on; fewer series at a time (--match) may do: %w",
				time.Duration(r.Length())*time.Millisecond, time.UnixMilli(r.MinMs).UTC().Format(time.RFC3339Nano), err)
		}
		if x.again {
			if try++; try > f.s.opts.Tries {
				return fmt.Errorf("%d tries: %w", f.s.opts.Tries, err)
			}
			wait := backoff(try-2, x.after, f.s.c.Rand())
			if f.s.c.Retrying != nil {
				f.s.c.Retrying(fmt.Errorf("fetch from %s: %w", f.s.http.place, err), wait)
			}
			if err := f.s.c.Sleep(ctx, wait); err != nil {
				return err
			}
		}
	}
}

// halve returns the first half of a slice, and leaves the second for later.
func (f *fetch) halve(r model.TimeRange) model.TimeRange {
	middle := r.MinMs + r.Length()/2
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again = append(f.again, model.TimeRange{MinMs: middle, MaxMs: r.MaxMs})
	r.MaxMs = middle - 1
	return r
}

// request asks for a slice once, when it is its turn. What comes is sorted apart, and becomes part of the day when the answer has come to its end: behind a balancer, the next try may be
// answered by another server, whose samples have other times, and the day has to be of one of them.
func (f *fetch) request(ctx context.Context, r model.TimeRange) error {
	select {
	case f.s.requests <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.s.requests }()
	out := &sink{f: f, r: r, to: f.out.Branch(f.s.sortBytes())}
	err := f.s.protocol.read(ctx, r, out)
	if err == nil {
		err = out.keep()
	}
	if closeErr := out.to.Close(); closeErr != nil {
		return errors.Join(err, closeErr)
	}
	if err == nil {
		f.report(out.samples-out.told, r.Length())
	}
	return err
}

// Waits between tries of a slice, about.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
	maxAfter  = 2 * time.Minute // that a server may ask for
)

// backoff is how long to wait before the n-th retry, from 0: between a half and all of a time that doubles, and no less than the server asks for.
func backoff(n int, after time.Duration, random float64) time.Duration {
	wait := min(firstWait<<min(n, 10), maxWait)
	wait = wait/2 + time.Duration(random*float64(wait/2))
	return max(wait, min(after, maxAfter))
}

// sink takes the samples of one answer. For one goroutine.
type sink struct {
	f    *fetch
	r    model.TimeRange
	to   *spill.Sorter // of this answer
	kept model.Columns
	// skipped is what cannot be taken over, as far as it is not named yet.
	skipped []migrate.Skip
	// samples were taken, of which told were reported.
	samples, told int64
}

// reportEvery is how many samples are reported at a time.
const reportEvery = 1 << 20

// add takes samples of a series; those outside of the slice are dropped. c is the caller's; its histograms are kept.
func (k *sink) add(ls labels.Labels, c *model.Columns) error {
	c = k.clipped(c)
	if c.Len() == 0 {
		return nil
	}
	err := k.to.AddColumns(ls, c)
	k.samples += int64(c.Len())
	if n := k.samples - k.told; n >= reportEvery {
		k.told = k.samples
		k.f.report(n, 0)
	}
	return err
}

// clipped are the samples of the slice.
func (k *sink) clipped(c *model.Columns) *model.Columns {
	inside := 0
	for _, t := range c.T {
		if k.r.Contains(t) {
			inside++
		}
	}
	if inside == c.Len() {
		return c
	}
	k.kept.Reset()
	for i, t := range c.T {
		if k.r.Contains(t) {
			k.kept.AppendAt(c, i)
		}
	}
	return &k.kept
}

// where names the slice.
func (k *sink) where() string {
	return fmt.Sprintf("%s from %s", k.f.s.http.place, time.UnixMilli(k.r.MinMs).UTC().Format(time.RFC3339))
}

// maxSkipped is how much of what cannot be taken over waits for the end of the answer.
const maxSkipped = 1000

// skip notes what cannot be taken over.
func (k *sink) skip(kind string, line, samples int64, reason string) error {
	s := migrate.Skip{Kind: kind, Where: k.where(), Line: line, Samples: samples, Reason: reason}
	if len(k.skipped) >= maxSkipped {
		return k.f.s.skips.Add(s)
	}
	k.skipped = append(k.skipped, s)
	return nil
}

// keep makes what came part of the day.
func (k *sink) keep() error {
	for _, s := range k.skipped {
		if err := k.f.s.skips.Add(s); err != nil {
			return err
		}
	}
	k.f.mu.Lock()
	defer k.f.mu.Unlock()
	return k.f.out.Join(k.to)
}
