package memtable

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// arena hands out blocks from slabs of memory that holds no pointers. A block is named by its offset in units of unitBytes, counted over all slabs;
// 0 names none. Safe for concurrent use.
type arena struct {
	slabs atomic.Pointer[[][]byte]

	mu    sync.Mutex
	next  uint32 // unit that the next block begins at
	bytes atomic.Int64

	sideLimit int // see compress; 0 is never
}

const (
	unitBytes    = 64
	slabUnits    = 1 << 14
	slabBytes    = unitBytes * slabUnits
	maxBlockSize = 256
)

// blockSize is the size of the n-th block of a series. Series that live for a few samples get little.
func blockSize(n uint32) int {
	if n >= 2 {
		return maxBlockSize
	}
	return unitBytes << n
}

// alloc returns a new block of the size, zeroed, and its name.
func (a *arena) alloc(size int) (uint32, []byte) {
	units := uint32(size / unitBytes)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == 0 {
		a.next = 1
		a.grow()
	}
	if at := a.next % slabUnits; at == 0 || at+units > slabUnits {
		a.next = (a.next + slabUnits - 1) / slabUnits * slabUnits
		a.grow()
	}
	name := a.next
	a.next += units
	a.bytes.Add(int64(size))
	return name, a.block(name)[:size:size]
}

func (a *arena) grow() {
	var slabs [][]byte
	if old := a.slabs.Load(); old != nil {
		slabs = *old
	}
	slabs = append(slabs, make([]byte, slabBytes))
	a.slabs.Store(&slabs)
}

// block returns the bytes from the start of the named block to the end of its slab.
func (a *arena) block(name uint32) []byte {
	return (*a.slabs.Load())[name/slabUnits][name%slabUnits*unitBytes:]
}

// finish writes what the header of a full block lacks.
func finish(b []byte, used, count uint16) {
	binary.LittleEndian.PutUint16(b[4:], used)
	binary.LittleEndian.PutUint16(b[6:], count)
}

func blockPrev(b []byte) uint32  { return binary.LittleEndian.Uint32(b) }
func blockUsed(b []byte) uint16  { return binary.LittleEndian.Uint16(b[4:]) }
func blockCount(b []byte) uint16 { return binary.LittleEndian.Uint16(b[6:]) }
func blockFirst(b []byte) int64  { return int64(binary.LittleEndian.Uint64(b[8:])) }
