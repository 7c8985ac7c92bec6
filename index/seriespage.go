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
	shape    int // of the series before, 0 if none
	key, def []byte

	// Names of that shape and their numbers - 1.
	shapeNames []string
	shapeLasts []int
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
		id := w.shapeLasts[i]
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

// addShape writes the shape of ls and makes it the current one.
func (w *pageWriter) addShape(ls labels.Labels) {
	if w.sameShape(ls) {
		w.shapes = append(w.shapes, 0)
		return
	}
	w.key, w.def = w.key[:0], w.def[:0]
	w.shapeNames, w.shapeLasts = w.shapeNames[:0], w.shapeLasts[:0]
	ls.Range(func(l labels.Label) {
		id, ok := w.names[l.Name]
		if !ok {
			id = len(w.last) + 1
			w.names[l.Name] = id
			w.last = append(w.last, "")
		}
		w.key = binary.AppendUvarint(w.key, uint64(id))
		w.def = binary.AppendUvarint(w.def, uint64(id))
		if !ok {
			w.def = binary.AppendUvarint(w.def, uint64(len(l.Name)))
			w.def = append(w.def, l.Name...)
		}
		w.shapeNames, w.shapeLasts = append(w.shapeNames, l.Name), append(w.shapeLasts, id-1)
	})
	id, ok := w.shapeIDs[string(w.key)]
	if !ok {
		id = len(w.shapeIDs) + 1
		w.shapeIDs[string(w.key)] = id
	}
	w.shapes = binary.AppendUvarint(w.shapes, uint64(id))
	if !ok {
		w.shapes = binary.AppendUvarint(w.shapes, uint64(len(w.shapeNames)))
		w.shapes = append(w.shapes, w.def...)
	}
	w.shape = id
}

// sameShape reports whether ls has the label names of the series before.
func (w *pageWriter) sameShape(ls labels.Labels) bool {
	i, same := 0, w.shape != 0
	ls.Range(func(l labels.Label) {
		same = same && i < len(w.shapeNames) && w.shapeNames[i] == l.Name
		i++
	})
	return same && i == len(w.shapeNames)
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
