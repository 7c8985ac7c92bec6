package parquet

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Rows are the decoded rows of a stripe. They own their memory and may be shared once Decode has returned.
type Rows struct {
	T      []int64
	scaled []int64
	scale  []int8
	value  []byte // 8 bytes a row; empty if no scale is −1

	// Of samples that are no plain floats; empty if there are none.
	kind  []int8
	start []int64
	// histograms has the bytes of the column, those of row i between ends[i-1] and ends[i].
	histograms []byte
	ends       []uint32
}

// GetRows returns memory for Decode. PutRows takes it back, grown or not.
func GetRows() *Rows { return rows.Get().(*Rows) }

// PutRows ends the use of the rows.
func PutRows(r *Rows) {
	if r.Size() <= maxPooled {
		rows.Put(r)
	}
}

// maxPooled keeps rare giants out of the pool.
const maxPooled = 4 << 20

// A pool of memory, not state: an element is as good as a new one.
var rows = sync.Pool{New: func() any { return &Rows{} }}

// Size is roughly what the rows take in memory.
func (r *Rows) Size() int {
	return 8*(cap(r.T)+cap(r.scaled)+cap(r.start)) + cap(r.scale) + cap(r.value) + cap(r.kind) + cap(r.histograms) + 4*cap(r.ends)
}

// deltaLimit bounds the size of a delta page: each miniblock at its widest, and the heads.
func deltaLimit(rows int) int { return 64 + (rows/deltaBlock+1)*(10+deltaMinis+8*deltaBlock) }

// Decode decodes the stripe from its pages, which are those that Needed lists, into the memory of r. Errors wrap model.ErrCorrupt and say which page
// of the list is at fault.
func (s *Stripe) Decode(r *Rows, pages [][]byte) (bad int, err error) {
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	i := 0
	open := func(enc encoding, limit int) []byte {
		if err != nil {
			return nil
		}
		var raw []byte
		raw, err = openPage(*buf, pages[i], enc, s.Rows, limit)
		bad = i
		i++
		if err == nil {
			*buf = raw
		}
		return raw
	}
	decode := func(f func() error) {
		if err == nil {
			err = f()
		}
	}
	n := s.Rows
	raw := open(encDelta, deltaLimit(n))
	decode(func() (err error) { r.T, err = decodeDelta(r.T, raw, n); return err })
	raw = open(encDictionary, 1+6*n)
	decode(func() (err error) { r.scale, err = decodeRuns(r.scale, raw, n, scales, -1); return err })
	raw = open(encDelta, deltaLimit(n))
	decode(func() (err error) { r.scaled, err = decodeDelta(r.scaled, raw, n); return err })
	r.value, r.kind, r.start, r.histograms, r.ends = r.value[:0], r.kind[:0], r.start[:0], r.histograms[:0], r.ends[:0]
	if s.Doubles {
		raw = open(encPlain, 8*n)
		decode(func() error { return r.setValue(raw, n) })
	}
	decode(func() error { return r.checkScale(s.Doubles) })
	if s.Extras {
		raw = open(encDictionary, 1+6*n)
		decode(func() (err error) { r.kind, err = decodeRuns(r.kind, raw, n, kinds, 0); return err })
		raw = open(encDelta, deltaLimit(n))
		decode(func() (err error) { r.start, err = decodeDelta(r.start, raw, n); return err })
		raw = open(encPlain, page.MaxRaw)
		decode(func() error { return r.setHistograms(raw, n) })
	}
	return bad, err
}

func (r *Rows) setValue(raw []byte, n int) error {
	if len(raw) != 8*n {
		return corrupt("page of %d doubles in %d bytes", n, len(raw))
	}
	r.value = append(r.value, raw...)
	return nil
}

// checkScale refuses a stripe that leaves out doubles which its rows refer to.
func (r *Rows) checkScale(doubles bool) error {
	if !doubles && slices.Contains(r.scale, -1) {
		return corrupt("stripe without doubles refers to them")
	}
	return nil
}

func (r *Rows) setHistograms(raw []byte, n int) error {
	d := decoder{b: raw}
	r.ends = slices.Grow(r.ends, n)
	for range n {
		size := d.take(4)
		if d.bad || uint64(binary.LittleEndian.Uint32(size)) > uint64(len(d.b)) {
			return corrupt("histograms of %d bytes", len(raw))
		}
		r.histograms = append(r.histograms, d.take(int(binary.LittleEndian.Uint32(size)))...)
		r.ends = append(r.ends, uint32(len(r.histograms)))
	}
	if len(d.b) != 0 {
		return corrupt("%d bytes behind the histograms", len(d.b))
	}
	return nil
}

// Append appends the samples of the rows [from, to) to dst.
func (r *Rows) Append(dst *model.Columns, from, to int) {
	at := len(dst.T)
	dst.T = append(dst.T, r.T[from:to]...)
	dst.V = slices.Grow(dst.V, to-from)
	for i := from; i < to; {
		k, end := r.scale[i], i+1
		for end < to && r.scale[end] == k {
			end++
		}
		if k >= 0 {
			dst.V = unscale(dst.V, r.scaled[i:end], k)
		} else {
			for j := i; j < end; j++ {
				dst.V = append(dst.V, math.Float64frombits(binary.LittleEndian.Uint64(r.value[8*j:])))
			}
		}
		i = end
	}
	if dst.H != nil {
		dst.H = append(dst.H, make([][]byte, to-from)...)
	}
	if len(r.kind) == 0 {
		return
	}
	for i := from; i < to; i++ {
		if r.kind[i] != kindFloat {
			if dst.H == nil {
				dst.H = make([][]byte, len(dst.T))
			}
			r.appendSpecial(dst, at+i-from, i)
		}
	}
}

// appendSpecial makes sample at of dst that of row i, which is no plain float.
func (r *Rows) appendSpecial(dst *model.Columns, at, i int) {
	begin := uint32(0)
	if i > 0 {
		begin = r.ends[i-1]
	}
	dst.H[at] = restore(r.kind[i], r.start[i], dst.V[at], r.histograms[begin:r.ends[i]])
	dst.V[at] = 0
}
