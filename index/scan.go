package index

import (
	"unsafe"

	"github.com/prometheus/prometheus/model/labels"
)

// Page is a parsed series page. It aliases the raw page it was parsed from.
type Page struct {
	// Series is the number of series.
	Series int
	// Prefix is the block's own.
	Prefix []byte

	shapes, masks, lengths, text, locators []byte
}

// ParsePage parses the raw content of a series page.
func ParsePage(raw []byte) (*Page, error) {
	r := reader{b: raw}
	p := &Page{Series: r.count(maxPageSeries), Prefix: r.bytes()}
	var n [5]int
	for i := range n {
		n[i] = r.count(len(raw))
	}
	for i, c := range []*[]byte{&p.shapes, &p.masks, &p.lengths, &p.text, &p.locators} {
		*c = r.take(n[i])
	}
	// A series takes a byte of shapes and one of locators.
	if r.bad || len(r.b) != 0 || p.Series == 0 || p.Series > len(p.shapes) || p.Series > len(p.locators) {
		return nil, corrupt("series page of %d bytes", len(raw))
	}
	return p, nil
}

// Locators calls fn with the locator of each series in order.
func (p *Page) Locators(fn func(locator []byte) error) error {
	r := reader{b: p.locators}
	for range p.Series {
		l := r.bytes()
		if r.bad {
			return corrupt("locators of a series page")
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	if len(r.b) != 0 {
		return corrupt("%d bytes behind the locators of a series page", len(r.b))
	}
	return nil
}

// Scan calls fn for each series of the page that all matchers match, with its place in the page. A label that a series lacks has the value "".
func (p *Page) Scan(matchers []*labels.Matcher, fn func(i int, s *Entry) error) error {
	s := &Entry{
		shapes: reader{b: p.shapes}, masks: reader{b: p.masks}, lengths: reader{b: p.lengths}, text: reader{b: p.text},
		matchers: matchers, matched: make([]bool, len(matchers)),
	}
	for i := range p.Series {
		s.next()
		if s.bad() {
			return corrupt("series %d of a series page", i)
		}
		if !s.matches() {
			continue
		}
		if err := fn(i, s); err != nil {
			return err
		}
	}
	if len(s.shapes.b)+len(s.masks.b)+len(s.lengths.b)+len(s.text.b) != 0 {
		return corrupt("bytes left over in a series page")
	}
	return nil
}

// Entry is the series that Scan is at, valid during the callback.
type Entry struct {
	shapes, masks, lengths, text reader

	names    []value
	defined  []*shape
	current  *shape
	matchers []*labels.Matcher
	matched  []bool // result of each matcher on the current series
	builder  labels.ScratchBuilder
}

// value is the last value of a label name in the page.
type value struct {
	name string
	now  []byte
	// text is now as a string, made when first asked for.
	text string
	made bool
}

// shape is a list of label names.
type shape struct {
	names []int
	// at says for each matcher which of the names it looks at, -1 if none.
	at []int
}

func (s *Entry) bad() bool { return s.shapes.bad || s.masks.bad || s.lengths.bad || s.text.bad }

// next moves to the next series and brings s.matched up to date.
func (s *Entry) next() {
	moved := s.nextShape()
	if s.current == nil || s.bad() {
		s.shapes.fail()
		return
	}
	mask := byte(0)
	for i, name := range s.current.names {
		if i&7 == 0 {
			mask = s.masks.u8()
		}
		if mask>>(i&7)&1 == 0 {
			continue
		}
		v := &s.names[name]
		shared := s.lengths.count(len(v.now))
		own := s.text.take(s.lengths.count(len(s.text.b)))
		if s.bad() {
			return
		}
		v.now, v.made = append(v.now[:shared], own...), false
		if !moved {
			s.rematch(i)
		}
	}
	if moved {
		for m := range s.matchers {
			s.match(m)
		}
	}
}

// nextShape reads the shape and reports whether it differs from that of the series before.
func (s *Entry) nextShape() (moved bool) {
	id := s.shapes.count(len(s.defined) + 1)
	switch {
	case s.shapes.bad || id == 0:
		return false
	case id <= len(s.defined):
		s.current = s.defined[id-1]
		return true
	}
	// A name takes a byte at least, and there are no more definitions than bytes.
	sh := &shape{names: make([]int, s.shapes.count(min(len(s.shapes.b), maxPageLabels))), at: make([]int, len(s.matchers))}
	for i := range sh.names {
		n := s.shapes.count(len(s.names) + 1)
		if n == len(s.names)+1 {
			s.names = append(s.names, value{name: string(s.shapes.bytes())})
		}
		if s.shapes.bad || n == 0 {
			s.shapes.fail()
			return true
		}
		sh.names[i] = n - 1
	}
	for m, matcher := range s.matchers {
		sh.at[m] = -1
		for i, n := range sh.names {
			if s.names[n].name == matcher.Name {
				sh.at[m] = i
			}
		}
	}
	s.defined = append(s.defined, sh)
	s.current = sh
	return true
}

// rematch evaluates the matchers on the name at place i of the shape again.
func (s *Entry) rematch(i int) {
	for m, at := range s.current.at {
		if at == i {
			s.match(m)
		}
	}
}

func (s *Entry) match(m int) {
	at := s.current.at[m]
	if at < 0 {
		s.matched[m] = s.matchers[m].Matches("")
		return
	}
	now := s.names[s.current.names[at]].now
	// Matches does not keep the string.
	s.matched[m] = s.matchers[m].Matches(unsafe.String(unsafe.SliceData(now), len(now)))
}

func (s *Entry) matches() bool {
	for _, ok := range s.matched {
		if !ok {
			return false
		}
	}
	return true
}

// Labels returns the labels of the series. They do not alias the page.
func (s *Entry) Labels() labels.Labels {
	s.builder.Reset()
	for _, n := range s.current.names {
		v := &s.names[n]
		if !v.made {
			v.text, v.made = string(v.now), true
		}
		s.builder.Add(v.name, v.text)
	}
	return s.builder.Labels()
}
