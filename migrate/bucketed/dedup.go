package bucketed

import (
	"cmp"
	"math"
	"slices"

	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/migrate/spill"
	"github.com/varvedb/varve/model"
)

// Dedup says how copies of a series by several replicas become one.
type Dedup int

const (
	// Penalty follows one replica and takes another where that one has a gap, for replicas that scrape the same targets at times of their own. It is the algorithm that Thanos Query
	// uses (pkg/dedup/iter.go there), and gives what a query for the samples of that one day gives: from each copy the next sample is taken that
	// is later than the last one that was chosen, and for the copy that was not chosen then later by a penalty more, which is twice the time between the last two chosen samples, or 5 s at the
	// beginning; the earlier of the two is chosen, of equal ones that of the replica whose label comes first. A third replica is treated so with what comes of the first two. Each
	// day begins anew, so that days do not depend on one another. Floats and native histograms are alike in this.
	Penalty Dedup = iota
	// Chain takes every timestamp of every replica once, for replicas that get the same samples, as those of Thanos Receive. At equal timestamps the last replica wins.
	Chain
)

// initialPenaltyMs is how much later a sample of another replica must be than the first one chosen, when no interval is known yet.
const initialPenaltyMs = 5000

// unite makes one series of those of several blocks, in the order of blocks, which may be copies.
func (s *Source) unite(parts []model.Series) model.Series {
	if len(s.opts.ReplicaLabels) == 0 {
		return spill.Union(parts, spill.LastWins)
	}
	var copies []prom.Copy
	for _, p := range parts {
		if c, ok := p.(prom.Copied); ok {
			copies = append(copies, c.Copies()...)
		} else {
			copies = append(copies, prom.Copy{Series: p})
		}
	}
	slices.SortStableFunc(copies, func(a, b prom.Copy) int { return cmp.Compare(a.Name, b.Name) })
	var replicas []model.Series
	for from := 0; from < len(copies); {
		to := from + 1
		for to < len(copies) && copies[to].Name == copies[from].Name {
			to++
		}
		one := make([]model.Series, 0, to-from)
		for _, c := range copies[from:to] {
			one = append(one, c.Series)
		}
		replicas = append(replicas, spill.Union(one, spill.LastWins))
		from = to
	}
	if len(replicas) == 1 || s.opts.Dedup == Chain {
		return spill.Union(replicas, spill.LastWins)
	}
	return &penaltySeries{Series: replicas[0], others: replicas[1:]}
}

// penaltySeries are replicas of one series that become one by Penalty.
type penaltySeries struct {
	model.Series // the first
	others       []model.Series
}

// Samples implements model.Series.
func (p *penaltySeries) Samples(dst *model.Columns, r model.TimeRange) error {
	have := &model.Columns{}
	if err := p.Series.Samples(have, r); err != nil {
		return err
	}
	for _, o := range p.others {
		other := &model.Columns{}
		if err := o.Samples(other, r); err != nil {
			return err
		}
		if other.Len() == 0 {
			continue
		}
		out := &model.Columns{}
		penalty(out, have, other)
		have = out
	}
	for i := range have.T {
		dst.AppendAt(have, i)
	}
	return nil
}

// penalty appends to dst what the copies a and b are together.
func penalty(dst, a, b *model.Columns) {
	const none = math.MinInt64
	var i, j int
	var penaltyA, penaltyB int64
	last := int64(none)
	for {
		if last != none {
			i, j = seek(a, i, last+1+penaltyA), seek(b, j, last+1+penaltyB)
		}
		switch {
		case i < a.Len() && (j >= b.Len() || a.T[i] <= b.T[j]):
			if j < b.Len() {
				penaltyB = penaltyOf(last, a.T[i])
			}
			penaltyA, last = 0, a.T[i]
			dst.AppendAt(a, i)
		case j < b.Len():
			if i < a.Len() {
				penaltyA = penaltyOf(last, b.T[j])
			}
			penaltyB, last = 0, b.T[j]
			dst.AppendAt(b, j)
		default:
			return
		}
	}
}

func penaltyOf(last, chosen int64) int64 {
	if last == math.MinInt64 {
		return initialPenaltyMs
	}
	return 2 * (chosen - last)
}

// seek is the first sample from i on that is not before t.
func seek(c *model.Columns, i int, t int64) int {
	for i < c.Len() && c.T[i] < t {
		i++
	}
	return i
}
