package index

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"
)

// Bounds that writers keep and readers enforce.
const (
	maxPageSeries = 1 << 16
	maxPageLabels = 1 << 16 // labels of one series, names of one page
)

// pageWriter collects one series page.
type pageWriter struct {
	series                                 int
	shapes, masks, lengths, text, locators []byte

	names    map[string]int
	last     []string // last value by name number - 1
	shapeIDs map[string]int
	shape    int // of the series before
	key, ids []byte
}

func (w *pageWriter) reset() {
	w.series, w.shape = 0, 0
	w.shapes, w.masks, w.lengths, w.text, w.locators = w.shapes[:0], w.masks[:0], w.lengths[:0], w.text[:0], w.locators[:0]
	w.names, w.shapeIDs = map[string]int{}, map[string]int{}
	w.last = w.last[:0]
}

// size is the length of the raw page so far, roughly.
func (w *pageWriter) size() int {
	return len(w.shapes) + len(w.masks) + len(w.lengths) + len(w.text) + len(w.locators)
}

func (w *pageWriter) add(ls labels.Labels, locator []byte) {
	w.addShape(ls)
	i, mask := 0, byte(0)
	ls.Range(func(l labels.Label) {
		id := w.names[l.Name] - 1
		if prev := w.last[id]; prev != l.Value || prev == "" {
			mask |= 1 << (i & 7)
			n := shared(prev, l.Value)
			w.lengths = binary.AppendUvarint(w.lengths, uint64(n))
			w.lengths = binary.AppendUvarint(w.lengths, uint64(len(l.Value)-n))
			w.text = append(w.text, l.Value[n:]...)
			w.last[id] = l.Value
		}
		if i++; i&7 == 0 {
			w.masks = append(w.masks, mask)
			mask = 0
		}
	})
	if i&7 != 0 {
		w.masks = append(w.masks, mask)
	}
	w.locators = binary.AppendUvarint(w.locators, uint64(len(locator)))
	w.locators = append(w.locators, locator...)
	w.series++
}

// addShape writes the shape of ls.
func (w *pageWriter) addShape(ls labels.Labels) {
	w.key, w.ids = w.key[:0], w.ids[:0]
	n := 0
	ls.Range(func(l labels.Label) {
		n++
		id, ok := w.names[l.Name]
		if !ok {
			id = len(w.last) + 1
			w.names[l.Name] = id
			w.last = append(w.last, "")
		}
		w.key = binary.AppendUvarint(w.key, uint64(id))
		w.ids = binary.AppendUvarint(w.ids, uint64(id))
		if !ok {
			w.ids = binary.AppendUvarint(w.ids, uint64(len(l.Name)))
			w.ids = append(w.ids, l.Name...)
		}
	})
	id, ok := w.shapeIDs[string(w.key)]
	switch {
	case ok && id == w.shape:
		w.shapes = append(w.shapes, 0)
	case ok:
		w.shapes = binary.AppendUvarint(w.shapes, uint64(id))
	default:
		id = len(w.shapeIDs) + 1
		w.shapeIDs[string(w.key)] = id
		w.shapes = binary.AppendUvarint(w.shapes, uint64(id))
		w.shapes = binary.AppendUvarint(w.shapes, uint64(n))
		w.shapes = append(w.shapes, w.ids...)
	}
	w.shape = id
}

// appendRaw appends the raw page to dst.
func (w *pageWriter) appendRaw(dst, prefix []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.series))
	dst = binary.AppendUvarint(dst, uint64(len(prefix)))
	dst = append(dst, prefix...)
	cols := [...][]byte{w.shapes, w.masks, w.lengths, w.text, w.locators}
	for _, c := range cols {
		dst = binary.AppendUvarint(dst, uint64(len(c)))
	}
	for _, c := range cols {
		dst = append(dst, c...)
	}
	return dst
}

func shared(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
