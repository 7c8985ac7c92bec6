package index

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Builder makes an index section. Add series in order, Cut after each stretch whose data is complete, then Finish. Series
// pages are held compressed and postings as compact lists, about 30 bytes a series together.
type Builder struct {
	enc    *page.Encoder
	page   pageWriter
	first  string // metric of the first series of the open page
	last   labels.Labels
	series int

	pages    []byte // closed series pages
	closed   []closedPage
	postings postingsBuilder
	raw      []byte
}

type closedPage struct {
	metric      string
	length      int
	series      int
	chunkOffset int64
	chunkBytes  int64
}

// Section is a finished index section: the bytes in their order in the object, and what the block's Meta says of them. Offsets are
// those of the object.
type Section struct {
	SeriesPages, Postings []byte
	PostingsHead          int64
	Directory             []DirEntry
	Fences                []Fence
}

// NewBuilder returns an empty builder. The encoder stays the caller's.
func NewBuilder(enc *page.Encoder) *Builder {
	b := &Builder{enc: enc}
	b.page.reset()
	b.postings.names = map[string]*nameLists{}
	return b
}

// Less reports whether series a comes before b in a block: by metric name, then labels.Compare.
func Less(a, b labels.Labels) bool {
	if c := strings.Compare(a.Get(MetricName), b.Get(MetricName)); c != 0 {
		return c < 0
	}
	return labels.Compare(a, b) < 0
}

// Add adds a series, which must come after the one before. An error wraps model.ErrInvalid.
func (b *Builder) Add(ls labels.Labels, locator []byte) error {
	if b.series > 0 && !Less(b.last, ls) {
		return fmt.Errorf("index series %.200s after %.200s: not in order: %w", ls, b.last, model.ErrInvalid)
	}
	if err := check(ls); err != nil {
		return err
	}
	if b.page.series == 0 {
		b.first = strings.Clone(cutFence(ls.Get(MetricName)))
	}
	b.page.add(ls, locator)
	b.postings.add(ls, b.series)
	b.last = ls
	b.series++
	return nil
}

func check(ls labels.Labels) error {
	n, size := 0, 0
	ls.Range(func(l labels.Label) { n, size = n+1, size+len(l.Name)+len(l.Value) })
	if n > maxPageLabels/2 || size > page.MaxRaw/8 {
		return fmt.Errorf("index series of %d labels and %d bytes: %w", n, size, model.ErrInvalid)
	}
	return nil
}

// PageFull reports whether the open series page should be cut for its own size.
func (b *Builder) PageFull() bool {
	return b.page.series >= maxPageSeries/8 || b.page.size() >= 256<<10 || len(b.page.last) > maxPageLabels/2
}

// Cut closes the open series page, whose data lies at chunkOffset and has chunkBytes bytes. It does nothing if no series was added since.
func (b *Builder) Cut(prefix []byte, chunkOffset, chunkBytes int64) {
	if b.page.series == 0 {
		return
	}
	b.raw = b.page.appendRaw(b.raw[:0], prefix)
	at := len(b.pages)
	b.pages = b.enc.Append(b.pages, page.Series, b.raw)
	b.closed = append(b.closed, closedPage{
		metric: b.first, length: len(b.pages) - at, series: b.page.series, chunkOffset: chunkOffset, chunkBytes: chunkBytes,
	})
	b.page.reset()
}

// Finish returns the section for an object in which it begins at offset. All series must have been cut.
func (b *Builder) Finish(offset int64) (*Section, error) {
	if b.page.series != 0 {
		panic("index: Finish with an open series page")
	}
	s := &Section{SeriesPages: b.pages, Directory: b.directory(offset)}
	postingsAt := offset + int64(len(b.pages))
	head := b.appendHead(nil)
	if len(head) > page.MaxRaw {
		return nil, fmt.Errorf("index head of %d bytes: %w", len(head), model.ErrLimit)
	}
	s.Postings = b.enc.Append(nil, page.Head, head)
	s.PostingsHead = int64(len(s.Postings))
	var err error
	s.Postings, s.Fences, err = b.postings.appendPages(s.Postings, b.enc, postingsAt)
	return s, err
}

// minEntry is the size of chunks at which a directory entry closes in a small block.
const minEntry = 64 << 10

// directory merges series pages to entries of at least 64 KiB or 1/512 of the block, which cannot be known before its end.
func (b *Builder) directory(offset int64) []DirEntry {
	var total int64
	for _, p := range b.closed {
		total += p.chunkBytes + int64(p.length)
	}
	limit := max(minEntry, total/(MaxEntries-1)+1)
	var dir []DirEntry
	size := limit
	for _, p := range b.closed {
		if size >= limit {
			dir = append(dir, DirEntry{FirstMetric: p.metric, SeriesOffset: offset, ChunkOffset: p.chunkOffset})
			size = 0
		}
		offset += int64(p.length)
		size += p.chunkBytes + int64(p.length)
	}
	return dir
}
