package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

const (
	// copiersAtATime is how many objects are copied at one time, and stepBytes what each reads with one request.
	copiersAtATime = 2
	stepBytes      = 4 << 20 // a multiple of sumBytes
	// maxQueued objects wait to be copied; more are asked for again by the next read that they cost.
	maxQueued = 256
	// maxPaid objects are known of which parts were read.
	maxPaid = 1 << 16
	// restAfterFault is how long nothing is copied after the disk refused.
	restAfterFault = 5 * time.Minute
)

// copier makes copies in the background.
type copier struct {
	*copies
	from Reader
	now  func() time.Time
	wake chan struct{}         // holds a token when something was queued
	free func() (int64, error) // nil if it cannot be told
	// replaced is told of objects that there is a copy of now; nil for nobody.
	replaced func(key string)
	keep     int64

	qmu    sync.Mutex // guards what follows
	queue  []Object
	busy   map[string]bool  // queued or being copied
	paused time.Time        // nothing is copied until then
	ailing bool             // the last try met a fault of the disk, which was logged
	paid   map[string]int64 // what was spent on parts of objects that have no copy
	bad    map[string]bool  // objects whose bytes do not match their checksum; they are not tried again
}

func newCopier(copies *copies, c Components, keep int64) *copier {
	k := &copier{
		copies: copies, from: c.From, now: c.Now, wake: make(chan struct{}, 1), keep: keep,
		busy: map[string]bool{}, paid: map[string]int64{}, bad: map[string]bool{},
	}
	if disk, ok := c.FS.(interface {
		Free(dir string) (int64, error)
	}); ok {
		k.free = func() (int64, error) { return disk.Free(copies.dir) }
	}
	return k
}

// pay adds to what was spent on an object, and returns the sum.
func (c *copier) pay(key string, n int64) int64 {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	if _, known := c.paid[key]; !known && len(c.paid) >= maxPaid {
		for any := range c.paid { // whichever comes first: what is read often is soon back
			delete(c.paid, any)
			break
		}
	}
	c.paid[key] += n
	return c.paid[key]
}

// offer queues an object that is worth a copy, if there is none of it yet and it is small enough.
func (c *copier) offer(o *Object) {
	if nameOf(o.Key) == "" || copyBytes(o.Size) > c.lru.max/2 || c.has(o.Key) {
		return
	}
	c.qmu.Lock()
	defer c.qmu.Unlock()
	if c.busy[o.Key] || c.bad[o.Key] || len(c.queue) >= maxQueued || c.now().Before(c.paused) {
		return
	}
	c.busy[o.Key] = true
	c.queue = append(c.queue, *o)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next takes the first object of the queue, nil if it is empty.
func (c *copier) next() *Object {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	if len(c.queue) == 0 {
		return nil
	}
	o := c.queue[0]
	c.queue = c.queue[1:]
	return &o
}

// run copies what is queued until ctx ends.
func (c *copier) run(ctx context.Context) {
	var all sync.WaitGroup
	for range copiersAtATime {
		all.Go(func() {
			for ctx.Err() == nil {
				c.drain(ctx)
				select {
				case <-c.wake:
				case <-ctx.Done():
				}
			}
		})
	}
	all.Wait()
}

// drain copies what is queued and returns when the queue is empty.
func (c *copier) drain(ctx context.Context) {
	for ctx.Err() == nil {
		o := c.next()
		if o == nil {
			return
		}
		if len(c.wake) == 0 { // another copier may help with the rest
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}
		c.settle(o, c.copy(ctx, o))
	}
}

// settle notes how a copy ended.
func (c *copier) settle(o *Object, err error) {
	c.qmu.Lock()
	defer c.qmu.Unlock()
	delete(c.busy, o.Key)
	delete(c.paid, o.Key) // after a failure it has to be worth it once more
	var disk *diskError
	switch {
	case err == nil:
		c.ailing = false
		return
	case errors.Is(err, context.Canceled), errors.Is(err, model.ErrNotFound), errors.Is(err, errNoRoom):
		return
	case errors.Is(err, model.ErrCorrupt):
		c.bad[o.Key] = true
		c.log.Error("an object does not match its checksum and is not copied", "key", o.Key, "err", err)
	case errors.As(err, &disk):
		if !c.ailing {
			c.log.Warn("local copies cannot be made; queries read the bucket", "dir", c.dir, "err", err, "next_try_in", restAfterFault)
		}
		c.ailing, c.paused = true, c.now().Add(restAfterFault)
		for _, o := range c.queue {
			delete(c.busy, o.Key)
		}
		c.queue = nil
	default:
		c.log.Debug("an object was not copied", "key", o.Key, "err", err)
	}
	c.metrics.failures.Inc()
}

// errNoRoom says that the budget is full of copies that are being made.
var errNoRoom = errors.New("no room for a copy")

// diskError is a fault of the directory, not of the bucket.
type diskError struct{ err error }

func (e *diskError) Error() string { return e.err.Error() }
func (e *diskError) Unwrap() error { return e.err }

// copy makes a copy of the object: under another name until it is complete, checked and synced.
func (c *copier) copy(ctx context.Context, o *Object) error {
	bytes := copyBytes(o.Size)
	if c.has(o.Key) { // made between a query's look and its offer
		return nil
	}
	if err := c.reopen(); err != nil {
		return &diskError{err}
	}
	if err := c.room(bytes); err != nil {
		return err
	}
	if err := c.reserve(bytes); err != nil {
		return err
	}
	l := &localCopy{key: o.Key, name: path.Join(c.dir, nameOf(o.Key))}
	err := c.write(ctx, l, o)
	c.enter(l, bytes, err)
	if err == nil {
		c.metrics.copied.Add(float64(o.Size))
		if c.replaced != nil {
			c.replaced(o.Key)
		}
	}
	return err
}

// enter turns a reservation into a copy, or gives it back after an error.
func (c *copier) enter(l *localCopy, bytes int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved -= bytes
	if err == nil {
		l.slot = c.lru.add(l, bytes)
		c.byKey[l.key] = l
		c.gauge()
	}
}

// room makes sure that the file system will be left with what it must keep. Where others have filled it, copies give way; it fails if that
// is not enough.
func (c *copier) room(bytes int64) error {
	if c.free == nil {
		return nil
	}
	for gaveWay := false; ; gaveWay = true {
		free, err := c.free()
		if err != nil {
			return &diskError{fmt.Errorf("free bytes of %s: %w", c.dir, err)}
		}
		short := c.keep + bytes + c.underway() - free
		switch {
		case short <= 0:
			return nil
		case gaveWay:
			return &diskError{fmt.Errorf("%d bytes are free in %s, of which %d stay so", free, c.dir, c.keep)}
		}
		c.shed(short)
	}
}

// reserve takes the bytes off the budget and removes what has to go for them.
func (c *copier) reserve(bytes int64) error {
	c.mu.Lock()
	if c.reserved+bytes > c.lru.max {
		c.mu.Unlock()
		return errNoRoom
	}
	gone := c.shrink(bytes)
	c.reserved += bytes
	c.mu.Unlock()
	c.remove(gone)
	return nil
}

// write makes the file of a copy. After an error there is none.
func (c *copier) write(ctx context.Context, l *localCopy, o *Object) (err error) {
	temp := tempOf(l.name)
	f, err := c.fs.Create(temp)
	if err != nil {
		return &diskError{err}
	}
	err = c.fill(ctx, f, o)
	if closeErr := f.Close(); err == nil && closeErr != nil {
		err = &diskError{closeErr}
	}
	if err == nil {
		if err = c.fs.Rename(temp, l.name); err == nil {
			err = c.fs.SyncDir(c.dir)
		}
		if err != nil {
			err = &diskError{errors.Join(err, removeFile(c.fs, l.name))}
		}
	}
	if err != nil {
		return errors.Join(err, removeFile(c.fs, temp))
	}
	return nil
}

// removeFile removes a file if there is one; a directory only if it is empty.
func removeFile(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fill writes the object into the file and syncs it.
func (c *copier) fill(ctx context.Context, f vfs.File, o *Object) error {
	w := copyWriter{w: f, o: o}
	for w.done < o.Size {
		step := blob.Range{Offset: w.done, Length: min(stepBytes, o.Size-w.done)}
		data, err := c.from.ReadRanges(ctx, o.Key, []blob.Range{step}, nil)
		if err != nil {
			return err
		}
		if err := w.write(data[0]); err != nil {
			return &diskError{err}
		}
	}
	if err := w.finish(); err != nil {
		if errors.Is(err, model.ErrCorrupt) {
			return fmt.Errorf("copy %s: %w", o.Key, err)
		}
		return &diskError{err}
	}
	if err := f.Sync(); err != nil {
		return &diskError{err}
	}
	return nil
}
