package blob

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/model"
)

// maxFreeGap is the gap between two ranges that is always read over: the time of a request is worth more.
const maxFreeGap = 64 << 10

// ReadOptions are for one ReadRanges; nil means none of them.
type ReadOptions struct {
	// Spend is called once, before anything is read, with the requests and the bytes that the read will take (tries and
	// hedges apart). Its error refuses the read and is returned.
	Spend func(requests int, bytes int64) error
	// Stats, if set, is added to.
	Stats *ReadStats
}

// ReadStats adds up what reads took. Safe for concurrent use.
type ReadStats struct {
	// Requests and Bytes are what was asked of the store, tries and hedges apart; Needed are the bytes of the ranges, the overlap
	// of ranges counted once.
	Requests, Bytes, Needed atomic.Int64
}

// span is one request that serves several ranges.
type span struct {
	Range
	ranges []int // indexes of the ranges within
}

// ReadRanges returns the bytes of the ranges, result i those of range i. Ranges may overlap and come in any order. Neighbours are read together if the gap between them is at
// most 64 KiB or at most the bytes needed beside it; the requests run in parallel. Results may share memory and must not be appended to in place (their
// capacity ends with them). An object that ends within a range is model.ErrCorrupt. The first error ends the others.
func (b *Bucket) ReadRanges(ctx context.Context, key string, ranges []Range, opts *ReadOptions) ([][]byte, error) {
	spans, needed, err := coalesce(ranges)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", opGetRange, key, err)
	}
	if opts != nil {
		if err := opts.count(spans, needed); err != nil {
			return nil, fmt.Errorf("%s %s: %w", opGetRange, key, err)
		}
	}
	out := make([][]byte, len(ranges))
	read := func(ctx context.Context, s span) error {
		data, err := b.GetRange(ctx, key, s.Offset, s.Length)
		if err != nil {
			return err
		}
		for _, i := range s.ranges {
			from := ranges[i].Offset - s.Offset
			to := from + ranges[i].Length
			out[i] = data[from:to:to]
		}
		return nil
	}
	if len(spans) == 1 || b.opts.MaxInFlight == 1 {
		for _, s := range spans {
			if err := read(ctx, s); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(b.opts.MaxInFlight)
	for _, s := range spans {
		g.Go(func() error { return read(gctx, s) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

func (o *ReadOptions) count(spans []span, needed int64) error {
	var bytes int64
	for _, s := range spans {
		bytes += s.Length
	}
	if o.Spend != nil {
		if err := o.Spend(len(spans), bytes); err != nil {
			return err
		}
	}
	if o.Stats != nil {
		o.Stats.Requests.Add(int64(len(spans)))
		o.Stats.Bytes.Add(bytes)
		o.Stats.Needed.Add(needed)
	}
	return nil
}

// coalesce plans the requests for the ranges, sorted by offset; empty ranges need none. Needed is the number of distinct bytes asked for.
//
// A gap of more than maxFreeGap is paid for with needed bytes that lie directly beside it, and each needed
// byte pays for one gap byte at most. So all such gaps together are never more than the needed bytes.
func coalesce(ranges []Range) (spans []span, needed int64, err error) {
	order := make([]int, 0, len(ranges))
	for i, r := range ranges {
		if err := r.check(); err != nil {
			return nil, 0, err
		}
		if r.Length > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ranges[a].Offset, ranges[b].Offset) })

	runs := joinTouching(ranges, order)
	unpaid := make([]int64, len(runs)) // bytes of the run that have not paid for a gap
	for i, r := range runs {
		unpaid[i] = r.Length
		needed += r.Length
	}
	for i, r := range runs {
		if i == 0 {
			spans = append(spans, r)
			continue
		}
		last := &spans[len(spans)-1]
		gap := r.Offset - last.end()
		if !pay(gap, unpaid[i-1:i+1]) {
			spans = append(spans, r)
			continue
		}
		last.Length = r.end() - last.Offset
		last.ranges = append(last.ranges, r.ranges...)
	}
	return spans, needed, nil
}

// joinTouching joins the ranges, visited in the given order, that overlap or touch.
func joinTouching(ranges []Range, order []int) []span {
	var runs []span
	for _, i := range order {
		r := ranges[i]
		if n := len(runs); n > 0 && r.Offset <= runs[n-1].end() {
			last := &runs[n-1]
			last.Length = max(last.end(), r.end()) - last.Offset
			last.ranges = append(last.ranges, i)
			continue
		}
		runs = append(runs, span{r, []int{i}})
	}
	return runs
}

// pay reports whether the gap is read over, and takes its price from the run before or the run behind it.
func pay(gap int64, beside []int64) bool {
	if gap <= maxFreeGap {
		return true
	}
	for i := range beside {
		if gap <= beside[i] {
			beside[i] -= gap
			return true
		}
	}
	return false
}

func (r Range) end() int64 { return r.Offset + r.Length }

// check refuses ranges that no object can have.
func (r Range) check() error {
	if r.Offset < 0 || r.Length < 0 || r.Offset > math.MaxInt64-r.Length {
		return fmt.Errorf("range of %d bytes at %d: %w", r.Length, r.Offset, model.ErrInvalid)
	}
	return nil
}
