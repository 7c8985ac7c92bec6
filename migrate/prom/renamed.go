package prom

import (
	"cmp"
	"container/heap"
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	tsdbindex "github.com/prometheus/prometheus/tsdb/index"
)

// runSeries is how many series of a renamed metric are sorted at a time, with their labels.
const runSeries = 4096

// renamed yields the series of one metric in the order of their new labels. They are sorted in runs, of which only the references are kept, and merged: that holds eight bytes a series and the labels
// of one run, and reads each series twice.
func (w *blockWalk) renamed(ctx context.Context, p tsdbindex.Postings) error {
	var runs [][]storage.SeriesRef
	var batch []entry
	for p.Next() {
		e, ok, err := w.entry(ctx, p.At())
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if len(batch) == w.b.runSeries {
			runs, batch = append(runs, sortedRefs(batch)), batch[:0]
		}
		batch = append(batch, e)
	}
	if err := w.ended(p); err != nil {
		return err
	}
	g := &gathered{w: w}
	if len(runs) == 0 {
		slices.SortFunc(batch, compareEntries)
		for _, e := range batch {
			if err := g.add(e); err != nil {
				return err
			}
		}
		return g.flush()
	}
	runs = append(runs, sortedRefs(batch))
	clear(batch)
	return w.mergeRuns(ctx, runs, g)
}

func compareEntries(a, b entry) int {
	return cmp.Or(labels.Compare(a.ls, b.ls), cmp.Compare(a.replica, b.replica), cmp.Compare(a.ref, b.ref))
}

// sortedRefs sorts the entries and returns their references.
func sortedRefs(batch []entry) []storage.SeriesRef {
	slices.SortFunc(batch, compareEntries)
	refs := make([]storage.SeriesRef, len(batch))
	for i := range batch {
		refs[i] = batch[i].ref
	}
	return refs
}

func (w *blockWalk) mergeRuns(ctx context.Context, runs [][]storage.SeriesRef, g *gathered) error {
	h := make(cursors, 0, len(runs))
	for _, refs := range runs {
		c := &cursor{refs: refs}
		ok, err := c.advance(ctx, w)
		if err != nil {
			return err
		}
		if ok {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		if err := g.add(h[0].entry); err != nil {
			return err
		}
		ok, err := h[0].advance(ctx, w)
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return g.flush()
}

// cursor stands at an entry of a run.
type cursor struct {
	refs []storage.SeriesRef
	entry
}

func (c *cursor) advance(ctx context.Context, w *blockWalk) (bool, error) {
	for len(c.refs) > 0 {
		ref := c.refs[0]
		c.refs = c.refs[1:]
		e, ok, err := w.entry(ctx, ref)
		if ok || err != nil {
			c.entry = e
			return ok, err
		}
	}
	return false, nil
}

// cursors is a heap by the entries that they stand at.
type cursors []*cursor

func (h cursors) Len() int           { return len(h) }
func (h cursors) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h cursors) Less(i, j int) bool { return compareEntries(h[i].entry, h[j].entry) < 0 }

// Push implements heap.Interface.
func (h *cursors) Push(x any) { *h = append(*h, x.(*cursor)) }

// Pop implements heap.Interface.
func (h *cursors) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// gathered hands out entries that come in order, those of the same labels as one series.
type gathered struct {
	w     *blockWalk
	parts []entry
}

func (g *gathered) add(e entry) error {
	if len(g.parts) > 0 && !labels.Equal(g.parts[0].ls, e.ls) {
		if err := g.flush(); err != nil {
			return err
		}
	}
	g.parts = append(g.parts, e)
	return nil
}

func (g *gathered) flush() error {
	if len(g.parts) == 0 {
		return nil
	}
	err := g.w.hand(&blockSeries{w: g.w, parts: g.parts})
	g.parts = g.parts[:0]
	return err
}
