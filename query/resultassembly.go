package query

import (
	"cmp"
	"context"
	"slices"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"
)

// assembly is the result of a keptQuery on its way: for each piece what is kept of its first steps, and what was evaluated.
type assembly struct {
	k      *keptQuery
	ctx    context.Context //nolint:containedctx // that of the Exec it belongs to
	w      *witness
	pieces []piece
	// kept are stretches of the cache by piece, nil where there is none. Each holds the first step of its piece.
	kept []*stretch
	// fresh are what was evaluated, ascending; they do not overlap one another, nor what is kept.
	fresh []*stretch
	// passing: something among fresh came with a warning that is not to be kept.
	passing bool
}

// any reports whether something is taken from the cache.
func (a *assembly) any() bool {
	return slices.ContainsFunc(a.kept, func(s *stretch) bool { return s != nil })
}

// have is the last step of the piece that is kept; it lies before the piece if none is.
func (a *assembly) have(i int) int64 {
	if s := a.kept[i]; s != nil {
		return min(s.last, a.pieces[i].last)
	}
	return a.pieces[i].first - a.k.grid.step
}

// evaluate evaluates the steps that are neither kept nor evaluated yet, in as few queries as that takes. It returns the result that ends all if one fails.
func (a *assembly) evaluate() *promql.Result {
	for _, gap := range a.gaps() {
		s, res := a.k.evaluate(a.ctx, gap.first, gap.last)
		if res.Err != nil {
			return res
		}
		var ok bool
		if s.notes, ok = notesOfKind(res.Warnings); !ok {
			s.notes, a.passing = res.Warnings.AsErrors(), true
		}
		a.fresh = append(a.fresh, s)
	}
	slices.SortFunc(a.fresh, func(x, y *stretch) int { return cmp.Compare(x.first, y.first) })
	return nil
}

// gaps are the runs of steps that are missing.
func (a *assembly) gaps() (out []piece) {
	step := a.k.grid.step
	add := func(first, last int64) {
		if first > last {
			return
		}
		if n := len(out); n > 0 && out[n-1].last+step == first {
			out[n-1].last = last
			return
		}
		out = append(out, piece{first: first, last: last})
	}
	for i, p := range a.pieces {
		from := a.have(i) + step
		for _, s := range a.fresh {
			if s.last < from || s.first > p.last {
				continue
			}
			add(from, s.first-step)
			from = s.last + step
		}
		add(from, p.last)
	}
	return out
}

// result puts everything together.
func (a *assembly) result() *promql.Result {
	parts := slices.Clone(a.fresh)
	steps := int64(0)
	for i, s := range a.kept {
		if s != nil {
			parts = append(parts, s.slice(a.pieces[i].first, a.have(i)))
			steps += (a.have(i)-a.pieces[i].first)/a.k.grid.step + 1
		}
	}
	slices.SortFunc(parts, func(x, y *stretch) int { return cmp.Compare(x.first, y.first) })
	var notes annotations.Annotations
	for _, p := range parts {
		for _, err := range p.notes {
			notes.Add(ownNote(err))
		}
	}
	a.k.cache.steps.WithLabelValues("cache").Add(float64(steps))
	accountOf(a.ctx).kept(steps)
	series := joinStretches(parts)
	if len(parts) == 1 {
		series = ownCopy(series) // the cache has these points too, and the caller may do with his what he likes
	}
	return &promql.Result{Value: series, Warnings: notes}
}

// keep offers the stretches of pieces of which something was evaluated to the cache. What is kept of a piece is continued.
func (a *assembly) keep() {
	if a.passing || a.w.rolled(ResolutionOf(a.ctx)) {
		return
	}
	for i, p := range a.pieces {
		var parts []*stretch
		if s := a.kept[i]; s != nil {
			parts = append(parts, s.slice(s.first, a.have(i)))
		}
		for _, s := range a.fresh {
			if first, last := max(s.first, p.first), min(s.last, p.last); first <= last {
				parts = append(parts, s.slice(first, last))
			}
		}
		if len(parts) == 0 || len(parts) == 1 && a.kept[i] != nil {
			continue
		}
		s := &stretch{first: parts[0].first, last: p.last, series: joinStretches(parts)}
		var notes annotations.Annotations
		for _, x := range parts {
			for _, err := range x.notes {
				notes.Add(ownNote(err))
			}
		}
		s.notes = notes.AsErrors()
		s.depends = a.w.standing(a.k.reach.around(s.first, s.last))
		a.k.cache.put(a.k.key(a.ctx, p.begin), s)
	}
}
