package memfs

import (
	"io/fs"
	"time"
)

// node is a file or a directory, whatever its names. All fields are guarded by disk.mu.
type node struct {
	dir   bool
	mtime time.Time

	// data is the content. durable is what a power loss leaves; it may share memory with data, which
	// is therefore never changed in place below its length, only appended to.
	data, durable []byte
	// dirty are the ranges written since the last Sync, lost those whose Sync failed.
	dirty []span
	lost  []lostSpan

	// names is the directory as the process sees it, durableNames as of the last SyncDir.
	names, durableNames map[string]*node
}

type span struct{ from, to int64 }

// lostSpan is a range whose sync failed: on disk it holds either what was there before (old,
// zeroes beyond the old end), or what was written, sector by sector.
type lostSpan struct {
	span
	old []byte
}

func newDir(now time.Time) *node {
	return &node{dir: true, mtime: now, names: map[string]*node{}, durableNames: map[string]*node{}}
}

// write puts p at offset off and zeroes in any gap before it.
func (n *node) write(off int64, p []byte) {
	end := off + int64(len(p))
	size := int64(len(n.data))
	if off < size {
		// Bytes below the end may be shared with durable or a mapping: copy before changing them.
		data := make([]byte, max(end, size))
		copy(data, n.data)
		copy(data[off:], p)
		n.data = data
	} else {
		if off > size {
			n.data = append(n.data, make([]byte, off-size)...)
		}
		n.data = append(n.data, p...)
	}
	n.mark(min(off, size), end)
}

// truncate cuts or extends the content.
func (n *node) truncate(to int64) {
	size := int64(len(n.data))
	if to <= size {
		// The capacity goes too, so that a later append cannot reach bytes that durable shares.
		n.data = n.data[:to:to]
		n.mark(to, size)
		return
	}
	n.data = append(n.data, make([]byte, to-size)...)
	n.mark(size, to)
}

func (n *node) mark(from, to int64) {
	if from >= to {
		return
	}
	if k := len(n.dirty); k > 0 && from <= n.dirty[k-1].to && to >= n.dirty[k-1].from {
		n.dirty[k-1] = span{min(from, n.dirty[k-1].from), max(to, n.dirty[k-1].to)}
		return
	}
	n.dirty = append(n.dirty, span{from, to})
}

// sync makes the content durable, but for ranges that an earlier failed sync lost and nobody has written since.
func (n *node) sync() {
	var still []lostSpan
	for _, l := range n.lost {
		still = append(still, l.minus(n.dirty, int64(len(n.data)))...)
	}
	n.lost, n.dirty = still, nil
	n.durable = n.data
}

// syncFailed marks the dirty ranges clean although they were not written.
func (n *node) syncFailed() {
	for _, d := range n.dirty {
		d.to = min(d.to, int64(len(n.data)))
		if d.from >= d.to {
			continue
		}
		old := make([]byte, d.to-d.from)
		if d.from < int64(len(n.durable)) {
			copy(old, n.durable[d.from:])
		}
		n.lost = append(n.lost, lostSpan{d, old})
	}
	n.dirty = nil
}

// minus is what remains of l below size without the ranges of cut.
func (l lostSpan) minus(cut []span, size int64) []lostSpan {
	rest := []lostSpan{l}
	for _, c := range append([]span{{size, 1 << 62}}, cut...) {
		var next []lostSpan
		for _, r := range rest {
			if c.from >= r.to || c.to <= r.from {
				next = append(next, r)
				continue
			}
			if c.from > r.from {
				next = append(next, lostSpan{span{r.from, c.from}, r.old[:c.from-r.from]})
			}
			if c.to < r.to {
				next = append(next, lostSpan{span{c.to, r.to}, r.old[c.to-r.from:]})
			}
		}
		rest = next
	}
	return rest
}

// info is the fs.FileInfo of a node at one moment.
type info struct {
	name  string
	size  int64
	dir   bool
	mtime time.Time
}

func (n *node) info(name string) info {
	return info{name: name, size: int64(len(n.data)), dir: n.dir, mtime: n.mtime}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.mtime }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o750
	}
	return 0o640
}
