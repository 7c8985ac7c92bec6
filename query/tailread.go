package query

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// How a log is read. Nobody tells how many segments it has or how long they are: the roster is written once a generation, and a list is a
// right that readers may not have. So a whole window of keys is asked for at once, of each key no more than its
// share of what may be in flight. A log of short segments, which is what a writer ships every few seconds, takes one stage for each of
// its generations; segments that are longer than the share take one more for their rests, oldest first, as far as the bounds allow.
//
// Per writer, memory holds at most the firsts and the rests of one window, tailInFlight each, and the samples decoded.
const (
	// tailWindow is how many segment keys are asked for at a time. Where the log has no bound, windows double
	// up to maxTailWindow.
	tailWindow    = 64
	maxTailWindow = 512
	// tailInFlight bounds the bytes of a window, and minTailFirst is the share of a key that is always asked for.
	tailInFlight = 32 << 20
	minTailFirst = 16 << 10
)

// tailReader is where the reading of a log has got to.
type tailReader struct {
	*tail
	gen, seq uint64
	window   int
	// segments and bytes that count.
	segments int
	bytes    int64
	identity error // why the writer's identity object cannot be read
}

// read fetches windows of segments, oldest first, and collects the tenant's samples.
func (t *tail) read(ctx context.Context, tenant string) error {
	ctx = blob.AfterStage(ctx, 0)
	c := &tailCollector{byLabels: make(map[string]*tailSeries)}
	r := &tailReader{tail: t, gen: t.from, window: tailWindow}
	for first := true; ; first = false {
		keys, room := r.room()
		if keys <= 0 || room <= 0 {
			t.cut = true
			return t.finish(c)
		}
		ctx = blob.AfterStage(ctx, blob.LastStage(ctx))
		w, err := r.fetch(ctx, keys, room, first)
		if err != nil {
			return err
		}
		ended := false // the generation, by an end mark
		for _, s := range w.segments {
			if s.Fence {
				return t.finish(c)
			}
			if t.damage = s.Records(tenant, c.add); t.damage != nil {
				return t.finish(c)
			}
			if ended = s.EndMark; ended {
				break
			}
		}
		bounded := r.maxBytes > 0 && room == r.maxBytes-r.bytes
		r.segments, r.bytes = r.segments+len(w.segments), r.bytes+w.bytes
		switch {
		case ended:
			// What follows is the next generation, with references of its own.
			r.gen, r.seq, r.window, c.refs = r.gen+1, 0, tailWindow, nil
		case w.damage != nil, w.last:
			t.damage = w.damage
			return t.finish(c)
		case w.full && bounded:
			t.cut = true
			return t.finish(c)
		case w.full:
			r.seq += uint64(len(w.segments))
		default:
			r.seq, r.window = r.seq+uint64(len(w.segments)), min(2*r.window, maxTailWindow)
		}
	}
}

// room returns how many keys and bytes the next window may have.
func (r *tailReader) room() (keys int, bytes int64) {
	keys, bytes = r.window, tailInFlight
	if r.maxSegments > 0 {
		keys = min(keys, r.maxSegments-r.segments)
	}
	if r.maxBytes > 0 {
		bytes = min(bytes, r.maxBytes-r.bytes)
	}
	return keys, bytes
}

// tailPart is what one window of keys holds.
type tailPart struct {
	segments []*wal.Segment
	bytes    int64
	// What ended it before its last key: a key that is missing, too little room, or a segment with damage.
	last, full bool
	damage     error
}

// fetch reads up to n segments of no more than room bytes in parallel: one segment in any case.
func (r *tailReader) fetch(ctx context.Context, n int, room int64, identity bool) (*tailPart, error) {
	share := max(room/int64(n), minTailFirst)
	data, sizes, missing := make([][]byte, n), make([]int64, n), make([]error, n)
	g, gctx := errgroup.WithContext(ctx)
	for i := range n {
		g.Go(func() (err error) {
			data[i], sizes[i], err = r.logs.GetFirst(gctx, r.key(i), share)
			if errors.Is(err, model.ErrNotFound) {
				missing[i], err = err, nil
			}
			return err
		})
	}
	if identity {
		g.Go(func() error {
			_, _, r.identity = r.logs.Get(gctx, "w/"+r.writer+"/id")
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	p := &tailPart{}
	for i := range n {
		if missing[i] != nil {
			if err := r.trustMissing(missing[i]); err != nil {
				return nil, err
			}
			n, p.last = i, true
			break
		}
		if p.bytes+sizes[i] > room && i > 0 {
			n, p.full = i, true
			break
		}
		p.bytes += sizes[i]
	}
	if err := r.fetchRests(ctx, data[:n], sizes); err != nil {
		return nil, err
	}
	if r.used != nil {
		if err := r.used(p.bytes); err != nil {
			return nil, err
		}
	}
	r.parse(p, data[:n])
	return p, nil
}

func (r *tailReader) key(i int) string { return wal.SegmentKey(r.writer, r.gen, r.seq+uint64(i)) }

// fetchRests completes the segments that are longer than what was read of them.
func (r *tailReader) fetchRests(ctx context.Context, data [][]byte, sizes []int64) error {
	ctx = blob.AfterStage(ctx, blob.LastStage(ctx))
	g, gctx := errgroup.WithContext(ctx)
	for i := range data {
		have := int64(len(data[i]))
		if have >= sizes[i] {
			continue
		}
		g.Go(func() error {
			rest, err := r.logs.GetRange(gctx, r.key(i), have, sizes[i]-have)
			data[i] = append(data[i], rest...)
			return err
		})
	}
	return g.Wait()
}

// parse goes from the last to the first: each segment says how much of its predecessor counts.
func (r *tailReader) parse(p *tailPart, data [][]byte) {
	p.segments = make([]*wal.Segment, len(data))
	n, valid := len(data), int64(0)
	for i := n - 1; i >= 0; i-- {
		s, err := wal.ParseSegment(data[i], &wal.ParseOptions{Name: r.key(i), Valid: valid})
		if err != nil {
			// Nobody says then how much of the one before it counts: all of it, as for the last one.
			p.damage, n, valid = err, i, 0
			continue
		}
		p.segments[i], valid = s, s.PrevValid
	}
	p.segments = p.segments[:n]
}

// trustMissing makes sure that a missing key means that there is no object: stores answer 403 to readers that may not
// list, and 403 is also what no permission at all looks like. The writer's identity object always exists; it was read beside the
// first segments, so that asking for it is no stage of its own.
func (r *tailReader) trustMissing(missing error) error {
	if blob.IsDenied(missing) && r.identity != nil {
		return fmt.Errorf("%w: %w", model.ErrUnavailable, r.identity)
	}
	return nil
}
