package differential

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// tally counts what was asked and what came of it.
type tally struct {
	questions, empty, merges, compactions int
	deletions, erasures                   int
	// mixed are the days with blocks of both formats.
	mixed    int
	verdicts [different + 1]int
	// columnar counts the questions in which each function and aggregation was evaluated column-wise, givenUp those in which that was begun only.
	columnar map[string]int
	givenUp  int
}

func newTally() *tally { return &tally{columnar: map[string]int{}} }

func (y *tally) count(v verdict, empty bool, m *metrics) {
	y.questions++
	y.verdicts[v]++
	if empty {
		y.empty++
	}
	shapes, gaveUp := m.step()
	if gaveUp {
		y.givenUp++
		return
	}
	for _, shape := range shapes {
		y.columnar[shape]++
	}
}

func (y *tally) String() string {
	return fmt.Sprintf("%d queries: %.1f %% with an answer, %d differ, %d like one of several answers, %d undecided, %d given up column-wise, %d merges, %d of them to parquet, %d days of both formats, %d deletes, %d blocks erased from\n\tcolumn-wise: %v",
		y.questions, 100*float64(y.questions-y.empty)/float64(y.questions), y.verdicts[different], y.verdicts[sameSometimes], y.verdicts[undecided], y.givenUp, y.merges, y.compactions, y.mixed, y.deletions, y.erasures, y.columnar)
}

// shapes are what query/columnar promises to evaluate itself.
var shapes = []string{
	"selector", "rate", "increase", "delta", "irate", "idelta", "changes", "resets",
	"avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time", "first_over_time", "present_over_time",
	"quantile_over_time", "stddev_over_time", "stdvar_over_time", "mad_over_time", "deriv", "predict_linear",
	"integral", "double_exponential_smoothing", "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
	"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile",
}

// often is how many questions of a long run each shape is to be evaluated column-wise in: of 26,000 it is some 600, give or take 25.
const often = 500

// rarest is how many questions the rarest shape was evaluated column-wise in.
func (y *tally) rarest() int {
	for _, shape := range shapes {
		y.columnar[shape] += 0
	}
	return slices.Min(slices.Collect(maps.Values(y.columnar)))
}

// check is for a long run.
func (y *tally) check(t *testing.T) {
	t.Helper()
	for shape, n := range y.columnar {
		if n < often {
			t.Errorf("%s was evaluated column-wise in %d queries, want at least %d", shape, n, often)
		}
	}
	if y.compactions == 0 || y.mixed == 0 {
		t.Error("no world had parquet, or none had late data above it")
	}
	if y.deletions == 0 || y.erasures == 0 {
		t.Error("nothing was deleted, or nothing erased")
	}
	if y.merges == 0 {
		t.Error("lifecycle never merged anything")
	}
	if y.empty*10 > y.questions*4 {
		t.Errorf("%d of %d answers are empty, want at most 40 %%", y.empty, y.questions)
	}
	if y.verdicts[undecided]*200 > y.questions {
		t.Errorf("%d of %d answers are undecided, want at most 0.5 %%", y.verdicts[undecided], y.questions)
	}
}
