package differential

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/promql/parser"
)

// verdict is what a comparison of two answers comes to.
type verdict int

const (
	same verdict = iota
	// sameSometimes: the reference's own answer changes from run to run, and ours is one of them.
	sameSometimes
	// undecided: the reference's numbers change from run to run, and none of the runs gave ours.
	undecided
	different
)

const (
	// attempts is how often the reference is asked again before an answer counts as different: some of its sums are rounded otherwise only in
	// a few of the many orders in which it may go through a map.
	attempts = 1000
	// whileShrinking is the same for the parts of a question that is known to differ.
	whileShrinking = 100
	// enough is how often it is asked to find ours once its numbers are known to change.
	enough = 40
)

// judge asks both systems and compares. Prometheus' engine goes through maps in some places: what an operator gives for a range
// comes in any order, so that sums over it are rounded in any order; so does what count_values gives, and what topk makes of equal values.
type judge struct {
	reference, candidate system
	attempts             int // 0 for the usual number
}

// ask returns the verdict, a description of the difference, and whether the reference's answer is empty.
func (j *judge) ask(ctx context.Context, q *question) (v verdict, d string, empty bool) {
	want, got := j.reference.ask(ctx, q), j.candidate.ask(ctx, q)
	defer want.close()
	defer got.close()
	if d = difference(&want, &got); d == "" {
		return same, "", want.empty()
	}
	return j.reconsider(ctx, q, &want, &got), d, want.empty()
}

// reconsider decides about answers that differ.
func (j *judge) reconsider(ctx context.Context, q *question, want, got *answer) verdict {
	reordered, renumbered := false, false // from run to run of the reference
	found := difference(byLabels(want), byLabels(got)) == ""
	limit := j.attempts
	if limit == 0 {
		limit = attempts
	}
	for n := range limit {
		again := j.reference.ask(ctx, q)
		exact := difference(&again, got) == ""
		found = found || difference(byLabels(&again), byLabels(got)) == ""
		reordered = reordered || difference(want, &again) != ""
		renumbered = renumbered || difference(byLabels(want), byLabels(&again)) != ""
		again.close()
		switch {
		case exact, found && reordered:
			return sameSometimes
		case renumbered && n > enough:
			return undecided
		}
	}
	return different
}

// shrink returns the shortest part of the question that still differs, at one step if that will do, and the difference.
func (j *judge) shrink(ctx context.Context, q *question, d string) (*question, string) {
	best := *q
	hasty := &judge{reference: j.reference, candidate: j.candidate, attempts: whileShrinking}
	try := func(smaller question) bool {
		v, dd, _ := hasty.ask(ctx, &smaller)
		if v == different {
			best, d = smaller, dd
		}
		return v == different
	}
	e, err := expressions.ParseExpr(q.expr)
	if err != nil {
		return &best, d
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		part, ok := n.(parser.Expr)
		if !ok || part.Type() != parser.ValueTypeVector && part.Type() != parser.ValueTypeScalar {
			return nil
		}
		if text := part.String(); len(text) < len(best.expr) {
			smaller := *q
			smaller.expr = text
			try(smaller)
		}
		return nil
	})
	for t := q.start; q.step > 0 && t <= q.end; t += q.step {
		one := best
		one.start, one.end = t, t
		if try(one) {
			one.step = 0
			try(one)
			break
		}
	}
	return &best, d
}

// report says what differs and how to see it again.
func (j *judge) report(ctx context.Context, seed uint64, number int, q *question, d string) string {
	small, smallest := j.shrink(ctx, q, d)
	return fmt.Sprintf("DIFF_SEED=%d DIFF_ONLY=%d: %s\n\t%s\n\tshrunk to: %s\n\t%s", seed, number, q, d, small, smallest)
}
