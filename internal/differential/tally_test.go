package differential

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// tally counts what was asked and what came of it.
type tally struct {
	questions, empty int
	verdicts         [different + 1]int
	// asked counts the questions with each function and aggregation.
	asked map[string]int
}

func newTally() *tally { return &tally{asked: map[string]int{}} }

func (y *tally) count(q *question, v verdict, empty bool) {
	y.questions++
	y.verdicts[v]++
	if empty {
		y.empty++
	}
	for shape := range shapesOf(q.expr) {
		y.asked[shape]++
	}
}

// shapesOf are the functions and aggregations in an expression.
func shapesOf(expr string) map[string]bool {
	e, err := expressions.ParseExpr(expr)
	if err != nil {
		return nil
	}
	shapes := map[string]bool{}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.Call:
			shapes[n.Func.Name] = true
		case *parser.AggregateExpr:
			shapes[n.Op.String()] = true
		}
		return nil
	})
	return shapes
}

func (y *tally) String() string {
	return fmt.Sprintf("%d queries: %.1f %% with an answer, %d differ, %d like one of several answers, %d undecided\n\tasked: %v",
		y.questions, 100*float64(y.questions-y.empty)/float64(y.questions), y.verdicts[different], y.verdicts[sameSometimes], y.verdicts[undecided], y.asked)
}

// check is for a long run.
func (y *tally) check(t *testing.T) {
	t.Helper()
	if y.empty*10 > y.questions*4 {
		t.Errorf("%d of %d answers are empty, want at most 40 %%", y.empty, y.questions)
	}
	if y.verdicts[undecided]*200 > y.questions {
		t.Errorf("%d of %d answers are undecided, want at most 0.5 %%", y.verdicts[undecided], y.questions)
	}
}
