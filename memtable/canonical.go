package memtable

import "iter"

// seriesByLabels finds series by 32 bits of a keyed hash of their sorted labels; the caller compares the labels of what it
// finds. An entry is those bits and the ref plus 1; 0 is a free slot. Open addressing, at most three quarters full. Not safe for concurrent use.
type seriesByLabels struct {
	slots []uint64
	n     int
}

// find yields the refs that may be meant.
func (c *seriesByLabels) find(h uint64) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		if len(c.slots) == 0 {
			return
		}
		mask := uint64(len(c.slots) - 1)
		for at := h >> 32 & mask; c.slots[at] != 0; at = (at + 1) & mask {
			if e := c.slots[at]; e>>32 == h>>32 && !yield(uint32(e)-1) {
				return
			}
		}
	}
}

// insert enters a series that was not found and returns by how many bytes the table grew.
func (c *seriesByLabels) insert(h uint64, ref uint32) int {
	grown := 0
	if 4*(c.n+1) > 3*len(c.slots) {
		old := c.slots
		c.slots = make([]uint64, max(64, 2*len(old)))
		for _, e := range old {
			if e != 0 {
				c.place(e)
			}
		}
		grown = 8 * (len(c.slots) - len(old))
	}
	c.place(h>>32<<32 | uint64(ref+1))
	c.n++
	return grown
}

func (c *seriesByLabels) place(e uint64) {
	mask := uint64(len(c.slots) - 1)
	at := e >> 32 & mask
	for c.slots[at] != 0 {
		at = (at + 1) & mask
	}
	c.slots[at] = e
}
