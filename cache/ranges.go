package cache

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

const (
	// extentOverhead is what an extent takes besides its bytes, roughly.
	extentOverhead = 256
	// maxObjects bounds the objects that something is remembered of without a byte of theirs being there.
	maxObjects = 1 << 14
)

// ranges keeps stretches of objects in memory. What is asked for may overlap what is there in any way: only the missing parts are read, and
// by one caller, for whom the others wait.
type ranges struct {
	metrics tierMetrics

	mu      sync.Mutex // guards what follows
	lru     slru[*extent]
	objects map[string]*object
}

// object is what is known of one object.
type object struct {
	key     string
	extents []*extent // ascending, none overlaps another
	// gone objects were forgotten: what is on its way lands nowhere.
	gone bool
}

// extent is a stretch of an object that is there or on its way.
type extent struct {
	of       *object
	off, end int64
	data     []byte // nil while on its way
	flight   *flight
	slot     *slot[*extent] // nil while on its way, and when it is not kept
}

// flight is one read that is under way.
type flight struct {
	done chan struct{}
	// Set before done is closed.
	err    error
	stages blob.Stages // that the read took
}

// failure is what a failed read means to those who waited for it. What the bucket said holds for them as well: were each to ask it anew, one after the
// other, the last one would learn of a dead bucket after as many timeouts as there are callers. What only its caller ran into, an end of
// its context or of its budget, is nothing to them: void says that they have to read by themselves.
func (f *flight) failure() (void bool, err error) {
	for _, own := range [...]error{context.Canceled, context.DeadlineExceeded, model.ErrLimit} {
		if errors.Is(f.err, own) {
			return true, nil
		}
	}
	return false, f.err
}

// piece is a part of a range: the bytes [from, to) of the object.
type piece struct {
	in       *extent
	from, to int64
}

func newRanges(max int64, m tierMetrics) *ranges {
	return &ranges{metrics: m, lru: slru[*extent]{max: max}, objects: map[string]*object{}}
}

// read returns the bytes of the wanted ranges. missing reads what is not there.
func (c *ranges) read(ctx context.Context, key string, wanted []blob.Range, missing func(context.Context, []blob.Range) ([][]byte, error)) ([][]byte, error) {
	for first := true; ; first = false {
		f := &flight{done: make(chan struct{})}
		plan, mine := c.plan(key, wanted, f)
		if first {
			c.count(ctx, wanted, plan, f)
		}
		if len(mine) > 0 {
			if err := c.fetch(ctx, mine, f, missing); err != nil {
				return nil, err
			}
		}
		again, err := await(ctx, plan, f)
		if err != nil {
			return nil, err
		}
		if !again {
			return assemble(wanted, plan), nil
		}
	}
}

// plan finds the extents of the ranges and makes those that are missing, which are the caller's to fetch.
func (c *ranges) plan(key string, wanted []blob.Range, f *flight) (plan [][]piece, mine []*extent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.object(key)
	plan = make([][]piece, len(wanted))
	for n, r := range wanted {
		at, end := r.Offset, r.Offset+r.Length
		i := sort.Search(len(o.extents), func(i int) bool { return o.extents[i].end > at })
		for ; at < end; i++ {
			if i == len(o.extents) || o.extents[i].off > at {
				e := &extent{of: o, off: at, end: end, flight: f}
				if i < len(o.extents) {
					e.end = min(end, o.extents[i].off)
				}
				o.extents = slices.Insert(o.extents, i, e)
				mine = append(mine, e)
			}
			e := o.extents[i]
			if e.slot != nil {
				c.lru.touch(e.slot)
			}
			to := min(end, e.end)
			plan[n] = append(plan[n], piece{e, at, to})
			at = to
		}
	}
	return plan, mine
}

// object returns what is known of the object. The caller holds mu.
func (c *ranges) object(key string) *object {
	o := c.objects[key]
	if o == nil {
		if len(c.objects) >= maxObjects {
			c.tidy()
		}
		o = &object{key: key}
		c.objects[key] = o
	}
	return o
}

// tidy forgets some of the objects that have nothing here.
func (c *ranges) tidy() {
	looked := 0
	for key, o := range c.objects {
		if len(o.extents) == 0 {
			delete(c.objects, key)
		}
		if looked++; looked == maxObjects/16 {
			return
		}
	}
}

// count counts the ranges by whether the caller has to read a part of them.
func (c *ranges) count(ctx context.Context, wanted []blob.Range, plan [][]piece, f *flight) {
	hits, bytes := 0, int64(0)
	for i, pieces := range plan {
		if !slices.ContainsFunc(pieces, func(p piece) bool { return p.in.flight == f }) {
			hits, bytes = hits+1, bytes+wanted[i].Length
		}
	}
	c.metrics.hit(hits, bytes)
	c.metrics.missed(len(wanted) - hits)
	Count(ctx, hits, bytes)
}

// fetch reads the extents, which are of one object and this flight.
func (c *ranges) fetch(ctx context.Context, mine []*extent, f *flight, missing func(context.Context, []blob.Range) ([][]byte, error)) (err error) {
	var data [][]byte
	landed := false
	defer func() {
		c.mu.Lock()
		for i, e := range mine {
			if !landed || err != nil {
				c.drop(e)
				continue
			}
			c.land(e, data[i])
		}
		c.mu.Unlock()
		f.err, f.stages = err, blob.StagesOf(ctx)
		if !landed && err == nil { // a panic on its way up
			f.err = context.Canceled
		}
		close(f.done)
	}()
	parts := make([]blob.Range, len(mine))
	for i, e := range mine {
		parts[i] = blob.Range{Offset: e.off, Length: e.end - e.off}
	}
	data, err = missing(ctx, parts)
	// Results may share one large body with what lies between them: a cache that counts its bytes keeps only what it counts.
	for i, b := range data {
		if c.fits(b) {
			data[i] = slices.Clone(b)
		}
	}
	landed = true
	return err
}

// fits reports whether a stretch is small enough to be kept.
func (c *ranges) fits(data []byte) bool { return int64(len(data))+extentOverhead <= c.lru.max/4 }

// land keeps an extent if there is room. The caller holds mu.
func (c *ranges) land(e *extent, data []byte) {
	e.data = data
	if e.of.gone || !c.fits(data) {
		c.drop(e)
		return
	}
	e.slot = c.lru.add(e, int64(len(data))+extentOverhead)
	for c.lru.used > c.lru.max {
		c.drop(c.lru.last().value)
		c.metrics.evicted()
	}
	c.metrics.size(c.lru.used)
}

// drop takes the extent out; who has found it already may use it on. The caller holds mu.
func (c *ranges) drop(e *extent) {
	if e.slot != nil {
		c.lru.remove(e.slot)
		e.slot = nil
	}
	all := e.of.extents
	if i := sort.Search(len(all), func(i int) bool { return all[i].off >= e.off }); i < len(all) && all[i] == e {
		e.of.extents = slices.Delete(all, i, i+1)
	}
}

// forget lets go of all of an object.
func (c *ranges) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[key]
	if o == nil {
		return
	}
	delete(c.objects, key)
	for _, e := range o.extents {
		if e.slot != nil {
			c.lru.remove(e.slot)
			e.slot = nil
		}
	}
	o.extents, o.gone = nil, true
	c.metrics.size(c.lru.used)
}

// has reports whether all of the range is there.
func (c *ranges) has(key string, r blob.Range) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[key]
	if o == nil {
		return false
	}
	at := r.Offset
	for i := sort.Search(len(o.extents), func(i int) bool { return o.extents[i].end > at }); at < r.Offset+r.Length; i++ {
		if i == len(o.extents) || o.extents[i].off > at || o.extents[i].data == nil {
			return false
		}
		at = o.extents[i].end
	}
	return true
}

// await waits for the reads of others that the plan counts on. again says that the caller of one gave up, and that the plan is void.
func await(ctx context.Context, plan [][]piece, mine *flight) (again bool, err error) {
	for _, pieces := range plan {
		for _, p := range pieces {
			f := p.in.flight
			if f == mine {
				continue
			}
			if err := f.wait(ctx); err != nil {
				return false, err
			}
			void, err := f.failure()
			if err != nil {
				return false, err
			}
			again = again || void
		}
	}
	return again, nil
}

// wait returns when the read has ended, with an error only if ctx ended first.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil // it is there, or was about to be: nothing was waited for
	default:
	}
	select {
	case <-f.done:
		blob.Waited(ctx, f.stages)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// assemble makes the results of pieces that are all there.
func assemble(wanted []blob.Range, plan [][]piece) [][]byte {
	out := make([][]byte, len(wanted))
	for i, pieces := range plan {
		switch len(pieces) {
		case 0:
			out[i] = []byte{}
		case 1:
			p := pieces[0]
			from, to := p.from-p.in.off, p.to-p.in.off
			out[i] = p.in.data[from:to:to]
		default:
			out[i] = make([]byte, 0, wanted[i].Length)
			for _, p := range pieces {
				out[i] = append(out[i], p.in.data[p.from-p.in.off:p.to-p.in.off]...)
			}
		}
	}
	return out
}
