package differential

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// question is one query.
type question struct {
	expr       string
	start, end int64
	step       int64         // 0 for an instant query, at start
	lookback   time.Duration // 0 for that of the engine
}

func (q *question) String() string {
	s := fmt.Sprintf("%s\n\tat %d (%s)", q.expr, q.start, at(q.start).Format(time.TimeOnly))
	if q.step > 0 {
		s += fmt.Sprintf(" to %d by %d ms", q.end, q.step)
	}
	if q.lookback > 0 {
		s += fmt.Sprintf(" looking back %v", q.lookback)
	}
	return s
}

// maker makes the questions of a seed.
type maker struct {
	seed  uint64
	data  *dataset
	smith *smith
}

func newMaker(seed uint64, d *dataset) *maker { return &maker{seed: seed, data: d, smith: newSmith(d)} }

// question is decided by the seed and the number. The even ones are promqlsmith's.
func (m *maker) question(number int) *question {
	rng := rand.New(rand.NewPCG(m.seed, 1+uint64(number)))
	q := &question{}
	if number%2 == 0 {
		q.expr = m.smith.expr(rng)
	} else {
		q.expr = newShaper(m.data, rng, number/2).expr()
	}
	place(rng, q)
	return q
}

// place puts the question in time: mostly inside of the data, now and then at their edges, on a scrape or off it; with steps shorter and
// longer than a scrape, than the ranges and than the lookback; now and then so many that query splits its work.
func place(rng *rand.Rand, q *question) {
	if rng.IntN(12) == 0 {
		q.lookback = []time.Duration{time.Millisecond, 15 * time.Second, time.Minute, 20 * time.Minute}[rng.IntN(4)]
	}
	q.start = dataFrom + rng.Int64N(dataTo-dataFrom)
	switch rng.IntN(20) {
	case 0:
		q.start = dataFrom - rng.Int64N(2*minute)
	case 1:
		q.start = dataTo + rng.Int64N(7*minute)
	case 2:
		q.start = dataFrom
	}
	if rng.IntN(2) == 0 {
		q.start -= (q.start - dataFrom) % scrape
	}
	if rng.IntN(3) == 0 {
		return
	}
	steps := []int64{
		1, 250, second, 5 * second, scrape - 1, scrape, scrape, scrape, 17 * second, 30 * second, minute, minute, 2 * minute, 5 * minute, 11 * minute,
	}
	q.step = steps[rng.IntN(len(steps))]
	most := int64(25)
	switch {
	case rng.IntN(8) == 0:
		most = 150
	case rng.IntN(100) == 0 && q.step < scrape:
		most = 10_000
	}
	q.end = q.start + q.step*rng.Int64N(most) + rng.Int64N(q.step)
}
