package blocks

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Mask hides samples of a block: those in Range of every series that one of the selectors matches, its exemplars included. Immutable.
type Mask struct {
	// ID is that of the tombstone.
	ID        string
	Range     model.TimeRange
	Selectors [][]*labels.Matcher
}

// Masks hide what any of them hides. Which masks a block has depends on its place in the catalog; nil is none.
type Masks []Mask

// IDs are those of the tombstones.
func (ms Masks) IDs() []string {
	out := make([]string, len(ms))
	for i := range ms {
		out[i] = ms[i].ID
	}
	return out
}

// Hidden returns the times at which samples of the series are hidden: ascending ranges that neither overlap nor touch, cut to within.
func (ms Masks) Hidden(ls labels.Labels, within model.TimeRange) (hidden []model.TimeRange) {
	for i := range ms {
		if r := ms[i].Range.Intersect(within); !r.Empty() && ms[i].matches(ls) {
			hidden = append(hidden, r)
		}
	}
	return union(hidden)
}

// of returns masks that hide the rows of the block: of a rollup every window that has a masked time in it.
func (ms Masks) of(m *Meta) Masks {
	resolution := m.Format.ResolutionMs()
	if resolution == 0 {
		return ms
	}
	var out Masks
	for _, x := range ms {
		if x.Range = x.Range.Intersect(m.Day.Range()); !x.Range.Empty() {
			x.Range.MaxMs = model.WindowEnd(x.Range.MaxMs, resolution)
			out = append(out, x)
		}
	}
	return out
}

func (m *Mask) matches(ls labels.Labels) bool {
	return slices.ContainsFunc(m.Selectors, func(selector []*labels.Matcher) bool {
		return !slices.ContainsFunc(selector, func(m *labels.Matcher) bool {
			value, ok := model.LabelOf(ls, m.Name)
			return !ok || !m.Matches(value)
		})
	})
}

// union sorts ranges and joins those that overlap or touch.
func union(ranges []model.TimeRange) []model.TimeRange {
	if len(ranges) < 2 {
		return ranges
	}
	slices.SortFunc(ranges, func(a, b model.TimeRange) int { return cmp.Compare(a.MinMs, b.MinMs) })
	out := ranges[:1]
	for _, r := range ranges[1:] {
		last := &out[len(out)-1]
		if r.MinMs <= last.MaxMs+1 { // times of blocks are far from the ends of an int64
			last.MaxMs = max(last.MaxMs, r.MaxMs)
			continue
		}
		out = append(out, r)
	}
	return out
}

// dropHidden takes the samples from index start on that lie in the ranges, which ascend, out of c. The others keep their bits.
func dropHidden(c *model.Columns, start int, hidden []model.TimeRange) {
	n := start
	for i := start; i < len(c.T); i++ {
		for len(hidden) > 0 && hidden[0].MaxMs < c.T[i] {
			hidden = hidden[1:]
		}
		if len(hidden) > 0 && hidden[0].MinMs <= c.T[i] {
			continue
		}
		if n < i {
			c.T[n], c.V[n] = c.T[i], c.V[i]
			if c.H != nil {
				c.H[n] = c.H[i]
			}
		}
		n++
	}
	if n == len(c.T) {
		return
	}
	c.T, c.V = c.T[:n], c.V[:n]
	if c.H == nil {
		return
	}
	c.H = c.H[:n]
	if !slices.ContainsFunc(c.H, func(h []byte) bool { return h != nil }) {
		c.H = nil
	}
}

// maskedSeries is a series some of whose samples are hidden.
type maskedSeries struct {
	model.Series
	hidden []model.TimeRange
}

// Samples implements model.Series.
func (s *maskedSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	start := dst.Len()
	if err := s.Series.Samples(dst, r); err != nil {
		return err
	}
	dropHidden(dst, start, s.hidden)
	return nil
}

// mask applies masks to what was selected within rng. A series that has nothing left there goes; to know that, the samples of one that is
// hidden in part are decoded.
func (q *Query) mask(sel *model.Selection, masks Masks, rng model.TimeRange) error {
	kept := sel.Series[:0]
	var c model.Columns
	for _, s := range sel.Series {
		hidden := masks.Hidden(s.Labels(), rng)
		switch {
		case len(hidden) == 0:
		case hidden[0] == rng:
			continue
		default:
			s = &maskedSeries{s, hidden}
			c.Reset()
			if err := s.Samples(&c, rng); err != nil {
				return err
			}
			if c.Len() == 0 {
				continue
			}
		}
		kept = append(kept, s)
	}
	clear(sel.Series[len(kept):])
	sel.Series = kept
	return nil
}
