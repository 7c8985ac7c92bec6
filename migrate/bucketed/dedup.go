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
	// Penalty follows one replica and takes another where that one has a gap, for replicas that scrape the same targets at times of their own. It is the algorithm of Thanos Query
	// (pkg/dedup/iter.go there), over the samples of one day: of each copy the next sample is looked at that is later than the last one that was chosen, and for the copy
	// that was not chosen then later by a penalty more: twice the time between the last two chosen samples, or 5 s at the beginning. The earlier of the two is chosen, of equal ones that
	// of the replica whose label comes first. A third replica is treated so with what comes of the first two. What was passed over for a penalty comes into question again when the penalty
	// has become less, which Thanos' iterators, that cannot go back, miss. Each day begins anew, so that days do not depend on one another. Floats and native histograms are alike in this.
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

// penalty appends to dst what the copies a and b are together. What was passed over for a penalty may be taken after all, when the penalty has become less before it is over.
func penalty(dst, a, b *model.Columns) {
	first := &penalised{c: a}
	second := &penalised{c: b}
	last := int64(math.MinInt64)
	for {
		first.seek(last)
		second.seek(last)
		chosen, other := first, second
		if first.over() || !second.over() && second.t() < first.t() {
			chosen, other = second, first
		}
		if chosen.over() {
			return
		}
		if chosen.penaltyMs = 0; !other.over() {
			other.penaltyMs = initialPenaltyMs
			if last != math.MinInt64 {
				other.penaltyMs = 2 * (chosen.t() - last)
			}
		}
		last = chosen.t()
		dst.AppendAt(chosen.c, chosen.at)
	}
}

// penalised is a copy that is held off while others are chosen.
type penalised struct {
	c *model.Columns
	// from is the first sample behind the last chosen one, at the first that is later by the penalty.
	from, at  int
	penaltyMs int64
}

func (p *penalised) over() bool { return p.at >= p.c.Len() }
func (p *penalised) t() int64   { return p.c.T[p.at] }

// seek goes behind the sample that was chosen last, if any was.
func (p *penalised) seek(last int64) {
	if last == math.MinInt64 {
		return
	}
	for p.from < p.c.Len() && p.c.T[p.from] <= last {
		p.from++
	}
	for p.at = p.from; p.at < p.c.Len() && p.c.T[p.at]-last <= p.penaltyMs; {
		p.at++
	}
}
