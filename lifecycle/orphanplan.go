package lifecycle

import (
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
)

// OrphanSettings say when objects that no catalog names are deleted.
type OrphanSettings struct {
	// Every is the mean time between two looks for them, which list the whole bucket. Default 1 hour, with the jitter of Config.Interval.
	Every time.Duration
	// Age is how old the object of a block is at least, if live blocks hold the samples of all generations that it was made of. A day is what
	// an uploader takes for its commit at most, so anything less costs work done twice, though never a sample. Default 2 days.
	Age time.Duration
	// UnprovenAge is that of any other block. It is the time to notice that a catalog was lost: its blocks are orphans once somebody
	// has begun a new one. Default 30 days.
	UnprovenAge time.Duration
	// LogGrace is how long the shipped log of a released generation is kept for detached readers. Writers delete
	// their own; what is left is that of adopted ones. Default 2 hours.
	LogGrace time.Duration
}

func (s OrphanSettings) withDefaults() OrphanSettings {
	set := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	set(&s.Every, time.Hour)
	set(&s.Age, 48*time.Hour)
	set(&s.UnprovenAge, 30*24*time.Hour)
	set(&s.LogGrace, 2*time.Hour)
	return s
}

// StoredBlock is the object of a block as a listing shows it.
type StoredBlock struct {
	ID         string
	Format     blocks.Format
	Size       int64
	ModifiedMs int64
}

// PlanOrphans returns those of the stored blocks that the catalog does not name at all and that are at least of the age: candidates, whose
// footers tell more (see Proven). It is a pure function of one listing, of a reading of the catalog made after it, of the age and of the time.
//
// Without a catalog there are no orphans: it may be lost, and the blocks are all that is left to rebuild it from. Those of a deleted tenant go
// with the tenant. Dropped ids are the sweep's.
func PlanOrphans(p *catalog.Partition, stored []StoredBlock, age time.Duration, nowMs int64) (due []StoredBlock) {
	if p.Missing || p.GravestoneMs != 0 {
		return nil
	}
	named := make(map[string]bool, len(p.Blocks)+len(p.Retired)+len(p.Dropped))
	for _, e := range p.All() {
		named[e.ID] = true
	}
	for _, r := range p.Retired {
		named[r.ID] = true
	}
	for _, d := range p.Dropped {
		named[d.ID] = true
	}
	for _, s := range stored {
		if !named[s.ID] && nowMs-s.ModifiedMs >= age.Milliseconds() && len(due) < maxCollected {
			due = append(due, s)
		}
	}
	return due
}

// Proven reports whether live blocks hold the samples of every generation that the block was made of, so that nothing is lost with it.
func Proven(p *catalog.Partition, m *blocks.Meta) bool {
	sources, live := blocks.SourcesOf(m), p.Blocks
	if catalog.IsRollup(m.Format) {
		live = p.All() // rollups can be made anew of raw samples, and say what others say
	}
	for _, s := range sources {
		if !covered(live, s) {
			return false
		}
	}
	return len(sources) > 0
}

// covered reports whether the live blocks hold each generation of the stretch. Stretches of blocks may meet and overlap; since
// each round goes on where the best one ends, there are at most as many rounds as stretches.
func covered(live []catalog.Entry, want blocks.Source) bool {
	for from := want.From; ; {
		to, found := from, false
		for _, e := range live {
			for _, have := range blocks.SourcesOf(e.Meta) {
				if have.Writer == want.Writer && have.From <= from && from <= have.To {
					to, found = max(to, have.To), true
				}
			}
		}
		switch {
		case !found:
			return false
		case to >= want.To:
			return true
		}
		from = to + 1
	}
}
