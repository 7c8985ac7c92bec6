package index

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"
)

// Bounds that writers keep and readers enforce.
const (
	maxPageSeries = 1 << 16
	maxPageLabels = 1 << 16 // labels of one series, names of one page
	maxPageCells  = 1 << 19 // labels of all series of a page
	maxPageText   = 8 << 20 // bytes of the distinct values of a page, in full
)

// pageWriter collects one series page.
type pageWriter struct {
	series, cells, text int // cells are the labels of all series, text the bytes of distinct values in full

	numbers map[string]int // of the names
	names   []*nameWriter  // in use, then spare ones
	used    int            // names in use
	byKey   map[string]int // patterns

	// The series at hand: its pattern, its labels, and the numbers of their names, which are mostly those of the series before.
	key    []byte
	cell   int
	recent []int

	patterns, uses, locators []byte
	nameBytes                int // of what names hold
}

// nameWriter collects what a page says of one label name.
type nameWriter struct {
	name              string
	ids               map[string]int
	values            []string
	last              int // id of the value used last, -1 if none
	refs, sizes, text []byte
}

func (w *pageWriter) reset() {
	if w.numbers == nil {
		w.numbers, w.byKey = map[string]int{}, map[string]int{}
	}
	clear(w.numbers)
	clear(w.byKey)
	for _, n := range w.names[:w.used] {
		n.reset()
	}
	w.series, w.cells, w.text, w.used, w.nameBytes = 0, 0, 0, 0, 0
	w.patterns, w.uses, w.locators, w.recent = w.patterns[:0], w.uses[:0], w.locators[:0], w.recent[:0]
}

// size is the length of the raw page so far, roughly.
func (w *pageWriter) size() int { return len(w.patterns) + len(w.uses) + len(w.locators) + w.nameBytes }

// full reports whether a reader's bounds come near, or the page is as large as one may become.
func (w *pageWriter) full() bool {
	return w.series >= maxPageSeries/8 || w.used > maxPageLabels/2 || w.cells > maxPageCells/2 || w.text > maxPageText/8 || w.size() >= 256<<10
}

func (w *pageWriter) add(ls labels.Labels, locator []byte) {
	w.key, w.cell = w.key[:0], 0
	ls.Range(w.addLabel)
	p, ok := w.byKey[string(w.key)]
	if !ok {
		p = len(w.byKey)
		w.byKey[string(w.key)] = p
		w.patterns = binary.AppendUvarint(w.patterns, uint64(w.cell))
		w.patterns = append(w.patterns, w.key...)
	}
	w.uses = binary.AppendUvarint(w.uses, uint64(p))
	w.locators = binary.AppendUvarint(w.locators, uint64(len(locator)))
	w.locators = append(w.locators, locator...)
	w.cells += w.cell
	w.series++
}

// addLabel adds a label to the pattern of the series at hand, and its value to those of its name.
func (w *pageWriter) addLabel(l labels.Label) {
	i := w.number(l.Name)
	n := w.names[i]
	cell := uint64(i) << 1
	if n.last < 0 || n.values[n.last] != l.Value {
		cell |= 1
		before, values := n.bytes(), len(n.values)
		id := n.id(l.Value)
		if len(n.values) > values {
			w.text += len(l.Value)
		}
		n.refs = binary.AppendVarint(n.refs, int64(id-n.last-1))
		n.last = id
		w.nameBytes += n.bytes() - before
	}
	w.key = binary.AppendUvarint(w.key, cell)
	w.cell++
}

// number returns the number of the name of the label at hand.
func (w *pageWriter) number(name string) int {
	if w.cell < len(w.recent) {
		if i := w.recent[w.cell]; w.names[i].name == name {
			return i
		}
	} else {
		w.recent = append(w.recent, 0)
	}
	i, ok := w.numbers[name]
	if !ok {
		i = w.addName(name)
	}
	w.recent[w.cell] = i
	return i
}

// addName takes a name into use.
func (w *pageWriter) addName(name string) int {
	if w.used == len(w.names) {
		w.names = append(w.names, &nameWriter{ids: map[string]int{}})
	}
	n := w.names[w.used]
	n.name, n.last = name, -1
	w.numbers[name] = w.used
	w.used++
	w.nameBytes += len(name) + 4
	return w.used - 1
}

// reset forgets all, but keeps the memory.
func (n *nameWriter) reset() {
	clear(n.ids)
	clear(n.values)
	*n = nameWriter{ids: n.ids, values: n.values[:0], refs: n.refs[:0], sizes: n.sizes[:0], text: n.text[:0]}
}

func (n *nameWriter) bytes() int { return len(n.refs) + len(n.sizes) + len(n.text) }

// id returns the number of the value, which it adds if the page has not had it.
func (n *nameWriter) id(value string) int {
	// Series of one metric follow those of another in the same order, so this is mostly the value that came next then.
	if next := n.last + 1; next < len(n.values) && n.values[next] == value {
		return next
	}
	id, ok := n.ids[value]
	if ok {
		return id
	}
	prev := ""
	if len(n.values) > 0 {
		prev = n.values[len(n.values)-1]
	}
	same := shared(prev, value)
	n.sizes = binary.AppendUvarint(n.sizes, uint64(same))
	n.sizes = binary.AppendUvarint(n.sizes, uint64(len(value)-same))
	n.text = append(n.text, value[same:]...)
	id = len(n.values)
	n.ids[value] = id
	n.values = append(n.values, value)
	return id
}

// appendRaw appends the raw page to dst.
func (w *pageWriter) appendRaw(dst, prefix []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(w.series))
	dst = binary.AppendUvarint(dst, uint64(len(prefix)))
	dst = append(dst, prefix...)
	names := w.names[:w.used]
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, n := range names {
		dst = binary.AppendUvarint(dst, uint64(len(n.name)))
		dst = append(dst, n.name...)
		for _, size := range []int{len(n.values), len(n.refs), len(n.text)} {
			dst = binary.AppendUvarint(dst, uint64(size))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(w.byKey)))
	dst = append(dst, w.patterns...)
	dst = binary.AppendUvarint(dst, uint64(len(w.uses)))
	dst = append(dst, w.uses...)
	for _, n := range names {
		dst = append(dst, n.refs...)
	}
	sizes := 0
	for _, n := range names {
		sizes += len(n.sizes)
	}
	dst = binary.AppendUvarint(dst, uint64(w.text))
	dst = binary.AppendUvarint(dst, uint64(sizes))
	for _, n := range names {
		dst = append(dst, n.sizes...)
	}
	for _, n := range names {
		dst = append(dst, n.text...)
	}
	return append(dst, w.locators...)
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
