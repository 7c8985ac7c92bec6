package query

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// merger walks several sorted lists of series and gives each label set once, in the order of
// labels.Compare, with its parts lowest priority first.
type merger struct {
	// heads is a heap by labels, then priority; exhausted lists are taken out.
	heads []head
}

type head struct {
	labels   labels.Labels
	series   []model.Series // series[0] has the labels
	priority int
}

// newMerger takes the lists of answers, lowest priority first.
func newMerger(answers []*answer) *merger {
	m := &merger{}
	for i, a := range answers {
		if a.selection != nil && len(a.selection.Series) > 0 {
			s := a.selection.Series
			m.heads = append(m.heads, head{labels: s[0].Labels(), series: s, priority: i})
		}
	}
	for i := len(m.heads)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m
}

// next returns the next label set and its parts, nil parts at the end.
func (m *merger) next() (ls labels.Labels, parts []model.Series) {
	if len(m.heads) == 0 {
		return labels.EmptyLabels(), nil
	}
	ls = m.heads[0].labels
	for {
		parts = append(parts, m.heads[0].series[0])
		m.advance()
		if len(m.heads) == 0 || !labels.Equal(m.heads[0].labels, ls) {
			return ls, parts
		}
	}
}

// advance moves the first head on.
func (m *merger) advance() {
	h := &m.heads[0]
	if h.series = h.series[1:]; len(h.series) > 0 {
		h.labels = h.series[0].Labels()
	} else {
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads[last] = head{}
		m.heads = m.heads[:last]
	}
	m.down(0)
}

func (m *merger) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heads); child++ {
			if m.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heads[i], m.heads[least] = m.heads[least], m.heads[i]
		i = least
	}
}

func (m *merger) less(i, j int) bool {
	a, b := &m.heads[i], &m.heads[j]
	if c := labels.Compare(a.labels, b.labels); c != 0 {
		return c < 0
	}
	return a.priority < b.priority
}

// decode appends the samples of all parts within the range to dst, ascending; for equal timestamps
// that of the later part stays. It uses scratch as it likes. A part that cannot be decoded is left out if excuse says so by returning nil.
func decode(dst, scratch *model.Columns, parts []model.Series, r model.TimeRange, excuse func(error) error) error {
	for _, p := range parts {
		n := dst.Len()
		if err := p.Samples(dst, r); err != nil {
			if err := excuse(err); err != nil {
				return err
			}
			truncate(dst, n)
		}
		// Parts mostly follow one another in time; then nothing is left to do.
		if n > 0 && n < dst.Len() && dst.T[n] <= dst.T[n-1] {
			mergeTail(dst, scratch, n)
		}
	}
	return nil
}

// truncate cuts c to its first n samples.
func truncate(c *model.Columns, n int) {
	c.T, c.V = c.T[:n], c.V[:n]
	if c.H != nil {
		c.H = c.H[:n]
	}
}

// mergeTail puts the two ascending stretches [0, n) and [n, len) of c in order. The second wins ties.
func mergeTail(c, scratch *model.Columns, n int) {
	from, _ := span(c.T[:n], model.TimeRange{MinMs: c.T[n], MaxMs: c.T[n]})
	scratch.Reset()
	i, j := from, n
	for i < n || j < c.Len() {
		switch {
		case j == c.Len() || i < n && c.T[i] < c.T[j]:
			appendFrom(scratch, c, i)
			i++
		case i < n && c.T[i] == c.T[j]:
			i++
		default:
			appendFrom(scratch, c, j)
			j++
		}
	}
	c.T, c.V = append(c.T[:from], scratch.T...), append(c.V[:from], scratch.V...)
	if c.H != nil {
		if scratch.H == nil {
			scratch.H = make([][]byte, scratch.Len())
		}
		c.H = append(c.H[:from], scratch.H...)
	}
}
