package varve

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/internal/vfs"
)

// caches stand between queries and the blocks in the bucket.
type caches struct {
	bytes  *cache.Bucket
	parsed *cache.Parsed[any] // nil if nothing is kept in memory
}

// openCaches never fails for want of the directory: everything in it can be had from the bucket.
func openCaches(o *Options, b *blob.Bucket) (*caches, error) {
	memory := max(o.Cache.MemoryBytes, 0)
	opts := &cache.BucketOptions{MemoryBytes: memory - memory/3, Dir: o.Cache.Dir, DiskBytes: o.Cache.DiskBytes, Eager: o.Cache.Eager}
	components := cache.Components{From: b, Now: o.Now, Logger: o.Logger, Metrics: cache.NewMetrics(o.Registerer)}
	bytes, err := cache.NewBucket(opts, components)
	if err != nil {
		if errors.Is(err, vfs.ErrLocked) {
			o.Logger.Warn("another process has the cache directory; this one makes no local copies", "dir", o.Cache.Dir)
		} else {
			o.Logger.Warn("the cache directory cannot be used; no local copies are made", "err", err)
		}
		opts.Dir = ""
		if bytes, err = cache.NewBucket(opts, components); err != nil {
			return nil, fmt.Errorf("make cache: %w", err)
		}
	}
	c := &caches{bytes: bytes}
	if memory > 0 {
		c.parsed, err = cache.NewParsed[any](&cache.Options{MaxBytes: memory / 3, TypicalBytes: 8 << 10, Metrics: components.Metrics})
		if err != nil {
			return nil, errors.Join(err, bytes.Close())
		}
	}
	return c, nil
}

// reader is the reader of blocks.
func (c *caches) reader() blocks.RangeReader { return blocks.NewCache(c.bytes, c.parsed) }

func (c *caches) close() error {
	if c.parsed != nil {
		c.parsed.Close()
	}
	return c.bytes.Close()
}

// Run copies blocks that are read much into the cache directory, if there is one, until ctx ends. Without it queries are answered all the same.
func (r *Reader) Run(ctx context.Context) { r.caches.bytes.Run(ctx) }

// KeepWarm makes the local copies that queries so far have shown to be worth it, and returns: for a process that ends soon.
func (r *Reader) KeepWarm(ctx context.Context) { r.caches.bytes.Drain(ctx) }
