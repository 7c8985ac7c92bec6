package memtable

import (
	"hash/maphash"
	"sync"

	"github.com/varvedb/varve/model"
)

// hash is a 128-bit keyed hash. The seeds are drawn for each Names, so nobody outside can make two names collide, and by
// chance it does not happen.
type hash struct{ a, b uint64 }

type hasher struct{ a, b maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) sum(key []byte) hash {
	return hash{maphash.Bytes(h.a, key), maphash.Bytes(h.b, key)}
}

// aliases maps hashes to refs. Entries lie in the order in which they were learnt, which is that in which senders send: after one entry
// the next is looked at first, and is nearly always the right one, so that a look-up walks through memory instead of
// jumping about in it. Where it is not, slots find an entry by open addressing, at most seven eighths full. Safe for concurrent
// use; look-ups of a whole batch share one read lock.
type aliases struct {
	mu    sync.RWMutex // guards the rest
	pages []*aliasPage
	n     uint32
	slots []uint64 // upper half of hash.a, then the number of the entry plus 1; 0 is free
}

const aliasesPerPage = 512

type aliasPage struct {
	hashes [aliasesPerPage]hash
	refs   [aliasesPerPage]uint32
}

const aliasPageBytes = aliasesPerPage * 20

// unknown is a series of a batch whose key was not found.
type unknown struct {
	i   int32 // in the batch
	ref uint32
	h   hash
}

// lookup writes the refs of the series to refs, NoSeries for unknown ones, and appends those to rest.
func (t *aliases) lookup(hs hasher, series []model.BatchSeries, refs []uint32, rest []unknown) []unknown {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at := uint32(0)
	for i := range series {
		h := hs.sum(series[i].Key)
		if at >= t.n || t.pages[at/aliasesPerPage].hashes[at%aliasesPerPage] != h {
			var found bool
			if at, found = t.find(h); !found {
				refs[i] = NoSeries
				rest = append(rest, unknown{i: int32(i), h: h})
				continue
			}
		}
		refs[i] = t.pages[at/aliasesPerPage].refs[at%aliasesPerPage]
		at++
	}
	return rest
}

// ref returns the ref of one hash.
func (t *aliases) ref(h hash) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at, found := t.find(h)
	if !found {
		return NoSeries, false
	}
	return t.pages[at/aliasesPerPage].refs[at%aliasesPerPage], true
}

// find returns the number of the entry with the hash. If there is none, what it returns is no number to go on from.
func (t *aliases) find(h hash) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for at := h.a & mask; t.slots[at] != 0; at = (at + 1) & mask {
		if s := t.slots[at]; s>>32 == h.a>>32 {
			n := uint32(s) - 1
			if t.pages[n/aliasesPerPage].hashes[n%aliasesPerPage] == h {
				return n, true
			}
		}
	}
	return 0, false
}

// insert enters hashes with their refs, one behind the other, and returns by how many bytes the table grew. Those without a series
// are left out. When limit entries are reached it forgets all of them first: an alias can always be learnt again.
func (t *aliases) insert(learnt []unknown, limit int) (grown int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range learnt {
		if e.ref == NoSeries {
			continue
		}
		if _, found := t.find(e.h); found {
			continue
		}
		if int(t.n) >= limit {
			clear(t.slots)
			t.n = 0
		}
		grown += t.add(e.h, e.ref)
	}
	return grown
}

func (t *aliases) add(h hash, ref uint32) (grown int) {
	if 8*(int(t.n)+1) > 7*len(t.slots) {
		grown = t.grow()
	}
	if int(t.n/aliasesPerPage) == len(t.pages) {
		t.pages = append(t.pages, &aliasPage{})
		grown += aliasPageBytes
	}
	p := t.pages[t.n/aliasesPerPage]
	p.hashes[t.n%aliasesPerPage], p.refs[t.n%aliasesPerPage] = h, ref
	t.n++
	t.place(h, t.n)
	return grown
}

// place enters the number of an entry plus 1 into the slots.
func (t *aliases) place(h hash, number uint32) {
	mask := uint64(len(t.slots) - 1)
	at := h.a & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = h.a>>32<<32 | uint64(number)
}

func (t *aliases) grow() int {
	old := len(t.slots)
	t.slots = make([]uint64, max(64, 2*old))
	for n := range t.n {
		t.place(t.pages[n/aliasesPerPage].hashes[n%aliasesPerPage], n+1)
	}
	return (len(t.slots) - old) * 8
}
