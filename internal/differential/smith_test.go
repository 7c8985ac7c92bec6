package differential

import (
	rand1 "math/rand"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cortexproject/promqlsmith"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// smith makes queries with promqlsmith.
type smith struct {
	data   *dataset
	labels []labels.Labels
	names  []string
	// heavy are the functions that query evaluates itself and few others; all is everything.
	heavy, all []*parser.Function
}

func newSmith(d *dataset) *smith {
	s := &smith{data: d}
	for i := range d.series {
		s.labels = append(s.labels, d.series[i].labels)
		d.series[i].labels.Range(func(l labels.Label) {
			if !slices.Contains(s.names, l.Name) {
				s.names = append(s.names, l.Name)
			}
		})
	}
	slices.Sort(s.names)
	for _, f := range parser.Functions {
		if f.Name == "holt_winters" { // promqlsmith adds it, for other engines
			continue
		}
		s.all = append(s.all, f)
		if slices.Contains(overRange, f.Name) || f.Name == "scalar" || f.Name == "time" {
			s.heavy = append(s.heavy, f)
		}
	}
	byName := func(a, b *parser.Function) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(s.all, byName)
	slices.SortFunc(s.heavy, byName)
	return s
}

// expr returns a query of vector or scalar type that parses.
func (s *smith) expr(rng *rand.Rand) string {
	for {
		text := s.try(rng)
		if _, err := expressions.ParseExpr(text); err == nil {
			return text
		}
	}
}

// try returns nothing when promqlsmith loses its way: deep down it may find nothing that fits.
func (s *smith) try(rng *rand.Rand) (expr string) {
	defer func() {
		if recover() != nil {
			expr = ""
		}
	}()
	opts := []promqlsmith.Option{
		promqlsmith.WithEnableOffset(true), promqlsmith.WithEnableAtModifier(rng.IntN(4) == 0),
		promqlsmith.WithEnableVectorMatching(true), promqlsmith.WithMaxDepth(2 + rng.IntN(3)),
	}
	if rng.IntN(3) > 0 {
		exprs := []promqlsmith.ExprType{
			promqlsmith.VectorSelector, promqlsmith.MatrixSelector, promqlsmith.NumberLiteral, promqlsmith.AggregateExpr, promqlsmith.CallExpr,
		}
		opts = append(opts, promqlsmith.WithEnabledFunctions(slices.Clone(s.heavy)), promqlsmith.WithEnabledExprs(exprs))
	} else {
		opts = append(opts, promqlsmith.WithEnableExperimentalPromQLFunctions(true), promqlsmith.WithEnabledFunctions(slices.Clone(s.all)))
	}
	// A few series at a time, so that the two sides of an operator find one another.
	some := make([]labels.Labels, 0, 12)
	for _, name := range []string{s.pick(rng, s.data.names), s.pick(rng, s.data.names)} {
		for _, i := range s.data.metrics[name] {
			some = append(some, s.labels[i])
		}
	}
	p := promqlsmith.New(rand1.New(rand1.NewSource(rng.Int64())), some, opts...)
	e := p.WalkRangeQuery()
	s.settle(rng, e)
	return e.String()
}

func (*smith) pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

// settle replaces what promqlsmith draws from the iteration of a map, which no seed would repeat, and times that are nowhere near the data. It
// also makes subqueries short, since an hour of them is most of the time of a run.
func (s *smith) settle(rng *rand.Rand, e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			for i := range n.Grouping {
				n.Grouping[i] = s.pick(rng, s.names)
			}
		case *parser.Call:
			s.settleCall(rng, n)
		case *parser.VectorSelector:
			s.settleTime(rng, n.Timestamp)
		case *parser.SubqueryExpr:
			s.settleTime(rng, n.Timestamp)
			n.Range, n.Step = time.Duration(1+rng.IntN(8))*time.Minute, time.Duration(10+rng.IntN(100))*time.Second
		case *parser.MatrixSelector:
			if rng.IntN(4) == 0 {
				n.Range = time.Duration(1+rng.IntN(60)) * time.Second
			}
		}
		return nil
	})
}

func (s *smith) settleCall(rng *rand.Rand, c *parser.Call) {
	switch c.Func.Name {
	case "label_replace":
		c.Args[3] = &parser.StringLiteral{Val: s.pick(rng, s.names)}
	case "label_join", "sort_by_label", "sort_by_label_desc":
		for i, a := range c.Args {
			if text, ok := a.(*parser.StringLiteral); ok && slices.Contains(s.names, text.Val) {
				c.Args[i] = &parser.StringLiteral{Val: s.pick(rng, s.names)}
			}
		}
	}
}

func (*smith) settleTime(rng *rand.Rand, t *int64) {
	if t != nil {
		*t = dataFrom + rng.Int64N(dataTo-dataFrom)
	}
}
