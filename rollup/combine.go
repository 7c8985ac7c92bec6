package rollup

import (
	"math"

	"github.com/varvedb/varve/model"
)

// Combiner makes the windows of a day whose raw samples have gone in part, out of what its rollups say and of the raw samples that are there. The zero value is ready. Not
// safe for concurrent use.
type Combiner struct {
	fresh, known, added model.Rollup
	late                model.Columns
}

// Combine adds the windows of one series to dst. old are those of the rollups there were; all are the raw samples that are there, and rolled those among
// them which are in old already.
//
// A window of which old counts as many samples as rolled has is there in full, and is made anew. Of any other one there is no more than what old says of it, to which the samples
// that came since are added: count, sum and increase as sums, min and max as such, last as that of what came since. Where a late sample has the time of one that has gone both
// are counted, and the increase from one to the other is not known. Samples that have the time of one in rolled are not new.
func (c *Combiner) Combine(dst, old *model.Rollup, all, rolled *model.Columns, resolutionMs int64) {
	c.fresh.Reset()
	c.known.Reset()
	c.added.Reset()
	c.without(all, rolled)
	Append(&c.fresh, all, resolutionMs)
	Append(&c.known, rolled, resolutionMs)
	Append(&c.added, &c.late, resolutionMs)
	var known, added cursor
	i, j := 0, 0
	for i < old.Len() || j < c.fresh.Len() {
		switch {
		case j == c.fresh.Len() || i < old.Len() && old.T[i] < c.fresh.T[j]:
			appendWindow(dst, old, i)
			i++
		case i == old.Len() || c.fresh.T[j] < old.T[i]:
			appendWindow(dst, &c.fresh, j)
			j++
		default:
			k, kept := known.find(&c.known, old.T[i])
			a, came := added.find(&c.added, old.T[i])
			switch {
			case kept && c.known.V[model.Count][k] == old.V[model.Count][i]:
				appendWindow(dst, &c.fresh, j)
			case came:
				appendSum(dst, old, i, &c.added, a)
			default:
				appendWindow(dst, old, i)
			}
			i, j = i+1, j+1
		}
	}
}

// without sets late to the samples of all at whose times rolled has none.
func (c *Combiner) without(all, rolled *model.Columns) {
	c.late.Reset()
	i := 0
	for j, t := range all.T {
		for i < len(rolled.T) && rolled.T[i] < t {
			i++
		}
		if i < len(rolled.T) && rolled.T[i] == t {
			continue
		}
		if all.H != nil && all.H[j] != nil {
			c.late.AppendHistogram(t, all.H[j])
		} else {
			c.late.Append(t, all.V[j])
		}
	}
}

// cursor goes through windows by ascending time.
type cursor int

func (c *cursor) find(r *model.Rollup, t int64) (i int, ok bool) {
	for int(*c) < r.Len() && r.T[*c] < t {
		*c++
	}
	return int(*c), int(*c) < r.Len() && r.T[*c] == t
}

func appendWindow(dst, r *model.Rollup, i int) {
	v, h := windowAt(r, i)
	dst.Append(r.T[i], &v, h)
}

func windowAt(r *model.Rollup, i int) (v [model.Aggregates]float64, h []byte) {
	for a := range v {
		v[a] = r.V[a][i]
	}
	if r.H != nil {
		h = r.H[i]
	}
	return v, h
}

// appendSum adds to dst window i of old with what window j of added has beside it.
func appendSum(dst, old *model.Rollup, i int, added *model.Rollup, j int) {
	have, hadH := windowAt(old, i)
	v, h := windowAt(added, j)
	if h == nil && hadH == nil {
		v[model.Sum] += have[model.Sum]
		v[model.Increase] += have[model.Increase]
		if least := have[model.Min]; least < v[model.Min] || math.IsNaN(v[model.Min]) {
			v[model.Min] = least
		}
		if most := have[model.Max]; most > v[model.Max] || math.IsNaN(v[model.Max]) {
			v[model.Max] = most
		}
	}
	v[model.Count] += have[model.Count]
	dst.Append(old.T[i], &v, h)
}
