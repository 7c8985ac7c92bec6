package native

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/blocks/chunk"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Magic begins every hot block; its last byte is the version of the layout.
const Magic = "varveVB\x02"

const (
	// pageTarget is the raw size at which a chunk page is closed.
	pageTarget = 256 << 10
	// groupTarget is the compressed size of chunks at which a group of series ends.
	groupTarget = 64 << 10
	// maxHistogram bounds one opaque histogram.
	maxHistogram = 4 << 20
)

// Section is a stretch of the object.
type Section struct{ Offset, Length int64 }

// Layout is what Finish says of a block.
type Layout struct {
	Chunks, Runs, SeriesPages, Postings Section
	PostingsHead                        int64
	Directory                           []index.DirEntry
	Fences                              []index.Fence
	Series, Samples, Histograms         int64
	MinT, MaxT                          int64
}

// Writer writes a hot block up to its footer.
type Writer struct {
	w   io.Writer
	at  int64 // bytes written
	enc *page.Encoder
	idx *index.Builder

	chunks chunk.Encoder
	runs   runTable
	page   chunkPage

	groupAt int64 // where the chunk pages of the open group begin

	// The open series page.
	pageAt   int64   // where its chunk pages begin
	lengths  []int64 // of its closed chunk pages
	newPage  bool    // the next chunk begins a chunk page that is not the first of the series page
	lastRun  int     // number of the last run in the section
	lastMinT int64   // of the last chunk with a run in its page

	locator []byte
	buf     []byte // raw page
	framed  []byte // and as it is written
	layout  Layout
}

// NewWriter returns a writer. Nothing is written before the first Add or Finish.
func NewWriter(w io.Writer) *Writer {
	enc := page.NewEncoder()
	return &Writer{w: w, enc: enc, idx: index.NewBuilder(enc)}
}

// Close gives memory back. It does not finish the block.
func (w *Writer) Close() { w.enc.Close() }

// Add adds a series and its samples, at least one, timestamps strictly ascending. Series come in the order of index.Less. The
// columns stay the caller's. Errors of the input wrap model.ErrInvalid.
func (w *Writer) Add(ls labels.Labels, c *model.Columns) error {
	if err := c.Check(maxHistogram); err != nil {
		return fmt.Errorf("series %.200s: %w", ls, err)
	}
	if w.at == 0 {
		if err := w.write([]byte(Magic)); err != nil {
			return err
		}
		w.groupAt, w.pageAt = w.at, w.at
	}
	w.count(c)
	parts := cut(c)
	w.locator = binary.AppendUvarint(w.locator[:0], uint64(len(parts)))
	from := 0
	for _, to := range parts {
		if err := w.addChunk(c, from, to); err != nil {
			return err
		}
		from = to
	}
	if err := w.idx.Add(ls, w.locator); err != nil {
		return err
	}
	return w.closeGroup(false)
}

func (w *Writer) count(c *model.Columns) {
	l := &w.layout
	if l.Series == 0 {
		l.MinT, l.MaxT = c.T[0], c.T[0]
	}
	l.Series++
	l.Samples += int64(len(c.T))
	l.MinT, l.MaxT = min(l.MinT, c.T[0]), max(l.MaxT, c.T[len(c.T)-1])
	for _, h := range c.H {
		if h != nil {
			l.Histograms++
		}
	}
}

// addChunk adds the samples [from, to) of c as one chunk and its reference to the locator.
func (w *Writer) addChunk(c *model.Columns, from, to int) error {
	if w.page.raw() >= pageTarget {
		if err := w.closePage(); err != nil {
			return err
		}
	}
	t := c.T[from:to]
	var h [][]byte
	if c.H != nil {
		h = c.H[from:to]
	}
	w.page.chunks = w.chunks.Append(w.page.chunks, c.V[from:to], h)
	w.page.endChunk()

	flags := uint64(0)
	if w.newPage {
		flags, w.newPage = 2, false
	}
	if run, ok := w.runs.find(t, w.enc); ok {
		flags |= zigzag(int64(run-w.lastRun)) << 2
		w.lastRun = run
		w.locator = binary.AppendUvarint(w.locator, flags)
		return nil
	}
	run := w.page.find(t)
	flags |= zigzag(int64(run-w.page.lastRun))<<2 | 1
	w.page.lastRun = run
	w.locator = binary.AppendUvarint(w.locator, flags)
	w.locator = binary.AppendVarint(w.locator, t[0]-w.lastMinT)
	w.locator = binary.AppendUvarint(w.locator, uint64(t[len(t)-1]-t[0]))
	w.lastMinT = t[0]
	return nil
}

func zigzag(x int64) uint64 { return uint64(x<<1) ^ uint64(x>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// closePage writes the open chunk page.
func (w *Writer) closePage() error {
	if w.page.empty() {
		return nil
	}
	w.buf = w.page.append(w.buf[:0])
	if len(w.buf) > page.MaxRaw {
		return fmt.Errorf("chunk page of %d bytes: %w", len(w.buf), model.ErrInvalid)
	}
	w.framed = w.enc.Append(w.framed[:0], page.Chunks, w.buf)
	w.page.reset()
	w.lengths = append(w.lengths, int64(len(w.framed)))
	w.newPage = true
	return w.write(w.framed)
}

// closeGroup ends the chunk page and the group when they are full, and with the group the series page when that is large enough; or
// all of them in any case if force is set.
func (w *Writer) closeGroup(force bool) error {
	full := force || w.idx.PageFull()
	if full || w.page.raw() >= pageTarget {
		if err := w.closePage(); err != nil {
			return err
		}
	}
	if !full && w.at-w.groupAt < groupTarget {
		return nil
	}
	if err := w.closePage(); err != nil {
		return err
	}
	if full || w.idx.PageLarge() {
		w.cutSeries()
	} else {
		w.idx.Group(w.groupAt, w.at-w.groupAt)
	}
	w.groupAt = w.at
	return nil
}

// cutSeries ends the series page with the group.
func (w *Writer) cutSeries() {
	prefix := binary.AppendUvarint(nil, uint64(w.pageAt))
	prefix = binary.AppendUvarint(prefix, uint64(len(w.lengths)))
	for _, n := range w.lengths {
		prefix = binary.AppendUvarint(prefix, uint64(n))
	}
	w.idx.Cut(prefix, w.groupAt, w.at-w.groupAt)
	w.pageAt, w.lengths, w.newPage, w.lastRun, w.lastMinT = w.at, w.lengths[:0], false, 0, 0
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.at += int64(n)
	if err != nil {
		return fmt.Errorf("write block at %d: %w", w.at, err)
	}
	return nil
}

// Finish writes what is left but the footer, and returns the layout. A block without series is an error.
func (w *Writer) Finish() (*Layout, error) {
	l := &w.layout
	if l.Series == 0 {
		return nil, fmt.Errorf("block without series: %w", model.ErrInvalid)
	}
	if err := w.closeGroup(true); err != nil {
		return nil, err
	}
	l.Chunks = Section{int64(len(Magic)), w.at - int64(len(Magic))}
	runs := w.runs.finish(w.enc)
	l.Runs = Section{w.at, int64(len(runs))}
	if err := w.write(runs); err != nil {
		return nil, err
	}
	s, err := w.idx.Finish(w.at)
	if err != nil {
		return nil, err
	}
	l.SeriesPages = Section{w.at, int64(len(s.SeriesPages))}
	if err := w.write(s.SeriesPages); err != nil {
		return nil, err
	}
	l.Postings = Section{w.at, int64(len(s.Postings))}
	l.PostingsHead, l.Directory, l.Fences = s.PostingsHead, s.Directory, s.Fences
	return l, w.write(s.Postings)
}
