package memtable

import (
	"hash/maphash"
	"sync"
)

// hash is a 128-bit keyed hash. The seeds are drawn per table, so nobody outside can make two names collide, and by
// chance it does not happen.
type hash struct{ a, b uint64 }

type hasher struct{ a, b maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) sum(key []byte) hash {
	return hash{maphash.Bytes(h.a, key), maphash.Bytes(h.b, key)}
}

// aliases maps hashes to refs by open addressing: one array without pointers, at most seven eighths full. Safe for
// concurrent use; look-ups of a whole batch share one read lock.
type aliases struct {
	mu    sync.RWMutex // guards the rest
	slots []slot
	n     int
}

// slot is an entry; ref is 1 higher than the series' so that 0 means free.
type slot struct {
	h   hash
	ref uint32
}

const slotBytes = 24

// lookup writes the refs of the hashes to refs, plus 1, and 0 for unknown ones.
func (t *aliases) lookup(hashes []hash, refs []uint32) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, h := range hashes {
		refs[i] = t.find(h)
	}
}

// find returns the ref plus 1, or 0.
func (t *aliases) find(h hash) uint32 {
	mask := uint64(len(t.slots) - 1)
	if mask == ^uint64(0) {
		return 0
	}
	for at := h.a & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.h == h || s.ref == 0 {
			return s.ref
		}
	}
}

// insert enters the hash with a ref plus 1 and returns by how many bytes the table grew. When limit entries are
// reached it forgets all of them first: an alias can always be learnt again.
func (t *aliases) insert(h hash, ref uint32, limit int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n >= limit {
		clear(t.slots)
		t.n = 0
	}
	grown := 0
	if 8*(t.n+1) > 7*len(t.slots) {
		grown = t.grow()
	}
	t.place(h, ref)
	return grown
}

func (t *aliases) place(h hash, ref uint32) {
	mask := uint64(len(t.slots) - 1)
	for at := h.a & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.ref == 0 {
			t.n++
		} else if s.h != h {
			continue
		}
		*s = slot{h, ref}
		return
	}
}

func (t *aliases) grow() int {
	old := t.slots
	t.slots = make([]slot, max(64, 2*len(old)))
	t.n = 0
	for _, s := range old {
		if s.ref != 0 {
			t.place(s.h, s.ref)
		}
	}
	return (len(t.slots) - len(old)) * slotBytes
}
