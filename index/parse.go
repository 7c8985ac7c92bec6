package index

import "unsafe"

// Page is a parsed series page. It is immutable and may be shared: scans keep their state to themselves. Of the raw page it was parsed
// from it holds on to the prefix, the locators and the numbers by which series refer to values, so the raw page must stay as
// it is; names and values are copies.
type Page struct {
	// Series is the number of series.
	Series int
	// Prefix is the block's own.
	Prefix []byte

	names          []pageName
	patterns       []pattern
	uses, locators []byte
	size           int
}

// pageName is what a page knows of one label name.
type pageName struct {
	name string
	// values are the distinct ones, in order of first use.
	values []string
	// refs has a number for each series with another value than the last one that had the name.
	refs []byte
}

// pattern is what series have in common that differ in values only.
type pattern struct {
	// labels are the numbers of the names, in their order, and changed those whose value is another one than before.
	labels, changed []uint32
}

// ParsePage parses the raw content of a series page.
func ParsePage(raw []byte) (*Page, error) {
	r := reader{b: raw}
	p := &Page{Series: r.count(maxPageSeries), Prefix: r.bytes()}
	sizes := p.parseNames(&r)
	p.parsePatterns(&r)
	p.uses = r.bytes()
	for i, s := range sizes {
		p.names[i].refs = r.take(s.refs)
	}
	p.parseValues(&r, sizes)
	p.locators = r.b
	// A series takes a byte of uses and one of locators.
	if r.bad || p.Series == 0 || p.Series > len(p.uses) || p.Series > len(p.locators) {
		return nil, corrupt("series page of %d bytes", len(raw))
	}
	p.size += len(raw) + 128
	return p, nil
}

// Size is about how many bytes of memory the page holds, the raw one included.
func (p *Page) Size() int { return p.size }

// nameSizes are the sizes of what a page says of one name.
type nameSizes struct{ values, refs, text int }

func (p *Page) parseNames(r *reader) []nameSizes {
	n := r.count(min(maxPageLabels, len(r.b)/4))
	p.names = make([]pageName, n)
	sizes := make([]nameSizes, n)
	for i := range p.names {
		p.names[i].name = string(r.bytes())
		sizes[i] = nameSizes{r.count(len(r.b)), r.count(len(r.b)), r.count(len(r.b))}
		p.size += 80 + len(p.names[i].name)
	}
	return sizes
}

// parsePatterns reads the patterns, which are numbered by first use: so the first one with a name must give it a value.
func (p *Page) parsePatterns(r *reader) {
	valued := make([]bool, len(p.names))
	p.patterns = make([]pattern, r.count(min(maxPageSeries, len(r.b))))
	p.size += 48 * len(p.patterns)
	for i := range p.patterns {
		n := r.count(min(maxPageLabels, len(r.b)))
		all := make([]uint32, 2*n)
		pt := pattern{labels: all[:n], changed: all[n:n]}
		p.size += 8 * n
		for j := range pt.labels {
			cell := r.count(2*maxPageLabels - 1)
			name, changed := cell>>1, cell&1 == 1
			if name >= len(valued) || !changed && !valued[name] {
				r.fail()
				return
			}
			if pt.labels[j] = uint32(name); changed {
				pt.changed, valued[name] = append(pt.changed, uint32(name)), true
			}
		}
		p.patterns[i] = pt
	}
}

// parseValues puts all values of a page into one string, so that a page of thousands of values is a few pieces of memory.
func (p *Page) parseValues(r *reader, sizes []nameSizes) {
	count := 0
	for _, s := range sizes {
		count += s.values
	}
	total := r.count(maxPageText)
	lengths := reader{b: r.bytes()}
	if r.bad || count > len(lengths.b)/2 {
		r.fail()
		return
	}
	full := make([]byte, 0, total)
	values := make([]string, 0, count)
	for i, s := range sizes {
		text := reader{b: r.take(s.text)}
		prev := 0 // where the value before begins
		for range s.values {
			start := len(full)
			same := lengths.count(start - prev)
			own := text.take(lengths.count(len(text.b)))
			if lengths.bad || same+len(own) > cap(full)-start {
				r.fail()
				return
			}
			full = append(append(full, full[prev:prev+same]...), own...)
			values = append(values, unsafe.String(unsafe.SliceData(full[start:]), len(full)-start))
			prev = start
		}
		p.names[i].values = values[len(values)-s.values:]
		if r.bad || len(text.b) != 0 {
			r.fail()
			return
		}
	}
	if len(lengths.b) != 0 || len(full) != total {
		r.fail()
	}
	p.size += total + 16*count
}
