package parquet

import (
	"math"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// PageRef is the place of a page in the object.
type PageRef struct{ Offset, Length int64 }

// Stripe is the place of some rows of a row group: the pages of the columns that Varve reads.
type Stripe struct {
	Rows int

	kind   Kind
	flags  stripeFlags
	extras bool // some rows may be no plain floats
	pages  []PageRef
}

// number returns the place of the aggregate among the numbers of a row: a sample has one.
func (s *Stripe) number(a model.Aggregate) int {
	if s.kind == Samples {
		return 0
	}
	return int(a)
}

func (s *Stripe) doubles(i int) bool { return s.flags&s.kind.doublesFlag(i) != 0 }

// derived reports whether rows of number i follow from Last.
func (s *Stripe) derived(i int) bool {
	return s.kind.derives(i) && s.flags&s.kind.derivedFlag(i) != 0
}

// special reports whether the extras are part of the number.
func (s *Stripe) special(i int) bool {
	return s.extras && (s.kind == Samples || i == int(model.Last))
}

// Needed returns the pages to fetch for Decode of the aggregate, in the order in which it takes them.
func (s *Stripe) Needed(a model.Aggregate) []PageRef {
	i := s.number(a)
	refs := append(make([]PageRef, 0, 7), s.pages[0])
	refs = s.appendNumber(refs, i)
	if s.derived(i) {
		refs = s.appendNumber(refs, int(model.Last))
		if i == int(model.Sum) {
			refs = s.appendNumber(refs, int(model.Count))
		}
	}
	if s.special(i) {
		refs = append(refs, s.pages[s.kind.core():]...)
	}
	return refs
}

func (s *Stripe) appendNumber(refs []PageRef, i int) []PageRef {
	n := 2
	switch {
	case s.kind.lone(i):
		n = 1
	case s.doubles(i):
		n = 3
	}
	at := s.kind.at(i)
	return append(refs, s.pages[at:at+n]...)
}

// Key tells stripes of an object apart.
func (s *Stripe) Key() int64 { return s.pages[0].Offset }

// Group is what a series page says of the rows of its series.
type Group struct {
	kind Kind
	// Stripes are those of each window, one behind the other, that hold the rows of the group.
	Stripes [Windows][]Stripe
	// starts are the rows of each window, counted from its first stripe, at which each series begins; one more is the end.
	starts [][Windows]uint32
}

// Rows returns the rows [from, to) of series i in a window, counted from the group's first stripe of it.
func (g *Group) Rows(i, window int) (from, to int) {
	return int(g.starts[i][window]), int(g.starts[i+1][window])
}

// Locate reads prefix and locators of a series page. The pages are checked to lie in rows, the section of the row groups.
func Locate(p *index.Page, rows Section, kind Kind) (*Group, error) {
	g := &Group{kind: kind, starts: make([][Windows]uint32, 1, p.Series+1)}
	d := decoder{b: p.Prefix}
	present := d.u8()
	var have [Windows]int64
	last := int64(0)
	for w := range g.Stripes {
		if present>>w&1 == 0 {
			continue
		}
		var first int64
		g.Stripes[w], first, last = d.window(kind, last, rows)
		if d.bad {
			return nil, corrupt("prefix of a series page, window %d", w)
		}
		for i := range g.Stripes[w] {
			have[w] += int64(g.Stripes[w][i].Rows)
		}
		g.starts[0][w] = uint32(first)
	}
	if d.bad || len(d.b) != 0 || present == 0 || present>>kind.Windows() != 0 {
		return nil, corrupt("prefix of a series page")
	}
	if err := p.Locators(g.locate); err != nil {
		return nil, err
	}
	for w, n := range g.starts[len(g.starts)-1] {
		if int64(n) > have[w] {
			return nil, corrupt("locators of a series page: %d rows of %d in window %d", n, have[w], w)
		}
	}
	return g, nil
}

// window reads the place of the rows in one window; last is the end of the page listed last.
func (d *decoder) window(kind Kind, last int64, rows Section) (stripes []Stripe, first, end int64) {
	core, stored := kind.core(), kind.stored()
	var skip [maxStored]int64 // the first is where the first column begins
	skip[0] = d.varint()
	for i := 1; i < core; i++ {
		skip[i] = d.number(math.MaxInt64 >> 8)
	}
	first = d.number(maxStripe)
	// A stripe takes a byte for each field at least.
	n := d.number(int64(len(d.b) / (1 + core)))
	if d.bad || n == 0 {
		d.fail()
		return nil, 0, 0
	}
	stripes = make([]Stripe, n)
	pages := make([]PageRef, int(n)*stored)
	for i := range stripes {
		s := &stripes[i]
		u := d.number(maxStripe<<(1+kind.flagBits()) | 1<<(1+kind.flagBits()) - 1)
		*s = Stripe{kind: kind, flags: stripeFlags(u & (1<<kind.flagBits() - 1)), extras: u>>kind.flagBits()&1 != 0, Rows: int(u >> (1 + kind.flagBits()))}
		if s.Rows == 0 || s.extras != stripes[0].extras {
			d.fail()
		}
		s.pages, pages = pages[:stored:stored], pages[stored:]
		for j := range core {
			s.pages[j].Length = d.number(page.MaxRaw)
		}
	}
	listed := core
	if stripes[0].extras {
		listed = stored
		for i := core; i < stored; i++ {
			skip[i] = d.number(math.MaxInt64 >> 8)
		}
		for i := range stripes {
			for j := core; j < stored; j++ {
				stripes[i].pages[j].Length = d.number(page.MaxRaw)
			}
		}
	}
	if d.bad || first >= int64(stripes[0].Rows) {
		d.fail()
		return nil, 0, 0
	}
	end = d.place(stripes, listed, last, &skip, rows)
	return stripes, first, end
}

// place computes the offsets of the pages, column by column, from end on, and returns where they end.
func (d *decoder) place(stripes []Stripe, listed int, end int64, skip *[maxStored]int64, rows Section) int64 {
	for j := range listed {
		end += skip[j]
		if end < rows.Offset || end > rows.Offset+rows.Length {
			d.fail()
			return 0
		}
		for i := range stripes {
			stripes[i].pages[j].Offset = end
			end += stripes[i].pages[j].Length
		}
		if end > rows.Offset+rows.Length {
			d.fail()
			return 0
		}
	}
	return end
}

// locate reads the locator of the next series.
func (g *Group) locate(b []byte) error {
	n := len(g.starts)
	next := g.starts[n-1]
	d := decoder{b: b}
	present := d.u8()
	if present == 0 && n > 1 {
		for w, before := range g.starts[n-2] {
			next[w] += next[w] - before
			if next[w] > math.MaxInt32 {
				d.fail()
			}
		}
	}
	for w := range next {
		if present>>w&1 != 0 {
			rows := d.number(math.MaxInt32 - int64(next[w]))
			if rows == 0 {
				d.fail()
			}
			next[w] += uint32(rows)
		}
	}
	if d.bad || len(d.b) != 0 || present == 0 && n == 1 || present>>g.kind.Windows() != 0 {
		return corrupt("locator of %d bytes", len(b))
	}
	g.starts = append(g.starts, next)
	return nil
}
