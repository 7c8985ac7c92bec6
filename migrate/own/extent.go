package own

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// extent is what a job has to know of a day; nil if there is nothing to read. Thinned days are named.
func (s *Source) extent(p *catalog.Partition, r model.TimeRange) (*migrate.Extent, error) {
	if p.Thinned {
		var kept int64
		for i := range p.Rollups {
			kept = max(kept, p.Rollups[i].Samples)
		}
		err := s.skips.Add(migrate.Skip{
			Kind: "samples", Where: "day " + p.Day.Dashed(),
			Reason: fmt.Sprintf("raw samples have expired; of what they were there are rollups (%d windows), which are not taken over", kept),
		})
		if err != nil {
			return nil, err
		}
	}
	live := overlapping(p, r)
	if len(live) == 0 {
		return nil, nil
	}
	e := &migrate.Extent{Day: p.Day, Fingerprint: fingerprint(p)}
	for i := range live {
		all, part := live[i].Range(), live[i].Range().Intersect(r)
		e.Samples += int64(float64(live[i].Samples) * float64(part.Length()) / float64(all.Length()))
	}
	return e, nil
}

// overlapping are the live raw blocks that have something of the range, in the order in which the later one wins.
func overlapping(p *catalog.Partition, r model.TimeRange) []catalog.Entry {
	var out []catalog.Entry
	for i := range p.Blocks {
		if e := &p.Blocks[i]; e.Range().Overlaps(r) {
			out = append(out, *e)
		}
	}
	return out
}

// fingerprint tells what the day holds: the generations of writers whose samples are in its blocks, and the tombstones that were or are applied to them. Ids of blocks
// would change with each merge, which changes nothing.
func fingerprint(p *catalog.Partition) string {
	var sources []blocks.Source
	var tombstones []string
	for i := range p.Blocks {
		e := &p.Blocks[i]
		of := blocks.SourcesOf(e.Meta)
		if len(of) == 0 { // nobody said it
			of = []blocks.Source{{Writer: "block " + e.ID}}
		}
		sources = append(sources, of...)
		tombstones = append(tombstones, e.Tombstones...)
		for _, t := range p.Masks(e) {
			tombstones = append(tombstones, t.ID)
		}
	}
	h := sha256.New()
	for _, s := range blocks.JoinSources(sources) {
		fmt.Fprintf(h, "%s %d %d\n", s.Writer, s.From, s.To)
	}
	slices.Sort(tombstones)
	for _, id := range slices.Compact(tombstones) {
		fmt.Fprintf(h, "x %s\n", id)
	}
	return "varve 1 " + strconv.Itoa(int(p.Day)) + " " + hex.EncodeToString(h.Sum(nil)[:16])
}
