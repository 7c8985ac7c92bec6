package columnar

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/schema"
)

// aggregation is an aggregation over the series of a part. Immutable.
type aggregation struct {
	op       parser.ItemType
	without  bool
	grouping []string // sorted, with the names of metadata if without
	// k is the parameter of topk and bottomk, quantile that of quantile.
	k        int64
	quantile float64
}

// newAggregation returns the aggregation of an expression, or nil.
func newAggregation(e *parser.AggregateExpr) *aggregation {
	a := &aggregation{op: e.Op, without: e.Without}
	switch e.Op {
	case parser.SUM, parser.AVG, parser.COUNT, parser.MIN, parser.MAX, parser.GROUP, parser.STDDEV, parser.STDVAR:
	case parser.TOPK, parser.BOTTOMK:
		n, ok := unwrap(e.Param).(*parser.NumberLiteral)
		// Whatever else has an answer of its own, which the engine gives.
		if !ok || !(n.Val >= 1 && n.Val < 1<<31) {
			return nil
		}
		a.k = int64(n.Val)
	case parser.QUANTILE:
		n, ok := unwrap(e.Param).(*parser.NumberLiteral)
		if !ok || !(n.Val >= 0 && n.Val <= 1) {
			return nil
		}
		a.quantile = n.Val
	default:
		return nil
	}
	if a.without {
		a.grouping = append(a.grouping, metricName, "__type__", "__unit__")
	}
	a.grouping = append(a.grouping, e.Grouping...)
	slices.Sort(a.grouping)
	return a
}

// key is that of the group of a series. As in the engine, groups are told apart by it alone.
func (a *aggregation) key(ls labels.Labels, buf []byte) (uint64, []byte) {
	switch {
	case a.without:
		return ls.HashWithoutLabels(buf, a.grouping...)
	case len(a.grouping) == 0:
		return 0, buf
	}
	return ls.HashForLabels(buf, a.grouping...)
}

// labels are those of the group of a series.
func (a *aggregation) labels(ls labels.Labels) labels.Labels {
	b := labels.NewBuilder(ls)
	switch {
	case a.without:
		b.Del(a.grouping...)
		schema.Metadata{}.SetToLabels(b)
		return b.Labels()
	case len(a.grouping) > 0:
		b.Keep(a.grouping...)
		return b.Labels()
	}
	return labels.EmptyLabels()
}

// reducer takes the evaluated series in order and says what they come to.
type reducer interface {
	add(e *evaluated) error
	results() ([]result, error)
}

// newReducer returns the reducer of a part over n steps.
func newReducer(a *aggregation, n int, m *meter) reducer {
	switch {
	case a == nil:
		return &collector{meter: m}
	case a.k > 0:
		return newRanking(a, n, m)
	}
	return &grouper{aggregation: a, n: n, meter: m, byKey: make(map[uint64]int)}
}

// collector keeps every series.
type collector struct {
	meter *meter
	all   []result
}

func (c *collector) add(e *evaluated) error {
	values := slices.Clone(e.values[e.from:e.to])
	c.all = append(c.all, result{labels: e.labels, from: e.from, values: values})
	return c.meter.hold(max(int64(e.count), int64(len(values)/2)))
}

func (c *collector) results() ([]result, error) { return c.all, nil }

// accumulator reduces the values of a group, each step for itself.
type accumulator interface {
	// add takes values[i] as that of step from+i.
	add(from int, values []float64)
	// finish returns the results of all steps.
	finish() []float64
}

// grouper has an accumulator for each group.
type grouper struct {
	aggregation *aggregation
	n           int
	meter       *meter
	byKey       map[uint64]int
	groups      []group
}

type group struct {
	labels labels.Labels
	accumulator
}

func (g *grouper) add(e *evaluated) error {
	i, ok := g.byKey[e.key]
	if !ok {
		if err := g.meter.hold(int64(g.n)); err != nil {
			return err
		}
		i = len(g.groups)
		g.byKey[e.key] = i
		g.groups = append(g.groups, group{g.aggregation.labels(e.labels), g.aggregation.accumulator(g.n, g.meter)})
	}
	if k, ok := g.groups[i].accumulator.(*keeper); ok {
		return k.keep(e)
	}
	g.groups[i].add(e.from, e.values[e.from:e.to])
	return nil
}

func (g *grouper) results() ([]result, error) {
	all := make([]result, len(g.groups))
	for i, group := range g.groups {
		all[i] = result{labels: group.labels, values: group.finish()}
	}
	return all, nil
}

func (a *aggregation) accumulator(n int, m *meter) accumulator {
	switch a.op {
	case parser.SUM:
		return &summer{sum: absents(n), c: make([]float64, n)}
	case parser.AVG:
		return &averager{sum: absents(n), c: make([]float64, n), count: make([]float64, n)}
	case parser.MIN:
		return &best{values: absents(n), low: true}
	case parser.MAX:
		return &best{values: absents(n)}
	case parser.COUNT:
		return &counter{values: absents(n)}
	case parser.GROUP:
		return &counter{values: absents(n), group: true}
	case parser.STDVAR:
		return &spread{value: absents(n), mean: make([]float64, n), count: make([]float64, n)}
	case parser.STDDEV:
		return &spread{value: absents(n), mean: make([]float64, n), count: make([]float64, n), root: true}
	default: // QUANTILE, of those that newAggregation lets through
		return &keeper{n: n, quantile: a.quantile, meter: m}
	}
}

func absents(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = absent
	}
	return v
}

func isNumber(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
