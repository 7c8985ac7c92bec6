package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/varvedb/varve/model"
)

// Gate bounds the memory that all queries of a process hold together: pages of blocks and what is decoded of them, series, batches and groups
// of the columnar evaluation, answers until they are sent. Each query has a [Hold] on it. It is an account and not an allocator: what is
// small or short-lived is left out. Safe for concurrent use; the nil Gate bounds nothing.
//
// # No deadlock
//
// A query waits only before it holds anything: [Hold.Admit] comes before its first read and reserves a first share, within which it never
// needs to ask. Later it either gets what it asks for at once or fails at once. So nobody who holds memory ever waits for
// memory, and all who hold some go on until they end, which is when those that wait are let in, in the order in which they came. They do
// not wait for longer than the gate's patience.
type Gate struct {
	limit int64
	// first is what a query has to itself once admitted, and step how much is reserved at a time beyond it: a lock is taken once a step.
	first, step int64
	patience    time.Duration
	refused     prometheus.Counter

	mu      sync.Mutex // guards what follows
	used    int64
	queries int
	waiting []*admission // in order
}

// admission is a query that waits for its first share.
type admission struct{ let chan struct{} }

// patience is how long a query waits to be admitted.
const patience = 30 * time.Second

// NewGate returns a gate for limit bytes; nil, which bounds nothing, for 0. reg may be nil.
func NewGate(limit int64, reg prometheus.Registerer) *Gate {
	if limit <= 0 {
		return nil
	}
	g := &Gate{limit: limit, first: max(1, min(limit/4, 8<<20)), step: max(1, min(limit/256, 256<<10)), patience: patience}
	f := promauto.With(reg)
	gauge := func(name, help string, v func() int64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "varve_query_" + name, Help: help}, func() float64 { return float64(v()) })
	}
	gauge("memory_bytes", "Memory that queries have reserved.", g.Used)
	gauge("memory_limit_bytes", "Memory that all queries together may reserve.", func() int64 { return limit })
	gauge("memory_waiting", "Queries that wait for memory before they read anything.", func() int64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		return int64(len(g.waiting))
	})
	g.refused = f.NewCounter(prometheus.CounterOpts{Name: "varve_query_memory_refused_total", Help: "Queries that asked for memory that was not to be had, and failed or made do with less."})
	return g
}

// Used is how much is reserved.
func (g *Gate) Used() int64 {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.used
}

// Open returns the hold of a query, which holds nothing yet. Close it after use.
func (g *Gate) Open() *Hold {
	if g == nil {
		return nil
	}
	return &Hold{gate: g}
}

// MemoryError says that the memory of queries is used up. It wraps model.ErrUnavailable, or model.ErrLimit if no other query is to blame.
type MemoryError struct {
	// Held is what the query held, Asked how much more it asked for.
	Held, Asked int64
	// Used of Limit were reserved by Queries, it among them.
	Used, Limit int64
	Queries     int
	// Waited says for how long it had waited to be admitted; 0 for a query that was.
	Waited time.Duration
}

// Alone reports that the query needs more than there is for all.
func (e *MemoryError) Alone() bool { return e.Held+e.Asked > e.Limit }

func (e *MemoryError) Error() string {
	switch {
	case e.Waited > 0:
		return fmt.Sprintf("query waited %s for memory: %d queries hold %s of the %s for all queries: %s", e.Waited, e.Queries, mib(e.Used), mib(e.Limit), e.Unwrap())
	case e.Alone():
		return fmt.Sprintf("query holds %s of memory and needs %s more, above the %s for all queries: %s", mib(e.Held), mib(e.Asked), mib(e.Limit), e.Unwrap())
	}
	return fmt.Sprintf("query holds %s of memory and needs %s more, while %d queries hold %s of the %s for all: %s",
		mib(e.Held), mib(e.Asked), e.Queries, mib(e.Used), mib(e.Limit), e.Unwrap())
}

func (e *MemoryError) Unwrap() error {
	if e.Alone() {
		return model.ErrLimit
	}
	return model.ErrUnavailable
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// isMemory reports that a query failed for want of memory.
func isMemory(err error) bool {
	_, ok := errors.AsType[*MemoryError](err)
	return ok
}

// Hold is the memory of one query. Safe for concurrent use; the nil Hold counts nothing.
type Hold struct {
	gate *Gate
	// taken is what was taken, reserved what the gate counts for it; that is changed under the gate's lock.
	taken, reserved atomic.Int64
	// Guarded by the gate's lock.
	admitted, refused, closed bool
}

// Admit waits until there is memory for the first share. It is called once, before anything is taken.
func (h *Hold) Admit(ctx context.Context) error {
	if h == nil {
		return nil
	}
	g := h.gate
	g.mu.Lock()
	if len(g.waiting) == 0 && g.used+g.first <= g.limit {
		g.admit(h)
		g.mu.Unlock()
		return nil
	}
	a := &admission{make(chan struct{})}
	g.waiting = append(g.waiting, a)
	g.mu.Unlock()
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	var err error
	select {
	case <-a.let:
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leave(a) {
		// It was let in, perhaps while it gave up: then Close gives the share back.
		g.adopt(h)
		return err
	}
	if err == nil {
		g.refused.Inc()
		err = &MemoryError{Asked: g.first, Used: g.used, Limit: g.limit, Queries: g.queries, Waited: g.patience}
	}
	g.wake() // who comes next may need no more than there is
	return err
}

// admit reserves the first share. The caller holds mu.
func (g *Gate) admit(h *Hold) {
	g.used += g.first
	g.queries++
	g.adopt(h)
}

// adopt gives the hold a share that was reserved. The caller holds mu.
func (g *Gate) adopt(h *Hold) {
	h.admitted = true
	h.reserved.Store(g.first)
}

// leave takes an admission out of the line; false if it was let in. The caller holds mu.
func (g *Gate) leave(a *admission) bool {
	for i, w := range g.waiting {
		if w == a {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// wake lets in who waits, as far as there is room. The caller holds mu.
func (g *Gate) wake() {
	for len(g.waiting) > 0 && g.used+g.first <= g.limit {
		g.used += g.first
		g.queries++
		close(g.waiting[0].let)
		g.waiting = g.waiting[1:]
	}
}

// Take takes n bytes, or none and fails with a *MemoryError. It never waits.
func (h *Hold) Take(n int64) error {
	if h == nil || n <= 0 {
		return nil
	}
	if h.taken.Add(n) <= h.reserved.Load() {
		return nil
	}
	if err := h.reserve(n); err != nil {
		h.taken.Add(-n)
		return err
	}
	return nil
}

// reserve has the gate count all that is taken, n of it just now.
func (h *Hold) reserve(n int64) error {
	g := h.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.closed {
		return nil // nothing will be held for long, and nobody would give it back
	}
	have, need := h.reserved.Load(), h.taken.Load()
	if need <= have {
		return nil
	}
	more := need - have
	if rest := more % g.step; rest > 0 && g.used+more+g.step-rest <= g.limit {
		more += g.step - rest
	}
	if g.used+more > g.limit {
		if !h.refused {
			h.refused = true
			g.refused.Inc()
		}
		return &MemoryError{Held: need - n, Asked: n, Used: g.used, Limit: g.limit, Queries: g.queries}
	}
	if !h.admitted {
		h.admitted = true
		g.queries++
	}
	g.used += more
	h.reserved.Store(have + more)
	return nil
}

// slack is how many steps more than is taken may stay reserved.
const slack = 8

// Give gives n bytes back that were taken.
func (h *Hold) Give(n int64) {
	if h == nil || n <= 0 {
		return
	}
	taken := h.taken.Add(-n)
	g := h.gate
	if h.reserved.Load()-max(taken, g.first) < slack*g.step {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.closed {
		return
	}
	have := h.reserved.Load()
	if less := have - max(h.taken.Load()+g.step, g.first); less > 0 {
		h.reserved.Store(have - less)
		g.used -= less
		g.wake()
	}
}

// Close gives everything back. Whatever is taken or given afterwards does not count.
func (h *Hold) Close() {
	if h == nil {
		return
	}
	g := h.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	if h.admitted {
		g.queries--
	}
	g.used -= h.reserved.Swap(0)
	g.wake()
}
