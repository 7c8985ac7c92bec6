package columnar

import (
	"container/heap"
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ranking is topk and bottomk. Of each group and step it has a heap of the best, the worst of them on top; among equal ones
// the order of the heap decides who stays, so it is moved as the engine moves its own.
type ranking struct {
	aggregation *aggregation
	n           int
	meter       *meter
	byKey       map[uint64]int
	groups      [][]ranked // of each group n heaps, one after the other a step
	series      []labels.Labels
	bottom      bool
}

// ranked is a heap of one group and step.
type ranked struct {
	entries []entry
	bottom  bool
}

type entry struct {
	f      float64
	series int32
}

func newRanking(a *aggregation, n int, m *meter) *ranking {
	return &ranking{aggregation: a, n: n, meter: m, byKey: make(map[uint64]int), bottom: a.op == parser.BOTTOMK}
}

func (r *ranking) add(e *evaluated) error {
	i, ok := r.byKey[e.key]
	if !ok {
		if err := r.meter.hold(int64(r.n)); err != nil {
			return err
		}
		i = len(r.groups)
		r.byKey[e.key] = i
		r.groups = append(r.groups, make([]ranked, r.n))
	}
	id := int32(len(r.series))
	grew := int64(0)
	for step := e.from; step < e.to; step++ {
		if f := e.values[step]; !isAbsent(f) {
			grew += r.offer(&r.groups[i][step], entry{f, id})
		}
	}
	r.series = append(r.series, e.labels)
	return r.meter.hold(grew)
}

// offer puts an entry in a heap if it is among the best, and returns by how much the heap grew.
func (r *ranking) offer(h *ranked, e entry) int64 {
	if int64(len(h.entries)) < r.aggregation.k {
		// The engine pushes the first one on a heap of the other order, which does not matter to a heap of one.
		h.bottom = r.bottom
		heap.Push(h, e)
		return 1
	}
	worst := h.entries[0].f
	if r.bottom && worst > e.f || !r.bottom && worst < e.f || math.IsNaN(worst) && !math.IsNaN(e.f) {
		h.entries[0] = e
		if r.aggregation.k > 1 {
			heap.Fix(h, 0)
		}
	}
	return 0
}

// results are the series that were among the best at some step, with the values of those steps. At a single step they come
// group by group, the best first.
func (r *ranking) results() ([]result, error) {
	var order []int32
	values := make(map[int32][]float64)
	for _, steps := range r.groups {
		for step := range steps {
			h := &steps[step]
			sort.Sort(sort.Reverse(h))
			for _, e := range h.entries {
				if values[e.series] == nil {
					if err := r.meter.hold(int64(r.n / 2)); err != nil {
						return nil, err
					}
					values[e.series] = absents(r.n)
					order = append(order, e.series)
				}
				values[e.series][step] = e.f
			}
		}
	}
	if r.n > 1 {
		slices.Sort(order)
	}
	all := make([]result, len(order))
	for i, id := range order {
		all[i] = result{labels: r.series[id], values: values[id]}
	}
	return all, nil
}

// Len implements heap.Interface.
func (h *ranked) Len() int { return len(h.entries) }

// Less implements heap.Interface.
func (h *ranked) Less(i, j int) bool {
	a, b := h.entries[i].f, h.entries[j].f
	if math.IsNaN(a) {
		return true
	}
	if h.bottom {
		return a > b
	}
	return a < b
}

// Swap implements heap.Interface.
func (h *ranked) Swap(i, j int) { h.entries[i], h.entries[j] = h.entries[j], h.entries[i] }

// Push implements heap.Interface.
func (h *ranked) Push(x any) { h.entries = append(h.entries, x.(entry)) }

// Pop implements heap.Interface.
func (h *ranked) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries = h.entries[:last]
	return e
}
