package cache

import (
	"context"
	"fmt"
	"sync"

	"github.com/dgraph-io/ristretto/v2"
)

// Options are the tunables of a cache.
type Options struct {
	// MaxBytes is the budget. Default 32 MiB.
	MaxBytes int64
	// TypicalBytes is what one entry is expected to cost; it sizes the admission counters. Default 4 KiB.
	TypicalBytes int64
	// Metrics count what Get finds, as tier "parsed", for one Parsed; nil for none.
	Metrics *Metrics
}

// Parsed caches values of one type by key. Which entries stay is decided by how often they are asked for, so
// that one large scan does not drive out what is in use.
type Parsed[V any] struct {
	c       *ristretto.Cache[string, V]
	metrics tierMetrics

	mu      sync.Mutex // guards flights
	flights map[string]*making[V]
}

// making is a value on its way.
type making[V any] struct {
	done chan struct{}
	// Set before done is closed.
	v    V
	made bool
}

// NewParsed returns an empty cache. opts may be nil.
func NewParsed[V any](opts *Options) (*Parsed[V], error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	setDefault(&o.MaxBytes, 32<<20)
	setDefault(&o.TypicalBytes, 4<<10)
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	tier := o.Metrics.parsed
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: max(1000, 10*o.MaxBytes/o.TypicalBytes),
		MaxCost:     o.MaxBytes,
		BufferItems: 64,
		OnEvict:     func(*ristretto.Item[V]) { tier.evicted() },
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	held := func() float64 { return float64(c.MaxCost() - c.RemainingCost()) }
	o.Metrics.parsedBytes.Store(&held)
	return &Parsed[V]{c: c, metrics: tier, flights: map[string]*making[V]{}}, nil
}

// Get returns the value of the key if it is there.
func (p *Parsed[V]) Get(key string) (V, bool) {
	v, ok := p.c.Get(key)
	if ok {
		p.metrics.hit(1, 0)
	} else {
		p.metrics.missed(1)
	}
	return v, ok
}

// Put offers a value that takes the given bytes of memory. It may come into effect a little later, or not at all.
func (p *Parsed[V]) Put(key string, v V, bytes int64) { p.c.Set(key, v, bytes) }

// Do returns the value of the key, which it makes if there is none; hit says that it was there. Of several callers at a
// time one makes it and the others wait. Make also says how many bytes the value takes. Its error goes to the caller who made it;
// the others try by themselves.
func (p *Parsed[V]) Do(ctx context.Context, key string, make func() (v V, bytes int64, err error)) (v V, hit bool, err error) {
	for {
		if v, ok := p.c.Get(key); ok {
			return v, true, nil
		}
		p.mu.Lock()
		m := p.flights[key]
		if m == nil {
			m = p.begin(key)
			p.mu.Unlock()
			v, err := p.make(key, m, make)
			return v, false, err
		}
		p.mu.Unlock()
		select {
		case <-m.done:
			if m.made {
				return m.v, true, nil
			}
		case <-ctx.Done():
			return v, false, context.Cause(ctx)
		}
	}
}

// begin registers a value on its way. The caller holds mu.
func (p *Parsed[V]) begin(key string) *making[V] {
	m := &making[V]{done: make(chan struct{})}
	p.flights[key] = m
	return m
}

func (p *Parsed[V]) make(key string, m *making[V], make func() (V, int64, error)) (V, error) {
	defer func() {
		p.mu.Lock()
		delete(p.flights, key)
		p.mu.Unlock()
		close(m.done)
	}()
	v, bytes, err := make()
	if err != nil {
		return v, err
	}
	m.v, m.made = v, true
	p.c.Set(key, v, bytes)
	return v, nil
}

// Delete forgets the key.
func (p *Parsed[V]) Delete(key string) { p.c.Del(key) }

// Settle waits until what was put so far has been decided on. Only tests need to know.
func (p *Parsed[V]) Settle() { p.c.Wait() }

// Close forgets everything and ends the cache's goroutines.
func (p *Parsed[V]) Close() { p.c.Close() }
