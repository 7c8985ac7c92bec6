package repair

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/varvedb/varve/blocks"
)

// leftOut is a block that is in the bucket and not in the rebuilt catalog.
type leftOut struct {
	meta *blocks.Meta
	why  string
}

// choose picks the blocks that together hold every sample, leaving out what others hold as well, if that is proven:
//
//   - what a merge has made, if all that it was made of is there;
//   - what went into a merge, if the blocks that came of it have every sample of it, which reading both tells.
//
// A block of which neither can be said stays: a sample in two places is removed by the next merge, one in none is lost.
func choose(ctx context.Context, r blocks.RangeReader, all []*blocks.Meta, readBytes int64) (chosen []*blocks.Meta, out []leftOut, err error) {
	present := map[string]bool{}
	for _, m := range all {
		present[m.ID] = true
	}
	var rest []*blocks.Meta
	for _, m := range all {
		if len(m.Replaces) > 0 && !slices.ContainsFunc(m.Replaces, func(id string) bool { return !present[id] || id == m.ID }) {
			out = append(out, leftOut{m, "all blocks that it was merged from are there"})
			continue
		}
		rest = append(rest, m)
	}
	// Only blocks that come later in this order can stand in for one, so that no two stand in for each other.
	slices.SortFunc(rest, func(a, b *blocks.Meta) int {
		return cmp.Or(cmp.Compare(generations(a), generations(b)), cmp.Compare(a.ID, b.ID))
	})
	for i, m := range rest {
		heirs := heirsOf(m, rest[i+1:])
		if len(heirs) == 0 {
			chosen = append(chosen, m)
			continue
		}
		ok, err := contained(ctx, r, m, heirs, readBytes)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			out = append(out, leftOut{m, "block " + heirs[0].ID + ", merged from it, has all its samples"})
		} else {
			chosen = append(chosen, m)
		}
	}
	return chosen, out, nil
}

// generations counts those that a block was made of, as far as numbers go.
func generations(m *blocks.Meta) (n uint64) {
	for _, s := range blocks.SourcesOf(m) {
		if d := s.To - s.From; d >= math.MaxUint64-n-1 {
			return math.MaxUint64
		}
		n += s.To - s.From + 1
	}
	return n
}

// heirsOf are the merges among the blocks that were made of all that m was made of, or of m.
func heirsOf(m *blocks.Meta, among []*blocks.Meta) (heirs []*blocks.Meta) {
	for _, h := range among {
		sources := blocks.SourcesOf(m)
		if h.Writer != "" || len(sources) == 0 || len(m.Replaces) > 0 && slices.Equal(h.Replaces, m.Replaces) {
			continue
		}
		if !slices.ContainsFunc(sources, func(s blocks.Source) bool { return !holds(h, s) }) {
			heirs = append(heirs, h)
		}
	}
	return heirs
}

// contained reads m and its heirs and reports whether m adds no sample to them. What cannot be read proves nothing; the error is that of ctx.
func contained(ctx context.Context, r blocks.RangeReader, m *blocks.Meta, heirs []*blocks.Meta, readBytes int64) (bool, error) {
	without, ok := count(ctx, r, heirs, readBytes)
	if !ok {
		return false, ctx.Err()
	}
	with, ok := count(ctx, r, append([]*blocks.Meta{m}, heirs...), readBytes)
	return ok && with == without, ctx.Err()
}

// count returns how many samples the blocks have together, those that several have once.
func count(ctx context.Context, r blocks.RangeReader, all []*blocks.Meta, readBytes int64) (n int64, ok bool) {
	ctx, cancel := context.WithCancel(ctx)
	m := blocks.NewMerger(r, all, &blocks.MergeOptions{ReadBytes: readBytes})
	defer m.Close()
	defer cancel()
	for _, err := range m.Series(ctx, func() bool { return true }) {
		if err != nil {
			return 0, false
		}
	}
	_, n = m.Samples()
	return n, true
}
