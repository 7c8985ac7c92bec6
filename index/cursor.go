package index

import (
	"bytes"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Cursor walks the series of a page in their order, one at a time, for a caller that walks the pages of several blocks side by
// side. Not safe for concurrent use; it lives as long as the page.
type Cursor struct {
	entry Entry
	place int
	left  int

	key []byte
	// Of the pattern that the key was made for: its number, which of its labels is the metric name (-1: none), and its names as they stand in keys.
	pattern int
	metric  int
	names   [][]byte
}

// Cursor returns a cursor that stands before the first series of the page.
func (p *Page) Cursor() *Cursor {
	return &Cursor{entry: p.entry(), place: -1, left: p.Series, pattern: -1}
}

// Next moves to the next series and reports whether there is one. Errors wrap model.ErrCorrupt.
func (c *Cursor) Next() (bool, error) {
	if c.left == 0 {
		return false, c.entry.finish()
	}
	c.left--
	c.place++
	if !c.entry.next() {
		return false, corrupt("series %d of a series page", c.place)
	}
	c.makeKey()
	return true, nil
}

// Place is the number of the series in its page.
func (c *Cursor) Place() int { return c.place }

// Labels returns the labels of the series. They do not alias the page.
func (c *Cursor) Labels() labels.Labels { return c.entry.Labels() }

// Key returns the labels in a form whose order of bytes is the order of series (Less), so that comparing costs no more than comparing bytes. It is
// valid until the next call of Next.
//
// It is the metric name, then all labels, name and value each, in their order, where the value of the metric name is left
// out. Each part is ended by 0x00 0x01, and a 0x00 within one becomes 0x00 0xff: so a part is less than any that it begins.
func (c *Cursor) Key() []byte { return c.key }

func (c *Cursor) makeKey() {
	e := &c.entry
	if e.pattern != c.pattern {
		c.setPattern(e.pattern)
	}
	k := c.key[:0]
	names := e.p.patterns[e.pattern].labels
	if c.metric >= 0 {
		k = appendPart(k, e.value(names[c.metric]))
	} else {
		k = append(k, partEnd...)
	}
	for i, n := range names {
		k = append(k, c.names[i]...)
		if i != c.metric {
			k = appendPart(k, e.value(n))
		} else {
			k = append(k, partEnd...)
		}
	}
	c.key = k
}

func (c *Cursor) setPattern(number int) {
	c.pattern, c.metric, c.names = number, -1, c.names[:0]
	p := c.entry.p
	for i, n := range p.patterns[number].labels {
		name := p.names[n].name
		if name == MetricName {
			c.metric = i
		}
		c.names = append(c.names, appendPart(nil, name))
	}
}

// MetricOfKey is the part of a Cursor's key that is the metric name.
func MetricOfKey(key []byte) []byte {
	return key[:bytes.Index(key, []byte(partEnd))]
}

const partEnd = "\x00\x01"

func appendPart(dst []byte, part string) []byte {
	for {
		i := strings.IndexByte(part, 0)
		if i < 0 {
			dst = append(dst, part...)
			return append(dst, partEnd...)
		}
		dst = append(dst, part[:i]...)
		dst = append(dst, 0x00, 0xff)
		part = part[i+1:]
	}
}
