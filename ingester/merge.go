package ingester

import (
	"container/heap"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// mergeSelections merges selections, newest first, into one: where several have a sample of a
// series at one timestamp, the newest wins. Close of the result closes all of them.
func mergeSelections(newestFirst []*model.Selection) *model.Selection {
	out := &model.Selection{Release: func() { closeAll(newestFirst) }}
	h := make(cursors, 0, len(newestFirst))
	for age, s := range newestFirst {
		out.Warnings = append(out.Warnings, s.Warnings...)
		if len(s.Series) > 0 {
			h = append(h, cursor{age: age, rest: s.Series, labels: s.Series[0].Labels()})
		}
	}
	if len(h) == 1 {
		out.Series = h[0].rest
		return out
	}
	heap.Init(&h)
	for len(h) > 0 {
		first := h.pop()
		if len(h) == 0 || labels.Compare(first.labels, h[0].labels) != 0 {
			out.Series = append(out.Series, first.series)
			continue
		}
		m := &mergedSeries{labels: first.labels, parts: []model.Series{first.series}}
		for len(h) > 0 && labels.Compare(m.labels, h[0].labels) == 0 {
			m.parts = append(m.parts, h.pop().series)
		}
		out.Series = append(out.Series, m)
	}
	return out
}

func closeAll(ss []*model.Selection) {
	for _, s := range ss {
		s.Close()
	}
}

// cursor walks the series of one selection.
type cursor struct {
	age    int // 0 is the newest
	rest   []model.Series
	labels labels.Labels // of rest[0]
}

// cursors is a heap: by labels, then newest first.
type cursors []cursor

// Len implements heap.Interface.
func (c cursors) Len() int { return len(c) }

// Less implements heap.Interface.
func (c cursors) Less(a, b int) bool {
	if d := labels.Compare(c[a].labels, c[b].labels); d != 0 {
		return d < 0
	}
	return c[a].age < c[b].age
}

// Swap implements heap.Interface.
func (c cursors) Swap(a, b int) { c[a], c[b] = c[b], c[a] }

// Push implements heap.Interface.
func (c *cursors) Push(x any) { *c = append(*c, x.(cursor)) }

// Pop implements heap.Interface.
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

type popped struct {
	series model.Series
	labels labels.Labels
}

// pop takes the first series off and moves its cursor on.
func (c *cursors) pop() popped {
	top := &(*c)[0]
	p := popped{series: top.rest[0], labels: top.labels}
	if top.rest = top.rest[1:]; len(top.rest) == 0 {
		heap.Pop(c)
	} else {
		top.labels = top.rest[0].Labels()
		heap.Fix(c, 0)
	}
	return p
}

// mergedSeries is a series with samples in several generations.
type mergedSeries struct {
	labels labels.Labels
	parts  []model.Series // newest first
}

// Labels implements model.Series.
func (m *mergedSeries) Labels() labels.Labels { return m.labels }

// scratch holds the columns of the parts of one merge.
type scratch struct{ older, newer model.Columns }

// Samples implements model.Series. It merges from the oldest part to the newest.
func (m *mergedSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	var s scratch
	for k := len(m.parts) - 1; k >= 0; k-- {
		s.newer.Reset()
		if err := m.parts[k].Samples(&s.newer, r); err != nil {
			return err
		}
		if k == 0 {
			mergeColumns(dst, &s.older, &s.newer)
			return nil
		}
		var merged model.Columns
		mergeColumns(&merged, &s.older, &s.newer)
		s.older = merged
	}
	return nil
}

// Before implements model.Preceded.
func (m *mergedSeries) Before(dst *model.Columns, t int64) error {
	return model.Before(dst, m.parts, t)
}

// mergeColumns appends the samples of both to dst, ascending; at equal timestamps the newer wins.
func mergeColumns(dst, older, newer *model.Columns) {
	o, n := 0, 0
	for o < older.Len() || n < newer.Len() {
		switch {
		case n == newer.Len() || o < older.Len() && older.T[o] < newer.T[n]:
			appendAt(dst, older, o)
			o++
		default:
			if o < older.Len() && older.T[o] == newer.T[n] {
				o++
			}
			appendAt(dst, newer, n)
			n++
		}
	}
}

func appendAt(dst, src *model.Columns, i int) {
	if src.H != nil && src.H[i] != nil {
		dst.AppendHistogram(src.T[i], src.H[i])
		return
	}
	dst.Append(src.T[i], src.V[i])
}
