package spill

import (
	"container/heap"
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// Merged makes one sequence of series in the order of blocks of several such, each of which has a series once. Of equal timestamps the one of the first or last
// sequence is kept. A series is valid until the next one is asked for.
func Merged(ctx context.Context, inputs []iter.Seq2[model.Series, error], wins Winner) iter.Seq2[model.Series, error] {
	return merged(ctx.Err, inputs, wins)
}

// merged is Merged until stopped returns an error.
func merged(stopped func() error, inputs []iter.Seq2[model.Series, error], wins Winner) iter.Seq2[model.Series, error] {
	out := &partsSeries{wins: wins}
	return mergedBy(stopped, inputs, func(parts []model.Series) model.Series {
		out.parts = parts
		return out
	})
}

// Union is a series of several of the same labels, of which there is one at least. Of equal timestamps that of the first or last part is kept.
func Union(parts []model.Series, wins Winner) model.Series {
	return &partsSeries{parts: parts, wins: wins}
}

// MergedBy is Merged for those who make one series of several themselves: unite gets those of the same labels in the order of the sequences, valid until the next one is
// asked for.
func MergedBy(ctx context.Context, inputs []iter.Seq2[model.Series, error], unite func(parts []model.Series) model.Series) iter.Seq2[model.Series, error] {
	return mergedBy(ctx.Err, inputs, unite)
}

func mergedBy(stopped func() error, inputs []iter.Seq2[model.Series, error], unite func(parts []model.Series) model.Series) iter.Seq2[model.Series, error] {
	return func(yield func(model.Series, error) bool) {
		h := make(heads, 0, len(inputs))
		for n, in := range inputs {
			next, stop := iter.Pull2(in)
			defer stop()
			e := &head{next: next, n: n}
			ok, err := e.advance()
			if err != nil {
				yield(nil, err)
				return
			}
			if ok {
				h = append(h, e)
			}
		}
		heap.Init(&h)
		var group []*head
		var parts []model.Series
		for len(h) > 0 {
			group = h.take(group[:0])
			parts = parts[:0]
			for _, e := range group {
				parts = append(parts, e.s)
			}
			if err := stopped(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(unite(parts), nil) {
				return
			}
			for _, e := range group {
				ok, err := e.advance()
				if err != nil {
					yield(nil, err)
					return
				}
				if ok {
					heap.Push(&h, e)
				}
			}
		}
	}
}

// head is a sequence with its next series.
type head struct {
	next func() (model.Series, error, bool)
	n    int
	s    model.Series
	ls   labels.Labels
	name string
}

func (e *head) advance() (bool, error) {
	s, err, ok := e.next()
	if err != nil || !ok {
		return false, err
	}
	e.s, e.ls = s, s.Labels()
	e.name = e.ls.Get(index.MetricName)
	return true, nil
}

// heads is a heap of sequences by their next series, then by their number.
type heads []*head

func (h heads) Len() int      { return len(h) }
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h heads) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.name != b.name {
		return a.name < b.name
	}
	if c := labels.Compare(a.ls, b.ls); c != 0 {
		return c < 0
	}
	return a.n < b.n
}

// Push implements heap.Interface.
func (h *heads) Push(x any) { *h = append(*h, x.(*head)) }

// Pop implements heap.Interface.
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// take moves the sequences that stand at the first series to group.
func (h *heads) take(group []*head) []*head {
	for len(*h) > 0 && (len(group) == 0 || labels.Equal((*h)[0].ls, group[0].ls)) {
		group = append(group, heap.Pop(h).(*head))
	}
	return group
}

// partsSeries is a series of several parts, each of which is in order.
type partsSeries struct {
	parts []model.Series
	wins  Winner
}

// Labels implements model.Series.
func (s *partsSeries) Labels() labels.Labels { return s.parts[0].Labels() }

// Samples implements model.Series.
func (s *partsSeries) Samples(dst *model.Columns, r model.TimeRange) error {
	if len(s.parts) == 1 {
		return s.parts[0].Samples(dst, r)
	}
	if dst.Len() > 0 {
		c := &model.Columns{}
		if err := s.Samples(c, r); err != nil {
			return err
		}
		return (&series{s.Labels(), c}).Samples(dst, r)
	}
	ascending := true
	for _, p := range s.parts {
		n := dst.Len()
		if err := p.Samples(dst, r); err != nil {
			return err
		}
		if n > 0 && dst.Len() > n && dst.T[n] <= dst.T[n-1] {
			ascending = false
		}
	}
	if !ascending {
		*dst = *ordered(dst, s.wins)
	}
	return nil
}
