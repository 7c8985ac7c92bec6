package parquet

import (
	"math"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
)

// PageRef is the place of a page in the object.
type PageRef struct{ Offset, Length int64 }

// Stripe is the place of some rows of a row group: the pages of the columns that samples are made of.
type Stripe struct {
	Rows int
	// Doubles is set if values lie in the page Value, Extras if some samples may be no plain floats.
	Doubles, Extras bool
	pages           [storedColumns]PageRef
}

// Needed returns the pages to fetch for Decode, in the order in which it takes them.
func (s *Stripe) Needed() []PageRef {
	n := coreColumns - 1
	if s.Doubles {
		n++
	}
	if !s.Extras {
		return s.pages[:n:n]
	}
	return append(s.pages[:n:n], s.pages[coreColumns:]...)
}

// Key tells stripes of an object apart.
func (s *Stripe) Key() int64 { return s.pages[0].Offset }

// Group is what a series page says of the rows of its series.
type Group struct {
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
func Locate(p *index.Page, rows Section) (*Group, error) {
	g := &Group{starts: make([][Windows]uint32, 1, p.Series+1)}
	d := decoder{b: p.Prefix}
	present := d.u8()
	var have [Windows]int64
	last := int64(0)
	for w := range g.Stripes {
		if present>>w&1 == 0 {
			continue
		}
		var first int64
		g.Stripes[w], first, last = d.window(last, rows)
		if d.bad {
			return nil, corrupt("prefix of a series page, window %d", w)
		}
		for i := range g.Stripes[w] {
			have[w] += int64(g.Stripes[w][i].Rows)
		}
		g.starts[0][w] = uint32(first)
	}
	if d.bad || len(d.b) != 0 || present == 0 || present>>Windows != 0 {
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
func (d *decoder) window(last int64, rows Section) (stripes []Stripe, first, end int64) {
	var at [storedColumns]int64
	var skip [storedColumns]int64
	at[0] = last + d.varint()
	for i := 1; i < coreColumns; i++ {
		skip[i] = d.number(math.MaxInt64 >> 8)
	}
	first = d.number(maxStripe)
	// A stripe takes a byte for each field at least.
	n := d.number(int64(len(d.b) / (1 + coreColumns)))
	if d.bad || n == 0 {
		d.fail()
		return nil, 0, 0
	}
	stripes = make([]Stripe, n)
	extras := false
	for i := range stripes {
		u := d.number(maxStripe<<2 | 3)
		s := &stripes[i]
		s.Rows, s.Extras, s.Doubles = int(u>>2), u&2 != 0, u&1 != 0
		if s.Rows == 0 || i > 0 && s.Extras != extras {
			d.fail()
		}
		extras = s.Extras
		for j := range coreColumns {
			s.pages[j].Length = d.number(page.MaxRaw)
		}
	}
	listed := coreColumns
	if extras {
		listed = storedColumns
		for i := coreColumns; i < storedColumns; i++ {
			skip[i] = d.number(math.MaxInt64 >> 8)
		}
		for i := range stripes {
			for j := coreColumns; j < storedColumns; j++ {
				stripes[i].pages[j].Length = d.number(page.MaxRaw)
			}
		}
	}
	if d.bad || first >= int64(stripes[0].Rows) {
		d.fail()
		return nil, 0, 0
	}
	end = d.place(stripes, listed, &at, &skip, rows)
	return stripes, first, end
}

// place computes the offsets of the pages, column by column, and returns where they end.
func (d *decoder) place(stripes []Stripe, listed int, at, skip *[storedColumns]int64, rows Section) (end int64) {
	for j := range listed {
		if j > 0 {
			at[j] = end + skip[j]
		}
		end = at[j]
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
	if d.bad || len(d.b) != 0 || present == 0 && n == 1 || present>>Windows != 0 {
		return corrupt("locator of %d bytes", len(b))
	}
	g.starts = append(g.starts, next)
	return nil
}
