// Package cache keeps decoded objects in memory within a budget of bytes.
//
// [Parsed] is a map that forgets: what is put in may be refused or gone at the next
// look, so a caller always passes on what it has just made and never counts on
// finding it again. It decides nothing about freshness; callers revalidate.
//
// Everything is safe for concurrent use. A cache has goroutines of its own from New
// on, which Close ends. Nothing survives the process.
package cache

import (
	"fmt"

	"github.com/dgraph-io/ristretto/v2"
)

// Options are the tunables of a cache.
type Options struct {
	// MaxBytes is the budget. Default 32 MiB.
	MaxBytes int64
	// TypicalBytes is what one entry is expected to cost; it sizes the admission counters. Default 4 KiB.
	TypicalBytes int64
}

// Parsed caches values of one type by key. Which entries stay is decided by how often they are asked for, so
// that one large scan does not drive out what is in use.
type Parsed[V any] struct {
	c *ristretto.Cache[string, V]
}

// NewParsed returns an empty cache. opts may be nil.
func NewParsed[V any](opts *Options) (*Parsed[V], error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 32 << 20
	}
	if o.TypicalBytes <= 0 {
		o.TypicalBytes = 4 << 10
	}
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: max(1000, 10*o.MaxBytes/o.TypicalBytes),
		MaxCost:     o.MaxBytes,
		BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &Parsed[V]{c}, nil
}

// Get returns the value of the key if it is there.
func (p *Parsed[V]) Get(key string) (V, bool) { return p.c.Get(key) }

// Put offers a value that takes the given bytes of memory. It may come into effect a little later, or not at all.
func (p *Parsed[V]) Put(key string, v V, bytes int64) { p.c.Set(key, v, bytes) }

// Delete forgets the key.
func (p *Parsed[V]) Delete(key string) { p.c.Del(key) }

// settle waits until what was put so far has been decided on.
func (p *Parsed[V]) settle() { p.c.Wait() }

// Close forgets everything and ends the cache's goroutines.
func (p *Parsed[V]) Close() { p.c.Close() }
