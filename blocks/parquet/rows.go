package parquet

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Rows are the decoded rows of a stripe: of rollups one aggregate of them. They own their memory and may be shared once Decode has returned.
type Rows struct {
	T      []int64
	number numbers
	// last is that of Last, where rows follow from it, and count then that of Count if the aggregate is Sum.
	last, count numbers
	aggregate   model.Aggregate
	// sparse says that rows without a number are left out.
	sparse bool

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
	return 8*(cap(r.T)+cap(r.start)) + r.number.size() + r.last.size() + r.count.size() + cap(r.kind) + cap(r.histograms) + 4*cap(r.ends)
}

// deltaLimit bounds the size of a delta page: each miniblock at its widest, and the heads.
func deltaLimit(rows int) int { return 64 + (rows/deltaBlock+1)*(10+deltaMinis+8*deltaBlock) }

// stripeDecoder takes the pages of a stripe one by one. After the first fault it does nothing.
type stripeDecoder struct {
	*Stripe
	pages [][]byte
	buf   *[]byte
	bad   int // the page taken last
	err   error
}

// open returns the content of the next page, valid until the next call. It is empty after a fault.
func (d *stripeDecoder) open(enc encoding, limit int) []byte {
	if d.err != nil {
		return nil
	}
	d.bad = len(d.pages) // for now counted from behind
	var raw []byte
	raw, d.err = openPage(*d.buf, d.pages[0], enc, d.Rows, limit)
	d.pages = d.pages[1:]
	if d.err == nil {
		*d.buf = raw
	}
	return raw
}

func (d *stripeDecoder) delta(dst []int64) []int64 {
	raw := d.open(encDelta, deltaLimit(d.Rows))
	if d.err == nil {
		dst, d.err = decodeDelta(dst, raw, d.Rows)
	}
	return dst
}

func (d *stripeDecoder) runs(dst []int8, size, first int) []int8 {
	raw := d.open(encDictionary, 1+6*d.Rows)
	if d.err == nil {
		dst, d.err = decodeRuns(dst, raw, d.Rows, size, int8(first))
	}
	return dst
}

// Decode decodes the stripe from its pages, which are those that Needed lists, into the memory of r. Of samples the aggregate says nothing. Errors wrap
// model.ErrCorrupt and say which page of the list is at fault.
func (s *Stripe) Decode(r *Rows, a model.Aggregate, pages [][]byte) (bad int, err error) {
	buf := page.GetBuffer()
	defer page.PutBuffer(buf)
	d := &stripeDecoder{Stripe: s, pages: pages, buf: buf}
	r.reset()
	i := s.number(a)
	r.T = d.delta(r.T)
	r.number.decode(d, i)
	if s.derived(i) {
		r.last.decode(d, int(model.Last))
		if i == int(model.Sum) {
			r.count.decode(d, int(model.Count))
		}
	}
	r.aggregate = a
	if s.special(i) {
		r.kind = d.runs(r.kind, kinds, 0)
		r.start = d.delta(r.start)
		raw := d.open(encPlain, page.MaxRaw)
		if d.err == nil {
			d.err = r.setHistograms(raw, s.Rows)
		}
	}
	if d.err == nil && s.kind == Rollups {
		d.err = r.checkRollup(s, i)
	}
	return len(pages) - d.bad, d.err
}

func (r *Rows) reset() {
	r.last.reset()
	r.count.reset()
	r.sparse = false
	r.kind, r.start, r.histograms, r.ends = r.kind[:0], r.start[:0], r.histograms[:0], r.ends[:0]
}

// checkRollup refuses rows that refer to what their stripe has not got.
func (r *Rows) checkRollup(s *Stripe, i int) error {
	for at, k := range r.number.scale {
		switch {
		case k == scaleNone && !s.extras, k == scaleLast && (!s.derived(i) || i == int(model.Increase) && at == 0):
			return corrupt("row %d of a stripe without what its scale %d refers to", at, k)
		case k == scaleNone:
			r.sparse = i != int(model.Last)
		}
		if len(r.kind) > 0 && (k == scaleNone) != (r.kind[at] != kindFloat) {
			return corrupt("row %d of kind %d has scale %d", at, r.kind[at], k)
		}
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
	if r.sparse {
		r.appendSparse(dst, from, to)
	} else {
		dst.T = append(dst.T, r.T[from:to]...)
		dst.V = r.AppendNumbers(dst.V, from, to)
	}
	if dst.H != nil {
		dst.H = append(dst.H, make([][]byte, len(dst.T)-at)...)
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

// appendSparse appends the rows that have a number.
func (r *Rows) appendSparse(dst *model.Columns, from, to int) {
	for i := from; i < to; {
		end := r.number.run(i, to)
		if r.number.scale[i] != scaleNone {
			dst.T = append(dst.T, r.T[i:end]...)
			dst.V = r.appendRun(dst.V, i, end)
		}
		i = end
	}
}

// AppendNumbers appends the numbers of the rows [from, to) to dst, 0 where there is none.
func (r *Rows) AppendNumbers(dst []float64, from, to int) []float64 {
	dst = slices.Grow(dst, to-from)
	for i := from; i < to; {
		end := r.number.run(i, to)
		dst = r.appendRun(dst, i, end)
		i = end
	}
	return dst
}

// appendRun appends the numbers of rows of one scale.
func (r *Rows) appendRun(dst []float64, from, to int) []float64 {
	at := len(dst)
	switch {
	case r.number.scale[from] != scaleLast:
		dst = r.number.append(dst, from, to)
	case r.aggregate == model.Increase:
		dst = r.last.appendRuns(dst, from-1, to)
		for i := at; i+1 < len(dst); i++ {
			dst[i] = dst[i+1] - dst[i]
		}
		dst = dst[:len(dst)-1]
	default:
		dst = r.last.appendRuns(dst, from, to)
		if r.aggregate == model.Sum {
			for i, n := range r.count.scaled[from:to] {
				dst[at+i] *= float64(n)
			}
		}
	}
	return dst
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
