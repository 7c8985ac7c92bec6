package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// requestBytes is what a request counts when it is weighed whether to copy an object: as many bytes as blob would rather read in vain
// than make another one.
const requestBytes = 64 << 10

// BucketOptions are the tunables of a Bucket.
type BucketOptions struct {
	// MemoryBytes is the budget of what is kept in memory; 0 keeps nothing there.
	MemoryBytes int64
	// Dir is where copies of whole objects lie. "" makes none.
	Dir string
	// DiskBytes is the budget of Dir. Default 1 GiB.
	DiskBytes int64
	// Eager copies an object once an eighth of its price was spent on parts of it: for processes that end before they learn more.
	Eager bool
	// KeepFree is how much of Dir's file system copies leave free, where that can be told: when one is to be made and there is less,
	// older ones give way. Default 1 GiB.
	KeepFree int64
}

// Reader is what a Bucket reads from: a *blob.Bucket.
type Reader interface {
	ReadRanges(ctx context.Context, key string, ranges []blob.Range, opts *blob.ReadOptions) ([][]byte, error)
}

// Components are what a Bucket works with. From is required.
type Components struct {
	From Reader
	// FS holds Dir. Default the machine's.
	FS vfs.FS
	// Now is the clock; the default is the machine's.
	Now func() time.Time
	// Logger gets what happens to copies. Default: none.
	Logger *slog.Logger
	// Metrics count; nil for none.
	Metrics *Metrics
}

// Bucket reads ranges of immutable objects, and keeps what it read: stretches in memory, whole objects as copies on
// the local disk. It must not be asked for objects that change.
type Bucket struct {
	from    Reader
	metrics *Metrics
	eager   bool
	memory  *ranges // nil if nothing is kept in memory
	copier  *copier // nil without a directory
}

// NewBucket returns a Bucket. It fails with vfs.ErrLocked if another process has the directory, and otherwise if that cannot be used.
// Copies are made while Run runs. Close it after use.
func NewBucket(opts *BucketOptions, c Components) (*Bucket, error) {
	o := *opts
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	b := &Bucket{from: c.From, metrics: c.Metrics, eager: o.Eager}
	if o.MemoryBytes > 0 {
		b.memory = newRanges(o.MemoryBytes, b.metrics.memory)
	}
	if o.Dir == "" {
		return b, nil
	}
	setDefault(&o.DiskBytes, 1<<30)
	setDefault(&o.KeepFree, 1<<30)
	if c.FS == nil {
		c.FS = vfs.OS{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	copies, err := openCopies(c.FS, o.Dir, o.DiskBytes, c.Logger, b.metrics)
	if err != nil {
		return nil, err
	}
	b.copier = newCopier(copies, c, o.KeepFree)
	if b.memory != nil {
		b.copier.replaced = b.memory.forget // the room is better used for what has no copy
	}
	return b, nil
}

func setDefault(v *int64, d int64) {
	if *v <= 0 {
		*v = d
	}
}

// Run makes copies in the background until ctx ends, and returns when none is being made any more.
func (b *Bucket) Run(ctx context.Context) {
	if b.copier != nil {
		b.copier.run(ctx)
	}
}

// Drain makes the copies that are due, and returns: for a process that is too short to Run.
func (b *Bucket) Drain(ctx context.Context) {
	if b.copier != nil {
		b.copier.drain(ctx)
	}
}

// Close lets the directory go. Run and all reads must have ended.
func (b *Bucket) Close() error {
	if b.copier == nil {
		return nil
	}
	if err := b.copier.close(); err != nil {
		return fmt.Errorf("close cache directory: %w", err)
	}
	return nil
}

// ReadRanges returns the bytes of the ranges, result i those of range i, each with its end as its capacity. Results are shared and
// must not be changed; they stay valid. One call waits for at most one call of the reader below, or for reads that others have begun. An object
// that is read without its size and checksum is never copied.
func (b *Bucket) ReadRanges(ctx context.Context, key string, ranges []blob.Range) ([][]byte, error) {
	return b.Read(ctx, &Object{Key: key}, ranges)
}

// Read is ReadRanges of an object of which the size and checksum are known, so that it may be copied.
func (b *Bucket) Read(ctx context.Context, o *Object, ranges []blob.Range) ([][]byte, error) {
	if b.copier != nil && o.Size > 0 {
		if out, ok := b.copier.read(o, ranges); ok {
			var bytes int64
			for _, r := range ranges {
				bytes += r.Length
			}
			b.metrics.disk.hit(len(ranges), bytes)
			Count(ctx, len(ranges), bytes)
			return out, nil
		}
		b.metrics.disk.missed(len(ranges))
	}
	missing := func(ctx context.Context, parts []blob.Range) ([][]byte, error) {
		data, err := b.from.ReadRanges(ctx, o.Key, parts, nil)
		switch {
		case errors.Is(err, model.ErrNotFound):
			b.Forget(o.Key)
		case err == nil:
			b.pay(o, parts)
		}
		return data, err
	}
	if b.memory == nil {
		return missing(ctx, ranges)
	}
	return b.memory.read(ctx, o.Key, ranges, missing)
}

// pay notes what was spent on parts of an object. Once that is as much as the whole of it would have cost, the whole is copied: so all that is
// ever read of an object is at most twice what the wisest choice would have read, however often it will be asked for.
func (b *Bucket) pay(o *Object, parts []blob.Range) {
	if b.copier == nil || o.Size == 0 {
		return
	}
	var spent int64
	for _, r := range parts {
		spent += r.Length + requestBytes
	}
	price := o.Size
	if b.eager {
		price /= 8
	}
	if b.copier.pay(o.Key, spent) >= price {
		b.copier.offer(o)
	}
}

// Has reports whether a read of the range would take no request now.
func (b *Bucket) Has(o *Object, r blob.Range) bool {
	return b.copier != nil && b.copier.has(o.Key) || b.memory != nil && b.memory.has(o.Key, r)
}

// Forget lets go of what is kept of an object that is no more.
func (b *Bucket) Forget(key string) {
	if b.memory != nil {
		b.memory.forget(key)
	}
	if b.copier != nil {
		b.copier.forget(key)
	}
}
