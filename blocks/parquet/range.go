package parquet

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// openRange is the range that a Writer fills.
type openRange struct {
	series []rangeSeries
	last   labels.Labels // handed in last, also if its range is closed
	metric string        // of the series added last
	// The texts of the range, numbered; those of metrics and those of labels apart.
	metrics, labels map[string]uint32
	text            int // bytes of them
	buf             []byte
}

// rangeSeries is a series until its range is closed.
type rangeSeries struct {
	labels labels.Labels
	rows   [Windows]uint32
}

func (r *openRange) reset() {
	clear(r.series)
	r.series = r.series[:0]
	r.metrics, r.labels, r.text = map[string]uint32{}, map[string]uint32{}, 0
}

// texts returns the metric name and the text of the labels, which is valid until the next call.
func (r *openRange) texts(ls labels.Labels) (metric string, text []byte) {
	r.buf = appendLabels(r.buf[:0], ls)
	return metricText(ls), r.buf
}

// full reports whether the open range must be closed before a series is added whose samples end, window by window, at ends.
func (w *Writer) full(metric string, text []byte, ends [Windows]int) bool {
	if len(w.open.series) == 0 {
		return false
	}
	most, after, size := 0, 0, 0
	from := 0
	for i, to := range ends {
		g := &w.groups[i]
		most = max(most, g.rows)
		if to > from && g.rows > 0 {
			after = max(after, g.rows+to-from)
		}
		size += g.size()
		from = to
	}
	if metric != w.open.metric && most >= rangeRows {
		return true
	}
	return after > groupRows || size > rangeBytes || w.open.text+len(text) > rangeText
}

// number returns the number of a text in the range and the text as a string that stays.
func (r *openRange) number(numbers map[string]uint32, text []byte) (uint32, string) {
	if n, ok := numbers[string(text)]; ok {
		return n, string(text)
	}
	s := string(text)
	n := uint32(len(numbers))
	numbers[s] = n
	// What a map takes beside the text counts too.
	r.text += len(s) + 64
	return n, s
}

// add adds the series to the open range.
func (w *Writer) add(ls labels.Labels, metric string, text []byte, c *model.Rollup, ends [Windows]int) {
	s := rangeSeries{labels: ls}
	m, metric := w.open.number(w.open.metrics, []byte(metric))
	n, labelsText := w.open.number(w.open.labels, text)
	from := 0
	for i, to := range ends {
		if to > from {
			g := &w.groups[i]
			g.metrics.add(m, metric, to-from)
			g.labels.add(n, labelsText, to-from)
			g.add(c, from, to)
			s.rows[i] = uint32(to - from)
		}
		from = to
	}
	w.open.series = append(w.open.series, s)
	w.open.metric = metric
}

// closeRange writes the row groups of the range and adds its series to the index.
func (w *Writer) closeRange() error {
	if len(w.open.series) == 0 {
		return nil
	}
	if w.at == 0 {
		if err := w.write([]byte(Magic)); err != nil {
			return err
		}
	}
	begin := w.at
	for i := range w.groups {
		if w.groups[i].rows > 0 {
			if err := w.writeGroup(i); err != nil {
				return err
			}
		}
	}
	if err := w.addToIndex(begin); err != nil {
		return err
	}
	for i := range w.groups {
		w.groups[i].reset()
	}
	w.open.reset()
	return nil
}

func (w *Writer) writeGroup(window int) error {
	g := &w.groups[window]
	g.finish()
	begin := w.at
	for col := range g.chunks {
		g.base[col] = w.at
		if err := w.write(g.chunks[col].pages); err != nil {
			return err
		}
	}
	w.footer = append(w.footer, g.footer(len(w.footer)))
	x := RowGroup{Offset: begin, Length: w.at - begin, Window: window}
	if w.kind == Rollups {
		x.Parts, x.Refers = g.parts(), g.refers()
	}
	w.layout.RowGroups = append(w.layout.RowGroups, x)
	return nil
}

// addToIndex adds the series of the range, which begins at begin and ends here.
func (w *Writer) addToIndex(begin int64) error {
	var at, done [Windows]uint32 // rows before the open page, and before the series
	var locator []byte
	var last [Windows]uint32
	fresh := true
	for i := range w.open.series {
		s := &w.open.series[i]
		locator = locator[:0]
		if !fresh && s.rows == last {
			locator = append(locator, 0)
		} else {
			locator = appendLocator(locator, &s.rows)
		}
		last, fresh = s.rows, false
		if err := w.idx.Add(s.labels, locator); err != nil {
			return err
		}
		for j, n := range s.rows {
			done[j] += n
		}
		end := i+1 == len(w.open.series)
		if !end && !w.idx.PageFull() && !w.idx.PageLarge() {
			continue
		}
		// The last page answers for all rows of the range, so that a directory entry ends where ranges end.
		size := int64(0)
		if end {
			size = w.at - begin
		}
		w.idx.Cut(w.prefix(&at, &done), begin, size)
		at, fresh = done, true
	}
	return nil
}

func appendLocator(dst []byte, rows *[Windows]uint32) []byte {
	at := len(dst)
	dst = append(dst, 0)
	for i, n := range rows {
		if n > 0 {
			dst[at] |= 1 << i
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	return dst
}

// prefix says where the rows [from, to) of each window lie.
func (w *Writer) prefix(from, to *[Windows]uint32) []byte {
	b := []byte{0}
	last := int64(0)
	for i := range w.groups {
		if to[i] > from[i] {
			b[0] |= 1 << i
			b, last = w.groups[i].appendPlace(b, int(from[i]), int(to[i]), last)
		}
	}
	return b
}

// appendPlace appends the place of the rows [from, to). last is the end of the page listed last.
func (g *group) appendPlace(b []byte, from, to int, last int64) ([]byte, int64) {
	lo, row := 0, 0
	for row+g.stripes[lo].rows <= from {
		row += g.stripes[lo].rows
		lo++
	}
	first := from - row
	hi := lo
	for ; row < to; hi++ {
		row += g.stripes[hi].rows
	}
	list := g.stripes[lo:hi]
	core := g.kind.core()
	offset := func(s *stripe, i int) int64 { return g.base[colTs+i] + int64(s.at[i]) }
	end := func(i int) int64 {
		s := &list[len(list)-1]
		return offset(s, i) + int64(s.length[i])
	}
	b = binary.AppendVarint(b, offset(&list[0], 0)-last)
	for i := 1; i < core; i++ {
		b = binary.AppendUvarint(b, uint64(offset(&list[0], i)-end(i-1)))
	}
	b = binary.AppendUvarint(b, uint64(first))
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		s := &list[i]
		u := uint64(s.rows) << 1
		if g.extras {
			u |= 1
		}
		b = binary.AppendUvarint(b, u<<g.kind.flagBits()|uint64(s.flags))
		for _, n := range s.length[:core] {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	if !g.extras {
		return b, end(core - 1)
	}
	stored := g.kind.stored()
	for i := core; i < stored; i++ {
		b = binary.AppendUvarint(b, uint64(offset(&list[0], i)-end(i-1)))
	}
	for i := range list {
		for _, n := range list[i].length[core:stored] {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b, end(stored - 1)
}
