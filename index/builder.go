package index

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Builder makes an index section. Add series in order, call Group or Cut after each group of series whose data is complete, then Finish. Series
// pages are held compressed and postings as compact lists, about 30 bytes a series together.
type Builder struct {
	enc    *page.Encoder
	page   pageWriter
	open   group // its chunks are not known yet
	last   labels.Labels
	series int

	pages    []byte // closed series pages
	groups   []group
	postings postingsBuilder
	raw      []byte

	maxUnposted int
}

// group is a run of series of one page whose data lies together, apart from that of others.
type group struct {
	metric string // of the first series
	series int
	// page is the number of the series page. In the first group of a page, length is that of the page.
	page, length int
	chunkOffset  int64
	chunkBytes   int64
}

const (
	// pageTarget is the raw size from which on a series page is cut with the group. Large pages compress better, and are parsed
	// and scanned for a single series as well.
	pageTarget = 8 << 10
	// maxUnposted is up to how many bytes of series pages a block may go without postings: all that it would ask them is then
	// found in one GET, within the 64 KiB that a GET may read in vain, and a stage sooner.
	maxUnposted = 64 << 10
)

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
	b := &Builder{enc: enc, maxUnposted: maxUnposted}
	b.page.reset()
	b.postings.names = map[string]*nameLists{}
	return b
}

// Compare orders series as blocks do: by metric name, then labels.Compare.
func Compare(a, b labels.Labels) int {
	if c := strings.Compare(a.Get(MetricName), b.Get(MetricName)); c != 0 {
		return c
	}
	return labels.Compare(a, b)
}

// Less reports whether series a comes before b in a block.
func Less(a, b labels.Labels) bool { return Compare(a, b) < 0 }

// Add adds a series, which must come after the one before. An error wraps model.ErrInvalid.
func (b *Builder) Add(ls labels.Labels, locator []byte) error {
	if b.series > 0 && !Less(b.last, ls) {
		return fmt.Errorf("index series %.200s after %.200s: not in order: %w", ls, b.last, model.ErrInvalid)
	}
	if err := check(ls); err != nil {
		return err
	}
	if b.open.series == 0 {
		b.open.metric = strings.Clone(cutFence(ls.Get(MetricName)))
	}
	b.open.series++
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

// PageFull reports whether the open series page must be cut now, for its own size.
func (b *Builder) PageFull() bool { return b.page.full() }

// PageLarge reports whether the open series page is to be cut when its last group ends.
func (b *Builder) PageLarge() bool { return b.page.size() >= pageTarget }

// Group ends a group of series, whose data lies at chunkOffset and has chunkBytes bytes. It does nothing if no series was added since the last.
func (b *Builder) Group(chunkOffset, chunkBytes int64) {
	if b.open.series == 0 {
		return
	}
	b.open.chunkOffset, b.open.chunkBytes = chunkOffset, chunkBytes
	b.groups = append(b.groups, b.open)
	b.open = group{page: b.open.page}
}

// Cut ends a group as Group does and with it the series page, which gets the prefix. It does nothing if the page is empty.
func (b *Builder) Cut(prefix []byte, chunkOffset, chunkBytes int64) {
	b.Group(chunkOffset, chunkBytes)
	if b.page.series == 0 {
		return
	}
	b.raw = b.page.appendRaw(b.raw[:0], prefix)
	at := len(b.pages)
	b.pages = b.enc.Append(b.pages, page.Series, b.raw)
	first := len(b.groups) - 1
	for first > 0 && b.groups[first-1].page == b.open.page {
		first--
	}
	b.groups[first].length = len(b.pages) - at
	b.open.page++
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
	if s.Postings, s.Fences, err = b.postings.appendPages(s.Postings, b.enc, postingsAt); err != nil {
		return nil, err
	}
	// Where most names and values belong to few series, postings are as large as the series pages.
	if len(b.pages) <= b.maxUnposted && len(s.Postings) > len(b.pages)/2 {
		s.Postings, s.PostingsHead, s.Fences = nil, 0, nil
	}
	return s, nil
}
