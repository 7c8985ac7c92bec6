package index

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// postingsBuilder collects the ordinals of each label pair.
type postingsBuilder struct {
	names map[string]*nameLists
}

// nameLists are the lists of one label name.
type nameLists struct {
	values map[string]*list
	// The value of the last series and its list: neighbors share most values.
	last     string
	lastList *list
}

// list is a growing list of ordinals in the form of a postings page.
type list struct {
	b            []byte
	last         int // ordinal added last
	gap, repeats int // of the token not yet written: gap, seen repeats+1 times
}

func (p *postingsBuilder) add(ls labels.Labels, ordinal int) {
	ls.Range(func(l labels.Label) {
		n, ok := p.names[l.Name]
		if !ok {
			n = &nameLists{values: map[string]*list{}}
			p.names[strings.Clone(l.Name)] = n
		}
		if n.lastList == nil || n.last != l.Value {
			li, ok := n.values[l.Value]
			if !ok {
				li = &list{last: -1}
				// A copy, so that a value does not hold on to all labels of its series.
				n.values[strings.Clone(l.Value)] = li
			}
			n.last, n.lastList = l.Value, li
		}
		n.lastList.add(ordinal)
	})
}

func (l *list) add(ordinal int) {
	gap := ordinal - l.last
	l.last = ordinal
	if gap == l.gap {
		l.repeats++
		return
	}
	l.flush()
	l.gap, l.repeats = gap, 0
}

func (l *list) flush() {
	switch {
	case l.gap == 0:
	case l.repeats == 0:
		l.b = binary.AppendUvarint(l.b, uint64(l.gap-1)<<1)
	default:
		l.b = binary.AppendUvarint(l.b, uint64(l.gap-1)<<1|1)
		l.b = binary.AppendUvarint(l.b, uint64(l.repeats-1))
	}
}

// appendHead appends the raw postings head to dst.
func (b *Builder) appendHead(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.groups)))
	var prevOffset int64
	for i := range b.groups {
		g := &b.groups[i]
		dst = binary.AppendUvarint(dst, uint64(g.length))
		dst = binary.AppendUvarint(dst, uint64(g.series))
		dst = binary.AppendVarint(dst, g.chunkOffset-prevOffset)
		prevOffset = g.chunkOffset
	}
	names := slices.Sorted(maps.Keys(b.postings.names))
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	prev := ""
	for _, name := range names {
		dst = appendFront(dst, prev, name)
		dst = binary.AppendUvarint(dst, uint64(len(b.postings.names[name].values)))
		prev = name
	}
	return dst
}

func appendFront(dst []byte, prev, s string) []byte {
	n := shared(prev, s)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = binary.AppendUvarint(dst, uint64(len(s)-n))
	return append(dst, s[n:]...)
}

// Postings pages close at 64 KiB of raw entries, or at 1/64 of all: fence keys live in the catalog.
const (
	minPostingsPage  = 64 << 10
	maxPostingsPages = 64
)

// appendPages appends all postings pages to dst, which begins at offset at of the object.
func (p *postingsBuilder) appendPages(dst []byte, enc *page.Encoder, at int64) ([]byte, []Fence, error) {
	names := slices.Sorted(maps.Keys(p.names))
	total := 0
	for _, name := range names {
		for value, l := range p.names[name].values {
			l.flush()
			total += len(value) + len(l.b) + 4
		}
	}
	limit := max(minPostingsPage, total/maxPostingsPages+1)
	var fences []Fence
	var w postingsPage
	for _, name := range names {
		values := p.names[name].values
		for _, value := range slices.Sorted(maps.Keys(values)) {
			l := values[value]
			if w.entries > 0 && w.size()+len(l.b) > limit {
				dst = enc.Append(dst, page.Postings, w.raw())
				w.reset()
			}
			if w.entries == 0 {
				fences = append(fences, Fence{Name: cutFence(name), Value: fenceValue(name, value), Offset: at + int64(len(dst))})
			}
			if len(l.b)+len(name)+len(value) > page.MaxRaw/2 {
				return nil, nil, fmt.Errorf("postings of %.64s=%.64q: %d bytes: %w", name, value, len(l.b), model.ErrLimit)
			}
			w.add(name, value, l.b)
		}
	}
	if w.entries > 0 {
		dst = enc.Append(dst, page.Postings, w.raw())
	}
	return dst, fences, nil
}

// postingsPage is the open page, column by column.
type postingsPage struct {
	entries                 int
	name, value             string
	keys, text, sizes, list []byte
}

func (w *postingsPage) reset() {
	*w = postingsPage{keys: w.keys[:0], text: w.text[:0], sizes: w.sizes[:0], list: w.list[:0]}
}

func (w *postingsPage) size() int { return len(w.keys) + len(w.text) + len(w.sizes) + len(w.list) }

func (w *postingsPage) add(name, value string, list []byte) {
	if w.entries == 0 || name != w.name {
		w.keys = binary.AppendUvarint(w.keys, uint64(len(name))+1)
		w.text = append(w.text, name...)
		w.name, w.value = name, ""
	} else {
		w.keys = append(w.keys, 0)
	}
	n := shared(w.value, value)
	w.keys = binary.AppendUvarint(w.keys, uint64(n))
	w.keys = binary.AppendUvarint(w.keys, uint64(len(value)-n))
	w.text = append(w.text, value[n:]...)
	w.value = value
	w.sizes = binary.AppendUvarint(w.sizes, uint64(len(list)))
	w.list = append(w.list, list...)
	w.entries++
}

func (w *postingsPage) raw() []byte {
	dst := make([]byte, 0, w.size()+32)
	cols := [...][]byte{w.keys, w.text, w.sizes, w.list}
	for _, c := range cols {
		dst = binary.AppendUvarint(dst, uint64(len(c)))
	}
	for _, c := range cols {
		dst = append(dst, c...)
	}
	return dst
}

// fenceValue leaves the value out where the name may have been cut: the fence is then a lower bound by the name, and
// fences stay in order.
func fenceValue(name, value string) string {
	if len(name) >= MaxFence {
		return ""
	}
	return cutFence(value)
}
