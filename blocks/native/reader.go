package native

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Group is what a series page says of the data of its series.
type Group struct {
	// Pages are the chunk pages of the group, one after the other.
	Pages []PageRef
	// Chunks of all series, in order; those of series i are Chunks[Ends[i-1]:Ends[i]].
	Chunks []ChunkRef
	Ends   []int32
}

// PageRef is the place of a page in the object.
type PageRef struct{ Offset, Length int64 }

// ChunkRef refers to one chunk.
type ChunkRef struct {
	// Page is the chunk page, an index of Group.Pages, and Chunk the number of the chunk in it.
	Page, Chunk int32
	// Run is the number of the run: in the chunk page if Inline, else in the run section.
	Run    int32
	Inline bool
	// MinT and MaxT are the first and last timestamp if Inline, and else unknown (the run tells).
	MinT, MaxT int64
}

// Of returns the chunks of series i.
func (g *Group) Of(i int) []ChunkRef {
	from := int32(0)
	if i > 0 {
		from = g.Ends[i-1]
	}
	return g.Chunks[from:g.Ends[i]]
}

// Locate reads prefix and locators of a series page. The pages are checked to lie in the section of the chunk pages.
func Locate(p *index.Page, section Section) (*Group, error) {
	chunks, err := countChunks(p)
	if err != nil {
		return nil, err
	}
	g := &Group{Ends: make([]int32, 0, p.Series), Chunks: make([]ChunkRef, 0, chunks)}
	if err := g.prefix(p.Prefix, section); err != nil {
		return nil, err
	}
	var at locator
	if err := p.Locators(func(l []byte) error { return g.locate(l, &at) }); err != nil {
		return nil, err
	}
	if int(at.page) != len(g.Pages)-1 {
		return nil, corrupt("locators use %d of %d chunk pages", at.page+1, len(g.Pages))
	}
	return g, nil
}

// countChunks adds up what the locators say, each of which takes a byte for a chunk.
func countChunks(p *index.Page) (n int64, err error) {
	err = p.Locators(func(l []byte) error {
		d := decoder{b: l}
		n += d.number(uint64(len(l)))
		return nil
	})
	return n, err
}

func (g *Group) prefix(b []byte, chunks Section) error {
	d := decoder{b: b}
	at := d.number(math.MaxInt64)
	n := d.number(uint64(len(b)))
	if at < chunks.Offset {
		return corrupt("chunk pages at %d, section begins at %d", at, chunks.Offset)
	}
	g.Pages = make([]PageRef, 0, n)
	for range n {
		length := d.number(page.HeadSize + page.MaxRaw)
		if length < page.HeadSize || length > chunks.Offset+chunks.Length-at {
			return corrupt("chunk page of %d bytes at %d", length, at)
		}
		g.Pages = append(g.Pages, PageRef{at, length})
		at += length
	}
	if d.bad || len(d.b) != 0 || n == 0 {
		return corrupt("prefix of a series page")
	}
	return nil
}

// locator is the state from one locator to the next.
type locator struct {
	page, chunk, run, inline int32
	minT                     int64
}

func (g *Group) locate(b []byte, at *locator) error {
	d := decoder{b: b}
	n := d.number(uint64(len(b)))
	for range n {
		u := d.number(math.MaxInt64)
		if u&2 != 0 {
			at.page, at.chunk, at.inline = at.page+1, 0, 0
		}
		c := ChunkRef{Page: at.page, Chunk: at.chunk, Inline: u&1 != 0}
		diff := unzigzag(uint64(u) >> 2)
		run := &at.run
		if c.Inline {
			run = &at.inline
		}
		sum := int64(*run) + diff
		if sum < 0 || sum > math.MaxInt32 || int(at.page) >= len(g.Pages) {
			return corrupt("locator: run %d, chunk page %d of %d", sum, at.page, len(g.Pages))
		}
		*run = int32(sum)
		c.Run = *run
		if c.Inline {
			at.minT += unzigzag(d.uvarint())
			c.MinT = at.minT
			c.MaxT = c.MinT + d.number(math.MaxInt64)
			if c.MaxT < c.MinT {
				return corrupt("locator: chunk ends before it begins")
			}
		}
		at.chunk++
		g.Chunks = append(g.Chunks, c)
	}
	if d.bad || len(d.b) != 0 || n == 0 {
		return corrupt("locator of %d bytes", len(b))
	}
	g.Ends = append(g.Ends, int32(len(g.Chunks)))
	return nil
}

// RunPage is a page of the run section: its length there, and the number behind that of its last run.
type RunPage struct {
	Length int64
	End    int
}

// ParseRuns parses the run section and returns the encoded runs, which alias memory of their own, and their pages. Its error
// says at which offset of the section the fault lies.
func ParseRuns(section []byte) (runs [][]byte, pages []RunPage, offset int64, err error) {
	at := 0
	for at < len(section) {
		raw, size, err := page.Decode(nil, section[at:], page.Runs)
		if err != nil {
			return nil, nil, int64(at), err
		}
		d := decoder{b: raw}
		for range d.number(uint64(len(raw))) {
			runs = append(runs, d.bytes())
		}
		if d.bad || len(d.b) != 0 {
			return nil, nil, int64(at), corrupt("run page")
		}
		pages = append(pages, RunPage{Length: int64(size), End: len(runs)})
		at += size
	}
	return runs, pages, 0, nil
}

// ChunkPage is a parsed chunk page. It aliases the raw page.
type ChunkPage struct {
	body               []byte
	runEnds, chunkEnds []uint32
}

// ParseChunkPage parses the raw content of a chunk page.
func ParseChunkPage(raw []byte) (*ChunkPage, error) {
	d := decoder{b: raw}
	p := &ChunkPage{}
	var runs, chunks uint32
	p.runEnds, runs = d.ends(0)
	p.chunkEnds, chunks = d.ends(runs)
	if d.bad || int(chunks) != len(d.b) {
		return nil, corrupt("chunk page of %d bytes", len(raw))
	}
	p.body = d.b
	return p, nil
}

// Run returns run i.
func (p *ChunkPage) Run(i int) ([]byte, error) { return p.part(p.runEnds, i, 0) }

// Chunk returns chunk i.
func (p *ChunkPage) Chunk(i int) ([]byte, error) {
	start := uint32(0)
	if n := len(p.runEnds); n > 0 {
		start = p.runEnds[n-1]
	}
	return p.part(p.chunkEnds, i, start)
}

func (p *ChunkPage) part(ends []uint32, i int, from uint32) ([]byte, error) {
	if i < 0 || i >= len(ends) {
		return nil, corrupt("part %d of a chunk page with %d", i, len(ends))
	}
	if i > 0 {
		from = ends[i-1]
	}
	return p.body[from:ends[i]], nil
}

// decoder takes fields off b; after the first fault everything is zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		v := uint64(d.b[0])
		d.b = d.b[1:]
		return v
	}
	v, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[w:]
	return v
}

func (d *decoder) number(limit uint64) int64 {
	v := d.uvarint()
	if v > limit {
		d.b, d.bad = nil, true
		return 0
	}
	return int64(v)
}

func (d *decoder) bytes() []byte {
	n := d.number(uint64(len(d.b)))
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// ends reads lengths and returns where each part ends if the first begins at from.
func (d *decoder) ends(from uint32) ([]uint32, uint32) {
	n := d.number(uint64(len(d.b)))
	ends := make([]uint32, 0, n)
	for range n {
		from += uint32(d.number(page.MaxRaw))
		if from > page.MaxRaw {
			d.b, d.bad = nil, true
		}
		ends = append(ends, from)
	}
	return ends, from
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, model.ErrCorrupt)...)
}
