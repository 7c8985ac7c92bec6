package blocks_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/page"
)

// parts adds up what a block's index is made of: for each part its bytes before compression, and compressed by itself, page by page.
type parts struct {
	enc    *page.Encoder
	order  []string
	sizes  map[string]*[2]int
	series float64
}

func (p *parts) add(name string, raw []byte) {
	if p.sizes[name] == nil {
		p.sizes[name] = &[2]int{}
		p.order = append(p.order, name)
	}
	p.sizes[name][0] += len(raw)
	p.sizes[name][1] += len(p.enc.Append(nil, page.Series, raw)) - page.HeadSize
}

func (p *parts) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s %10s %10s   bytes a series\n", "part of the index", "raw", "stored")
	for _, name := range p.order {
		s := p.sizes[name]
		fmt.Fprintf(&b, "%-22s %10d %10d   %5.2f %5.2f\n", name, s[0], s[1], float64(s[0])/p.series, float64(s[1])/p.series)
	}
	return b.String()
}

// fields takes fields off a raw page.
type fields []byte

func (f *fields) number() int {
	v, w := binary.Uvarint(*f)
	*f = (*f)[w:]
	return int(v)
}

func (f *fields) take(n int) []byte {
	v := (*f)[:n]
	*f = (*f)[n:]
	return v
}

// indexParts takes the index of a block apart, by the format that package index describes.
func indexParts(t testing.TB, m *blocks.Meta, b []byte) *parts {
	p := &parts{enc: page.NewEncoder(), sizes: map[string]*[2]int{}, series: float64(m.Series)}
	defer p.enc.Close()
	pages := 0
	each := func(s blocks.Section, kind func(i int) page.Kind, fn func(i int, raw []byte)) {
		for at, i := s.Offset, 0; at < s.End(); i++ {
			raw, n, err := page.Decode(nil, b[at:s.End()], kind(i))
			require.NoError(t, err)
			fn(i, raw)
			at += int64(n)
			pages++
		}
	}
	each(m.SeriesPages, func(int) page.Kind { return page.Series }, func(_ int, raw []byte) {
		p.add("series page", raw)
		p.addSeriesPage(raw)
	})
	each(m.Postings, func(i int) page.Kind {
		if i == 0 {
			return page.Head
		}
		return page.Postings
	}, func(i int, raw []byte) {
		if i == 0 {
			p.add("postings head", raw)
			return
		}
		p.add("postings page", raw)
		f := fields(raw)
		sizes := [4]int{f.number(), f.number(), f.number(), f.number()}
		for i, name := range [4]string{"- keys", "- names and values", "- sizes of lists", "- lists"} {
			p.add(name, f.take(sizes[i]))
		}
	})
	p.order = append(p.order, "heads of pages", "footer")
	p.sizes["heads of pages"] = &[2]int{pages * page.HeadSize, pages * page.HeadSize}
	footer := int(m.Size - max(m.Postings.End(), m.SeriesPages.End()))
	p.sizes["footer"] = &[2]int{footer, footer}
	return p
}

func (p *parts) addSeriesPage(raw []byte) {
	f := fields(raw)
	_ = f.number()
	p.add("- prefix", f.take(f.number()))
	before := f
	values, refs, text := 0, 0, 0
	for range f.number() {
		f.take(f.number())
		values, refs, text = values+f.number(), refs+f.number(), text+f.number()
	}
	p.add("- names", before[:len(before)-len(f)])
	before = f
	for range f.number() {
		for range f.number() {
			f.number()
		}
	}
	p.add("- patterns", before[:len(before)-len(f)])
	p.add("- uses", f.take(f.number()))
	p.add("- references", f.take(refs))
	_ = f.number()
	p.add("- sizes", f.take(f.number()))
	p.add("- text", f.take(text))
	p.add("- locators", f)
}
