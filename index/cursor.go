package index

import (
	"bytes"

	"github.com/prometheus/prometheus/model/labels"
)

// Cursor walks the series of a page in their order, one at a time, for a caller that walks the pages of several blocks side by
// side. Not safe for concurrent use; it lives as long as the page.
type Cursor struct {
	entry Entry
	place int
	left  int

	key []byte
	// Of the shape that the key was made for: which of its names is the metric name (-1: none), and its names as they stand in keys.
	shape  *shape
	metric int
	names  [][]byte
}

// Cursor returns a cursor that stands before the first series of the page.
func (p *Page) Cursor() *Cursor {
	return &Cursor{
		entry: Entry{shapes: reader{b: p.shapes}, masks: reader{b: p.masks}, lengths: reader{b: p.lengths}, text: reader{b: p.text}},
		place: -1, left: p.Series,
	}
}

// Next moves to the next series and reports whether there is one. Errors wrap model.ErrCorrupt.
func (c *Cursor) Next() (bool, error) {
	e := &c.entry
	if c.left == 0 {
		if len(e.shapes.b)+len(e.masks.b)+len(e.lengths.b)+len(e.text.b) != 0 {
			return false, corrupt("bytes left over in a series page")
		}
		return false, nil
	}
	c.left--
	c.place++
	e.next()
	if e.bad() {
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
	if e.current != c.shape {
		c.setShape(e.current)
	}
	k := c.key[:0]
	if c.metric >= 0 {
		k = appendPart(k, e.names[c.shape.names[c.metric]].now)
	} else {
		k = append(k, partEnd...)
	}
	for i, n := range c.shape.names {
		k = append(k, c.names[i]...)
		if i != c.metric {
			k = appendPart(k, e.names[n].now)
		} else {
			k = append(k, partEnd...)
		}
	}
	c.key = k
}

func (c *Cursor) setShape(s *shape) {
	c.shape, c.metric, c.names = s, -1, c.names[:0]
	for i, n := range s.names {
		name := c.entry.names[n].name
		if name == MetricName {
			c.metric = i
		}
		c.names = append(c.names, appendPart(nil, []byte(name)))
	}
}

const partEnd = "\x00\x01"

func appendPart(dst, part []byte) []byte {
	for {
		i := bytes.IndexByte(part, 0)
		if i < 0 {
			dst = append(dst, part...)
			return append(dst, partEnd...)
		}
		dst = append(dst, part[:i]...)
		dst = append(dst, 0x00, 0xff)
		part = part[i+1:]
	}
}
