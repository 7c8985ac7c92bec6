package index

import "github.com/prometheus/prometheus/model/labels"

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

// Names calls fn with each label name of the page's series, once, in no order.
func (p *Page) Names(fn func(name string)) {
	for i := range p.names {
		fn(p.names[i].name)
	}
}

// Values calls fn with each value that series of the page have for the label, once, in no order.
func (p *Page) Values(name string, fn func(value string)) {
	for i := range p.names {
		if p.names[i].name != name {
			continue
		}
		for _, v := range p.names[i].values {
			fn(v)
		}
	}
}

// Scan calls fn for each series of the page that all matchers match, with its place in the page. A label that a series lacks has the value "".
func (p *Page) Scan(matchers []*labels.Matcher, fn func(i int, s *Entry) error) error {
	e := p.entry()
	s := &e
	s.questions = make([]question, len(matchers))
	var metric *question
	for i, m := range matchers {
		q := p.ask(m)
		if q.never {
			return nil
		}
		if s.questions[i] = q; q.only >= 0 && m.Name == MetricName {
			metric = &s.questions[i]
		}
	}
	for i := range p.Series {
		if !s.next() {
			return corrupt("series %d of a series page", i)
		}
		if !s.matches() {
			if metric != nil && s.now[metric.name].id > metric.only {
				return nil // series are in the order of their metrics
			}
			continue
		}
		if err := fn(i, s); err != nil {
			return err
		}
	}
	return s.finish()
}

// Entry is the series that Scan is at, valid during the callback.
type Entry struct {
	p         *Page
	uses      reader
	pattern   int
	seen      int      // patterns so far, which are numbered by first use
	cells     int      // labels so far
	now       []cursor // by name
	questions []question
	builder   labels.ScratchBuilder
}

// cursor is where a scan is in what the page says of one name: the references left, and the last value's number.
type cursor struct {
	refs []byte
	id   int
}

// entry returns an entry that stands before the first series.
func (p *Page) entry() Entry {
	e := Entry{p: p, uses: reader{b: p.uses}, now: make([]cursor, len(p.names))}
	for i := range e.now {
		e.now[i] = cursor{refs: p.names[i].refs, id: -1}
	}
	return e
}

// finish returns an error if anything is left behind the last series.
func (s *Entry) finish() error {
	left := len(s.uses.b)
	for i := range s.now {
		left += len(s.now[i].refs)
	}
	if left != 0 {
		return corrupt("%d bytes left over in a series page", left)
	}
	return nil
}

// next moves to the next series.
func (s *Entry) next() bool {
	u := s.uses.uvarint()
	if s.uses.bad || u > uint64(s.seen) || u >= uint64(len(s.p.patterns)) {
		return false
	}
	s.pattern, s.seen = int(u), max(s.seen, int(u)+1)
	p := &s.p.patterns[u]
	if s.cells += len(p.labels); s.cells > maxPageCells {
		return false
	}
	for _, name := range p.changed {
		c := &s.now[name]
		switch {
		case len(c.refs) == 0:
			return false
		case c.refs[0] == 0:
			// The value after the last one: by far the most frequent.
			c.refs = c.refs[1:]
			c.id++
		default:
			r := reader{b: c.refs}
			c.id += int(r.varint()) + 1
			if r.bad {
				return false
			}
			c.refs = r.b
		}
		if uint(c.id) >= uint(len(s.p.names[name].values)) {
			return false
		}
	}
	return true
}

// value is the value that the series has for a name of its pattern.
func (s *Entry) value(name uint32) string { return s.p.names[name].values[s.now[name].id] }

// Labels returns the labels of the series. They do not alias the page.
func (s *Entry) Labels() labels.Labels {
	s.builder.Reset()
	for _, n := range s.p.patterns[s.pattern].labels {
		s.builder.Add(s.p.names[n].name, s.value(n))
	}
	return s.builder.Labels()
}
