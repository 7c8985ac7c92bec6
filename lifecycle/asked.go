package lifecycle

import (
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
)

// listAsked takes notice of an object in the listing by which somebody asks all workers to do that. One that was there before this worker's first look counts
// if it is recent, as far as its clock and that of the store agree.
func (l *Lifecycle) listAsked(o blob.Object) {
	name, ok := catalog.ParseCleanKey(o.Key)
	if !ok {
		return
	}
	before, known := l.asked[name]
	l.asked[name] = o.Modified
	age := l.nowMs() - o.Modified.UnixMilli()
	if known && !before.Equal(o.Modified) || !known && age < hintMs {
		l.CleanTombstones()
	}
}

// withMasked adds the partitions that have something to erase to those that are due, if that is to be done at once: what asks for it may come behind them in the listing.
func (l *Lifecycle) withMasked(due []*seen) []*seen {
	if l.eraseAfter() > 0 {
		return due
	}
	already := map[*seen]bool{}
	for _, s := range due {
		already[s] = true
	}
	for _, s := range l.seen {
		if s.masked && !already[s] {
			due = append(due, s)
		}
	}
	return due
}
