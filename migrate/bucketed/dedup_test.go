package bucketed

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

func columns(pairs ...float64) *model.Columns {
	c := &model.Columns{}
	for i := 0; i < len(pairs); i += 2 {
		c.Append(int64(pairs[i]), pairs[i+1])
	}
	return c
}

// TestPenalty has the cases by which the algorithm is known.
func TestPenalty(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want *model.Columns }{
		"one behind the other": {columns(10000, 1, 20000, 2), columns(60000, 3, 70000, 4), columns(10000, 1, 20000, 2, 60000, 3, 70000, 4)},
		"equal":                {columns(10000, 1, 20000, 2), columns(10000, 7, 20000, 8), columns(10000, 1, 20000, 2)},
		"shifted":              {columns(10000, 1, 20000, 2, 30000, 3), columns(13000, 7, 23000, 8, 33000, 9), columns(10000, 1, 20000, 2, 30000, 3)},
		"nothing":              {columns(), columns(), columns()},
		"one of them":          {columns(), columns(5, 1, 6, 2), columns(5, 1, 6, 2)},
		"a gap": {
			columns(10000, 8, 20000, 9, 50001, 10, 60000, 11, 70000, 12, 80000, 13, 90000, 14, 100000, 15),
			columns(10001, 8, 45001, 8.5, 55001, 9.5, 65001, 10.5),
			columns(10000, 8, 20000, 9, 45001, 8.5, 55001, 9.5, 65001, 10.5, 90000, 14, 100000, 15),
		},
	} {
		got := &model.Columns{}
		penalty(got, c.a, c.b)
		require.Equal(t, c.want.T, got.T, name)
		require.Equal(t, c.want.V, got.V, name)
	}
}

// naive chooses by looking at all samples for each step; fine is the penalty after so long a step.
func naive(a, b *model.Columns, fine func(step int64) int64) *model.Columns {
	out := &model.Columns{}
	waits := [2]int64{}
	last, beginning := int64(math.MinInt64)/4, true
	for {
		best, at, both := -1, -1, 0
		for n, c := range []*model.Columns{a, b} {
			for i := range c.T {
				if c.T[i] <= last+waits[n] {
					continue
				}
				both++
				if best < 0 || c.T[i] < []*model.Columns{a, b}[best].T[at] {
					best, at = n, i
				}
				break
			}
		}
		if best < 0 {
			return out
		}
		c := []*model.Columns{a, b}[best]
		waits[best] = 0
		if both == 2 {
			waits[1-best] = fine(c.T[at] - last)
			if beginning {
				waits[1-best] = fine(initialPenaltyMs / 2)
			}
		}
		last, beginning = c.T[at], false
		out.AppendAt(c, at)
	}
}

// TestPenaltyAgainstNaive compares with one that has no state but the waits.
func TestPenaltyAgainstNaive(t *testing.T) {
	w := migratetest.New(t)
	for range 2000 {
		var two [2]*model.Columns
		for n := range two {
			two[n] = &model.Columns{}
			at := w.Rand.Int64N(20_000)
			for range w.Rand.IntN(40) {
				at += 1 + w.Rand.Int64N(3)*5000 + w.Rand.Int64N(3000)
				if w.Rand.IntN(10) == 0 {
					at += w.Rand.Int64N(200_000)
				}
				if w.Rand.IntN(5) == 0 {
					two[n].AppendHistogram(at, []byte{byte(n)})
				} else {
					two[n].Append(at, float64(n))
				}
			}
		}
		got, want := &model.Columns{}, naive(two[0], two[1], func(step int64) int64 { return 2 * step })
		penalty(got, two[0], two[1])
		require.Equal(t, want.T, got.T)
		require.Equal(t, want.V, got.V)
		for i := range got.T {
			if got.H != nil {
				require.Equal(t, want.H[i], got.H[i])
			}
		}
	}
}
