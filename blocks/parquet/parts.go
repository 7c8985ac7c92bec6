package parquet

import "github.com/varvedb/varve/model"

// A row group of rollups consists of: the texts, ts, the columns of each aggregate (see order), and the rest, which is what comes behind them.
const (
	partTexts = iota
	partTs
	partFirst
	partRest = partFirst + int(model.Aggregates)
	// RowGroupParts is how many they are.
	RowGroupParts = partRest + 1
)

// part is that of the aggregate.
func part(a model.Aggregate) int { return partFirst + (Rollups.at(int(a))-1)/3 }

// parts returns the lengths of the parts.
func (g *group) parts() []int64 {
	out := make([]int64, RowGroupParts)
	for col := range g.chunks {
		i, n := col-colTs, partTexts
		switch {
		case i == 0:
			n = partTs
		case i >= g.kind.core():
			n = partRest
		case i > 0:
			n = partFirst + (i-1)/3
		}
		out[n] += int64(len(g.chunks[col].pages))
	}
	return out
}

// refers are the aggregates some rows of which need another part: Last the rest, where histograms are, others Last.
func (g *group) refers() (bits uint8) {
	for i := range g.numbers {
		if g.kind.derives(i) && g.flags&g.kind.derivedFlag(i) != 0 {
			bits |= 1 << i
		}
	}
	if g.extras {
		bits |= 1 << model.Last
	}
	return bits
}

// Needed returns the stretches of a row group of rollups that hold what a reader of the aggregate needs, in their order.
func (r *RowGroup) Needed(a model.Aggregate) []Section {
	need := [RowGroupParts]bool{partTs: true}
	need[part(a)] = true
	if r.Refers>>a&1 != 0 {
		if a == model.Last {
			need[partRest] = true
		} else {
			need[part(model.Last)] = true
			need[part(model.Count)] = a == model.Sum
		}
	}
	var out []Section
	at := r.Offset
	for i, n := range r.Parts {
		if last := len(out) - 1; need[i] && last >= 0 && out[last].Offset+out[last].Length == at {
			out[last].Length += n
		} else if need[i] {
			out = append(out, Section{at, n})
		}
		at += n
	}
	return out
}
