package migrate

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/model"
)

// Source is a database, or a file, that history is read from. Days is called once, before Series; Series may be called for several days at one time.
type Source interface {
	// Days are the days that may have samples in the range, ascending. It may take long: a source in no order is read and sorted here. ctx is for this
	// call only.
	Days(ctx context.Context, r model.TimeRange, want Want) ([]Extent, error)
	// Series are the series of the range, which lies within one of the days, that are wanted: ascending in the order of index.Less, each once. A series is valid until the
	// next is asked for, and its Samples are called by one goroutine. An error ends the sequence. What cannot be read goes to the Skips that the source was made with.
	Series(ctx context.Context, r model.TimeRange, want Want) iter.Seq2[model.Series, error]
	// Close lets go of files, temporary ones included.
	Close() error
}

// Want says whether a series is asked for, by the labels that it has at the source.
type Want func(labels.Labels) bool

// Extent is what a source has of one day.
type Extent struct {
	Day model.Day
	// Fingerprint changes when what the source has of the day changes, and only then: ids of immutable blocks, or the hash of a file.
	Fingerprint string
	// Samples is about how many there are; 0 if that is not known.
	Samples int64
	// Whole: the source has nothing more to come for the day, as it has later days.
	Whole bool
	// Estimate, if not nil, is what a dry run counts of the day instead of reading it.
	Estimate *Estimate
}

// InOrder are the extents, ascending. All but the last are whole.
func InOrder(extents map[model.Day]*Extent) []Extent {
	out := make([]Extent, 0, len(extents))
	for _, e := range extents {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Extent) int { return cmp.Compare(a.Day, b.Day) })
	for i := range out {
		out[i].Whole = out[i].Whole || i < len(out)-1
	}
	return out
}

// wanted returns the Want of matchers that all must match.
func wanted(ms []*labels.Matcher) Want {
	return func(ls labels.Labels) bool {
		for _, m := range ms {
			if !m.Matches(ls.Get(m.Name)) {
				return false
			}
		}
		return true
	}
}
