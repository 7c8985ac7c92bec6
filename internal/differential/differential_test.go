package differential

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/varvedb/varve/query"
)

// lookback is that of both engines.
const lookback = 5 * time.Minute

// queries is how many are asked if nobody says otherwise, and at least for every shape to come up often enough; perWorld are asked of the same data.
const queries, perWorld = 26_000, 1000

// formOf makes the worlds differ: more than half have parquet, read with caches and without, with late hot blocks above it and without, beside writers
// and detached. A metric of the largest, one in 26, has more series than query evaluates at a time.
func formOf(world int) form {
	f := form{
		copies: 1, merged: world%2 == 1, cached: world%3 == 1, detached: world%10 == 4,
		parquet: world%5 < 2 || world%20 == 4 || world%26 == 13, late: world%3 == 0,
		deletes: world%4 == 1 || world%10 == 4 || world%26 == 10,
	}
	switch {
	case world%26 == 13:
		f.copies = 16
	case world%4 == 2:
		f.copies = 2
	}
	return f
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q is not a number", name, s)
	}
	return n
}

// TestDifferential asks DIFF_QUERIES (26,000) questions, or that of the number DIFF_ONLY, from DIFF_SEED (drawn from the clock).
func TestDifferential(t *testing.T) {
	seed := setting(t, "DIFF_SEED", uint64(time.Now().UnixNano()))
	first, end := 0, int(setting(t, "DIFF_QUERIES", queries))
	if os.Getenv("DIFF_ONLY") != "" {
		first = int(setting(t, "DIFF_ONLY", 0))
		end = first + 1
	}
	t.Logf("DIFF_SEED=%d", seed)
	total := newTally()
	// A shape that chance has given less than its share of the questions gets more of them.
	enough := func(number int) bool {
		return number >= end && (end-first < queries || total.rarest() >= often || number >= end+queries)
	}
	for number := first - first%perWorld; !enough(number); number += perWorld {
		last := number + perWorld
		if number < end {
			last = min(last, end)
		}
		world := number / perWorld
		w := newWorld(t, seed+uint64(world), formOf(world))
		total.merges += w.merges
		total.compactions += w.compactions
		total.deletions += len(w.deletions)
		total.erasures += w.erasures
		total.mixed += w.mixed(t)
		compare(t, w, total, seed, max(first, number), last)
	}
	t.Log(total)
	if end-first >= queries {
		total.check(t)
	}
}

// compare asks the questions first to end-1.
func compare(t *testing.T, w *world, total *tally, seed uint64, first, end int) {
	t.Helper()
	metrics := newMetrics()
	m := newMaker(seed, w.data)
	j := &judge{
		reference: system{referenceEngine(lookback), w.reference},
		candidate: system{query.NewEngine(nil, expressions, nil, metrics), w.candidate},
	}
	const most = 5
	for number := first; number < end && total.verdicts[different] < 20*most; number++ {
		if number%100 == 0 {
			w.idle(t)
		}
		q := m.question(number)
		v, d, empty := j.ask(t.Context(), q)
		total.count(v, empty, metrics)
		switch {
		case v == different && total.verdicts[v] <= most:
			t.Error(j.report(t.Context(), seed, number, q, d))
		case v == undecided && testing.Verbose():
			t.Logf("undecided: %s\n\t%s", q, d)
		}
	}
}
