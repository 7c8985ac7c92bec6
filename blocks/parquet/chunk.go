package parquet

import (
	"encoding/binary"
	"math"

	"github.com/varvedb/varve/internal/page"
)

// coder makes pages; its memory is used again for each.
type coder struct {
	z           *page.Encoder
	raw, packed []byte

	marks   []int8
	misfits []int32
	scaled  []int64
	floats  []float64
}

// chunk is the column chunk of a row group in the making: its pages, one after the other.
type chunk struct {
	pages []byte
	// raw is the size before compression, heads included.
	raw int64
	// dictionary is the length of the dictionary page, with which the pages begin then.
	dictionary int
	// encoding is that of the data pages.
	encoding encoding
}

// reset empties the chunk and keeps its memory.
func (c *chunk) reset(enc encoding) { *c = chunk{pages: c.pages[:0], encoding: enc} }

// data appends a data page.
func (c *chunk) data(k *coder, enc encoding, rows int, raw []byte) {
	c.append(k, pageHead{encoding: enc, values: rows}, raw)
}

// dict appends the dictionary page, first of all pages.
func (c *chunk) dict(k *coder, size int, raw []byte) {
	c.append(k, pageHead{dictionary: true, encoding: encPlain, values: size}, raw)
	c.dictionary = len(c.pages)
}

func (c *chunk) append(k *coder, h pageHead, raw []byte) {
	var size int64
	c.pages, size = appendPage(c.pages, k.z, h, raw, &k.packed)
	c.raw += size
}

// integers is a dictionary of the INT32 from first on.
func (k *coder) integers(first, size int) []byte {
	k.raw = k.raw[:0]
	for i := range size {
		k.raw = binary.LittleEndian.AppendUint32(k.raw, uint32(int32(first+i)))
	}
	return k.raw
}

func (k *coder) doubles(v []float64) []byte {
	k.raw = k.raw[:0]
	for _, x := range v {
		k.raw = binary.LittleEndian.AppendUint64(k.raw, math.Float64bits(x))
	}
	return k.raw
}

func (k *coder) delta(m []int64, bytes bool) []byte {
	k.raw = appendDelta(k.raw[:0], m, bytes)
	return k.raw
}

func (k *coder) runs(r runs, size int) []byte {
	k.raw = r.append(k.raw[:0], size)
	return k.raw
}

// texts is the dictionary of a string column of a row group: the texts in the order in which they came.
type texts struct {
	rows runs
	raw  []byte // PLAIN
	size int
	// ids holds the index here + 1 by the number of the text in the range.
	ids []uint32
	// lo and hi are the least and the greatest.
	lo, hi string
}

func (t *texts) reset() {
	t.rows, t.raw, t.size = t.rows[:0], t.raw[:0], 0
	clear(t.ids)
	t.ids = t.ids[:0]
	t.lo, t.hi = "", ""
}

// add adds rows with the text, which has the number in its range.
func (t *texts) add(number uint32, text string, rows int) {
	for int(number) >= len(t.ids) {
		t.ids = append(t.ids, 0)
	}
	if t.ids[number] == 0 {
		t.raw = binary.LittleEndian.AppendUint32(t.raw, uint32(len(text)))
		t.raw = append(t.raw, text...)
		if t.size == 0 || text < t.lo {
			t.lo = text
		}
		t.hi = max(t.hi, text)
		t.size++
		t.ids[number] = uint32(t.size)
	}
	t.rows.add(t.ids[number]-1, rows)
}

// finish fills the chunk.
func (t *texts) finish(c *chunk, k *coder, rows int) {
	c.dict(k, t.size, t.raw)
	c.data(k, encDictionary, rows, k.runs(t.rows, t.size))
}
