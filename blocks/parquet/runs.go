package parquet

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// run is a number of rows with the same dictionary index.
type run struct{ id, rows uint32 }

// runs are the indexes of a dictionary column, row by row.
type runs []run

func (r *runs) add(id uint32, rows int) {
	if rows == 0 {
		return
	}
	if n := len(*r); n > 0 && (*r)[n-1].id == id {
		(*r)[n-1].rows += uint32(rows)
		return
	}
	*r = append(*r, run{id, uint32(rows)})
}

// append appends the content of an RLE_DICTIONARY page for a dictionary of size entries: runs only, never packed bits, since indexes
// here change with the series.
func (r runs) append(dst []byte, size int) []byte {
	w := indexWidth(size)
	dst = append(dst, byte(w))
	for _, x := range r {
		dst = binary.AppendUvarint(dst, uint64(x.rows)<<1)
		for i := 0; i < w; i += 8 {
			dst = append(dst, byte(x.id>>i))
		}
	}
	return dst
}

// indexWidth is at least 1: some readers take a width of 0 for a fault.
func indexWidth(size int) int { return max(1, bits.Len(uint(size-1))) }

// decodeRuns decodes a page of n indexes below size ≤ 256 into the memory of dst.
func decodeRuns(dst []int8, b []byte, n, size int, first int8) ([]int8, error) {
	d := decoder{b: b}
	if w := d.u8(); int(w) != indexWidth(size) {
		return dst[:0], corrupt("dictionary indexes of %d bits", w)
	}
	dst = slices.Grow(dst[:0], n)
	for len(dst) < n {
		u := d.uvarint()
		id := d.u8()
		rows := u >> 1
		if d.bad || u&1 != 0 || rows == 0 || rows > uint64(n-len(dst)) || int(id) >= size {
			return dst[:0], corrupt("run of %d rows of dictionary index %d", rows, id)
		}
		at := len(dst)
		dst = dst[:at+int(rows)]
		for i := range dst[at:] {
			dst[at+i] = first + int8(id)
		}
	}
	if len(d.b) != 0 {
		return dst[:0], corrupt("%d bytes behind the runs", len(d.b))
	}
	return dst, nil
}
