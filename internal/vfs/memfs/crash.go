package memfs

import (
	"maps"
	"math/rand"
	"slices"
)

// sector is the unit that a disk writes whole.
const sector = 512

// Crash is the power loss: every process on the disk is dead, and the file system that comes
// up again is returned. With rng nil nothing survives that was not synced. With rng each unsynced
// thing is forgotten, kept, or kept in part, as rng decides. It may be called again for another outcome.
func (f *FS) Crash(rng *rand.Rand) *FS {
	d := f.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	d.freed.Broadcast()
	c := crash{rng: rng, renames: d.renames, copies: map[*node]*node{}}
	up := newDisk(d.now)
	up.root = c.copy(d.root)
	return &FS{d: up}
}

// crash is one power loss in progress. Directories are walked sorted by name, so that one seed
// has one outcome.
type crash struct {
	rng     *rand.Rand
	renames []rename
	copies  map[*node]*node
	chosen  map[*node]map[string]*node
}

func (c *crash) flip() bool { return c.rng != nil && c.rng.Intn(2) == 0 }

// copy returns what is left of a node; all names of one file keep sharing it.
func (c *crash) copy(n *node) *node {
	if done := c.copies[n]; done != nil {
		return done
	}
	left := &node{dir: n.dir, mtime: n.mtime}
	c.copies[n] = left
	if !n.dir {
		left.data = c.content(n)
		left.durable = left.data
		return left
	}
	left.names, left.durableNames = map[string]*node{}, map[string]*node{}
	names := c.names(n)
	for _, base := range slices.Sorted(maps.Keys(names)) {
		child := c.copy(names[base])
		left.names[base], left.durableNames[base] = child, child
	}
	return left
}

// names decides for each entry that differs from the durable one.
func (c *crash) names(dir *node) map[string]*node {
	if names := c.chosen[dir]; names != nil {
		return names
	}
	names := maps.Clone(dir.durableNames)
	all := maps.Clone(dir.durableNames)
	maps.Copy(all, dir.names)
	for _, base := range slices.Sorted(maps.Keys(all)) {
		now := dir.names[base]
		if now == dir.durableNames[base] || !c.flip() {
			continue
		}
		if now == nil {
			delete(names, base)
		} else {
			names[base] = now
		}
	}
	if c.chosen == nil {
		c.chosen = map[*node]map[string]*node{}
	}
	c.chosen[dir] = names
	c.mendRenames(dir, names)
	return names
}

// mendRenames keeps renames whole: a file has its old name iff no newer one survived. (Where only the old directory was
// synced afterwards, the file is lost, as POSIX allows.)
func (c *crash) mendRenames(dir *node, names map[string]*node) {
	for _, r := range c.renames {
		if r.fromDir != dir || dir.durableNames[r.from] != r.n || dir.names[r.from] == r.n {
			continue
		}
		if !c.renamed(r.n) {
			names[r.from] = r.n
		} else if names[r.from] == r.n {
			delete(names, r.from)
		}
	}
}

// renamed reports whether a file survives under any name that a rename gave it.
func (c *crash) renamed(n *node) bool {
	for _, r := range c.renames {
		if r.n == n && c.names(r.toDir)[r.to] == n {
			return true
		}
	}
	return false
}

// content decides what a file holds.
func (c *crash) content(n *node) []byte {
	data := slices.Clone(n.durable)
	for _, l := range n.lost {
		c.merge(data, l.from, l.old, n.durable[min(l.from, int64(len(n.durable))):])
	}
	if c.rng == nil || len(n.dirty) == 0 && len(n.lost) == 0 {
		return data
	}
	switch c.rng.Intn(5) {
	case 0: // nothing reached the disk
		return data
	case 1: // everything did
		return slices.Clone(n.data)
	case 2: // a prefix of the new bytes; of a file that was cut, one of the two lengths
		if len(n.data) < len(data) {
			return data[:len(n.data)]
		}
		return slices.Clone(n.data[:c.between(len(data), len(n.data))])
	case 3: // the length, with some sectors missing
		full := make([]byte, len(n.data))
		c.merge(full, 0, append(data, full...)[:len(full)], n.data)
		return full
	default: // a length, and nothing in it
		if len(n.data) <= len(data) {
			return data
		}
		full := make([]byte, c.between(len(data), len(n.data)))
		copy(full, data)
		return full
	}
}

// merge fills dst from offset off, sector by sector, with old or new bytes (or zeroes, where old is zero).
func (c *crash) merge(dst []byte, off int64, old, now []byte) {
	for at := 0; at < len(old); {
		abs := off + int64(at)
		end := at + sector - int(abs%sector)
		end = min(end, len(old))
		from := old
		if c.flip() {
			from = now
		}
		if abs < int64(len(dst)) && at < len(from) {
			copy(dst[abs:], from[at:min(end, len(from))])
		}
		at = end
	}
}

func (c *crash) between(low, high int) int { return low + c.rng.Intn(high-low+1) }
