package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

const (
	// Nothing but what ends like this is ever looked at or removed: the directory may turn out to be somebody's own.
	copySuffix = ".copy"
	tempSuffix = copySuffix + ".tmp"
	lockName   = "lock"
	// longestName of a file that all file systems take.
	longestName = 250
)

// copies are the whole objects in a directory, which belongs to one process at a time. What is in it is one of: the lock, copies under
// their last names, which are complete, files that are being written, and files of others, which stay as they are.
type copies struct {
	fs      vfs.FS
	dir     string
	log     *slog.Logger
	metrics *Metrics

	lockMu sync.Mutex // guards lock
	lock   io.Closer  // nil if the directory was removed and could not be taken anew

	mu       sync.Mutex // guards what follows
	lru      slru[*localCopy]
	byKey    map[string]*localCopy
	reserved int64 // bytes of copies being made
}

// localCopy is one file.
type localCopy struct {
	key  string
	name string // path of the file
	slot *slot[*localCopy]

	mu   sync.Mutex // guards what follows
	of   Object
	sums []uint32 // nil until the file was opened for the object of
}

// openCopies takes the directory, removes what was being written when a process ended, and counts the rest.
func openCopies(fsys vfs.FS, dir string, max int64, log *slog.Logger, m *Metrics) (*copies, error) {
	c := &copies{fs: fsys, dir: dir, log: log, metrics: m, lru: slru[*localCopy]{max: max}, byKey: map[string]*localCopy{}}
	if err := c.open(); err != nil {
		return nil, err
	}
	if err := c.find(); err != nil {
		return nil, fmt.Errorf("cache directory %s: %w", dir, errors.Join(err, c.lock.Close()))
	}
	return c, nil
}

// open makes the directory if it is missing, and locks it.
func (c *copies) open() (err error) {
	if err := c.fs.MkdirAll(c.dir); err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	if c.lock, err = c.fs.Lock(path.Join(c.dir, lockName), false); err != nil {
		return fmt.Errorf("cache directory %s: %w", c.dir, err)
	}
	return nil
}

// reopen takes the directory anew if somebody removed it, and with it the lock. If another process was faster both use it from then on, which
// costs either a copy that the other evicted, and no answer.
func (c *copies) reopen() error {
	c.lockMu.Lock()
	defer c.lockMu.Unlock()
	if c.lock != nil {
		if _, err := c.fs.Stat(path.Join(c.dir, lockName)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		err := c.lock.Close()
		c.lock = nil
		if err != nil {
			return err
		}
	}
	return c.open()
}

// find counts the copies in the directory, the oldest as the least recent. None is opened before somebody asks for it.
func (c *copies) find() error {
	entries, err := c.fs.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var found []fs.FileInfo
	for _, e := range entries {
		switch info, err := e.Info(); {
		case e.IsDir() || e.Name() == lockName:
		case ofTemp(e.Name()):
			if err := c.fs.Remove(path.Join(c.dir, e.Name())); err != nil {
				return err
			}
		case err == nil && keyOf(e.Name()) != "":
			found = append(found, info)
		}
	}
	slices.SortStableFunc(found, func(a, b fs.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, info := range found {
		l := &localCopy{key: keyOf(info.Name()), name: path.Join(c.dir, info.Name())}
		l.slot = c.lru.add(l, info.Size())
		c.byKey[l.key] = l
	}
	c.remove(c.shrink(0))
	return nil
}

// nameOf is the name of the file for a key, "" if it can have none. Keys have no "+".
func nameOf(key string) string {
	name := strings.ReplaceAll(key, "/", "+")
	if len(name)+len(tempSuffix) > longestName || !strings.Contains(name, "+") {
		return ""
	}
	return name + copySuffix
}

// keyOf is the key for the name of a file, "" if it is none of nameOf's.
func keyOf(name string) string {
	key := strings.ReplaceAll(strings.TrimSuffix(name, copySuffix), "+", "/")
	if blob.ValidKey(key) != nil || nameOf(key) != name {
		return ""
	}
	return key
}

// tempOf is the name under which the file is written, and ofTemp reports whether a name is one.
func tempOf(name string) string { return strings.TrimSuffix(name, copySuffix) + tempSuffix }

func ofTemp(name string) bool {
	of, is := strings.CutSuffix(name, tempSuffix)
	return is && keyOf(of+copySuffix) != ""
}

// read returns the ranges from the object's copy, if there is one and it is sound. One that is not is dropped.
func (c *copies) read(o *Object, ranges []blob.Range) ([][]byte, bool) {
	c.mu.Lock()
	l := c.byKey[o.Key]
	if l != nil {
		c.lru.touch(l.slot)
	}
	c.mu.Unlock()
	if l == nil {
		return nil, false
	}
	out, err := c.readFrom(l, o, ranges)
	if err != nil {
		c.fault(l, err)
		return nil, false
	}
	return out, true
}

// readFrom opens the file for each read: an open file stays readable when it is evicted meanwhile, and nothing has to be counted.
func (c *copies) readFrom(l *localCopy, o *Object, ranges []blob.Range) (out [][]byte, err error) {
	f, err := c.fs.Open(l.name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sums, err := l.table(f, o)
	if err != nil {
		return nil, err
	}
	return readCopy(f, o, sums, ranges)
}

// table returns the sums, which are read once.
func (l *localCopy) table(f vfs.File, o *Object) ([]uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sums != nil && l.of.is(o) {
		return l.sums, nil
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	sums, err := readSums(f, info.Size(), o)
	if err != nil {
		return nil, err
	}
	l.of, l.sums = *o, sums
	return sums, nil
}

// fault drops a copy that cannot be read or is not what was written.
func (c *copies) fault(l *localCopy, err error) {
	reason := "unreadable"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		reason = "vanished"
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		reason = "damaged"
	}
	if c.drop(l) {
		c.metrics.faults.WithLabelValues(reason).Inc()
		c.log.Warn("a local copy is dropped; the bucket is read instead", "copy", l.name, "reason", reason, "err", err)
	}
}

// drop forgets and removes a copy, and reports whether it was there.
func (c *copies) drop(l *localCopy) bool {
	c.mu.Lock()
	there := c.byKey[l.key] == l
	if there {
		c.take(l)
	}
	c.mu.Unlock()
	if there {
		c.remove([]*localCopy{l})
	}
	return there
}

// take forgets a copy. The caller holds mu, and removes the file.
func (c *copies) take(l *localCopy) {
	c.lru.remove(l.slot)
	delete(c.byKey, l.key)
	c.gauge()
}

func (c *copies) gauge() {
	c.metrics.disk.size(c.lru.used)
	c.metrics.copies.Set(float64(len(c.byKey)))
}

// remove unlinks files, which are never truncated: who reads one reads on.
func (c *copies) remove(gone []*localCopy) {
	for _, l := range gone {
		if err := c.fs.Remove(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("a local copy cannot be removed", "copy", l.name, "err", err)
		}
	}
}

// shrink forgets copies until the bytes are free, and returns them. The caller holds mu, and removes the files.
func (c *copies) shrink(bytes int64) (gone []*localCopy) {
	for c.lru.used+c.reserved+bytes > c.lru.max {
		s := c.lru.last()
		if s == nil {
			break
		}
		c.take(s.value)
		c.metrics.disk.evicted()
		gone = append(gone, s.value)
	}
	c.gauge()
	return gone
}

// underway are the bytes of copies that are being made, whether they are on the disk yet or not.
func (c *copies) underway() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reserved
}

// shed removes copies until that many bytes are free, or there are none.
func (c *copies) shed(bytes int64) {
	c.mu.Lock()
	gone := c.shrink(c.lru.max - c.lru.used - c.reserved + bytes)
	c.mu.Unlock()
	c.remove(gone)
}

// forget drops the copy of a key.
func (c *copies) forget(key string) {
	c.mu.Lock()
	l := c.byKey[key]
	c.mu.Unlock()
	if l != nil {
		c.drop(l)
	}
}

// has reports whether there is a copy.
func (c *copies) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKey[key] != nil
}

// close lets the directory go; the copies stay for the next process.
func (c *copies) close() error {
	c.lockMu.Lock()
	defer c.lockMu.Unlock()
	if c.lock == nil {
		return nil
	}
	return c.lock.Close()
}
