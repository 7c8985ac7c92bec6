package parquet

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"

	"github.com/parquet-go/parquet-go/format"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/internal/page"
	"github.com/varvedb/varve/model"
)

// Magic begins and ends every Parquet file.
const Magic = "PAR1"

// Section is a stretch of the object.
type Section struct{ Offset, Length int64 }

// RowGroup is the place of a row group in the object, and its window.
type RowGroup struct {
	Offset, Length int64
	Window         int
	// Of a row group of rollups Parts are the lengths of what it consists of, see RowGroup.Part; nil for samples. Bit a of Refers says that
	// some rows need another part beside that of aggregate a.
	Parts  []int64
	Refers uint8
}

// Layout is what Finish says of a block.
type Layout struct {
	Rows, SeriesPages, Postings Section
	PostingsHead                int64
	Directory                   []index.DirEntry
	Fences                      []index.Fence
	RowGroups                   []RowGroup
	Series, Samples, Histograms int64
	MinT, MaxT                  int64
}

// Writer writes a block up to the end of its index section, and makes the Parquet footer.
type Writer struct {
	w    io.Writer
	at   int64 // bytes written
	day  model.Day
	kind Kind
	k    coder
	idx  *index.Builder
	row  model.Rollup // scratch

	pending pendingMetric
	open    openRange
	groups  [Windows]group
	footer  []format.RowGroup
	layout  Layout
}

// NewWriter returns a writer of one day. Nothing is written before the first range is full.
func NewWriter(w io.Writer, day model.Day, kind Kind) *Writer {
	z := page.NewEncoder()
	out := &Writer{w: w, day: day, kind: kind, k: coder{z: z}, idx: index.NewBuilder(z)}
	for i := range out.groups {
		out.groups[i] = newGroup(&out.k, kind)
	}
	out.open.reset()
	return out
}

// Close gives memory back. It does not finish the block.
func (w *Writer) Close() { w.k.z.Close() }

// Size is roughly the length of the object so far, without index and footer.
func (w *Writer) Size() int64 {
	n := w.at + int64(w.pending.samples)
	for i := range w.groups {
		n += int64(w.groups[i].size())
	}
	return n
}

// Add adds a series and its samples, at least one, timestamps strictly ascending and of the day. Series come in the order of index.Less. The
// columns stay the caller's. Errors of the input wrap model.ErrInvalid.
func (w *Writer) Add(ls labels.Labels, c *model.Columns) error {
	if err := c.Check(maxHistogram); err != nil {
		return fmt.Errorf("series %.200s: %w", ls, err)
	}
	w.row.T, w.row.V[0], w.row.H = c.T, c.V, c.H
	return w.addRows(ls, &w.row)
}

// AddRollup is Add for windows. Counts are integers. Where there is a histogram, the other aggregates are taken for 0.
func (w *Writer) AddRollup(ls labels.Labels, c *model.Rollup) error {
	err := c.Check(maxHistogram)
	for i := 0; err == nil && i < len(c.T); i++ {
		if n := c.V[model.Count][i]; n != float64(int64(n)) || n < 0 {
			err = fmt.Errorf("count %v at %d: %w", n, c.T[i], model.ErrInvalid)
		}
	}
	if err != nil {
		return fmt.Errorf("series %.200s: %w", ls, err)
	}
	return w.addRows(ls, c)
}

func (w *Writer) addRows(ls labels.Labels, c *model.Rollup) error {
	if r := w.day.Range(); !r.Contains(c.T[0]) || !r.Contains(c.T[len(c.T)-1]) {
		return fmt.Errorf("series %.200s: rows from %d to %d are not of day %s: %w", ls, c.T[0], c.T[len(c.T)-1], w.day, model.ErrInvalid)
	}
	if w.layout.Series > 0 && !index.Less(w.open.last, ls) {
		return fmt.Errorf("series %.200s after %.200s: not in order: %w", ls, w.open.last, model.ErrInvalid)
	}
	w.count(c)
	w.open.last = ls
	return w.pend(ls, c)
}

// place adds a series to the open range, or to a new one if that is full.
func (w *Writer) place(ls labels.Labels, c *model.Rollup) error {
	ends := w.split(c.T)
	metric, text := w.open.texts(ls)
	if w.full(metric, text, ends) {
		if err := w.closeRange(); err != nil {
			return err
		}
	}
	w.add(ls, metric, text, c, ends)
	return nil
}

func (w *Writer) count(c *model.Rollup) {
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

// split returns where the samples of each window end.
func (w *Writer) split(t []int64) (ends [Windows]int) {
	from := 0
	for i := range ends {
		edge := w.day.Range().MinMs + int64(i+1)*w.kind.WindowMs()
		if i == w.kind.Windows()-1 || t[len(t)-1] < edge {
			from = len(t)
		} else {
			from += sort.Search(len(t)-from, func(j int) bool { return t[from+j] >= edge })
		}
		ends[i] = from
	}
	return ends
}

func (w *Writer) write(b []byte) error {
	n, err := w.w.Write(b)
	w.at += int64(n)
	if err != nil {
		return fmt.Errorf("write block at %d: %w", w.at, err)
	}
	return nil
}

// Finish writes what is left of rows and index. It returns the layout, and the end of the object for the caller to write behind his Meta:
// the Parquet footer with its length and magic. A block without series is an error.
func (w *Writer) Finish() (*Layout, []byte, error) {
	l := &w.layout
	if l.Series == 0 {
		return nil, nil, fmt.Errorf("block without series: %w", model.ErrInvalid)
	}
	if err := w.settle(); err != nil {
		return nil, nil, err
	}
	if err := w.closeRange(); err != nil {
		return nil, nil, err
	}
	l.Rows = Section{int64(len(Magic)), w.at - int64(len(Magic))}
	s, err := w.idx.Finish(w.at)
	if err != nil {
		return nil, nil, err
	}
	l.SeriesPages = Section{w.at, int64(len(s.SeriesPages))}
	if err := w.write(s.SeriesPages); err != nil {
		return nil, nil, err
	}
	l.Postings = Section{w.at, int64(len(s.Postings))}
	l.PostingsHead, l.Directory, l.Fences = s.PostingsHead, s.Directory, s.Fences
	if err := w.write(s.Postings); err != nil {
		return nil, nil, err
	}
	footer, err := w.fileFooter()
	if err != nil {
		return nil, nil, err
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return l, append(footer, Magic...), nil
}
