package bucketed

import (
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/prom"
	"github.com/varvedb/varve/model"
)

// estimates are what blocks say that they have, by day.
type estimates map[model.Day]map[copyKey]*migrate.Estimate

// copyKey tells copies apart, as far as the labels of blocks do.
type copyKey struct{ group, replica string }

// add adds a block, over whose days its samples are spread evenly. Its series may have samples on all of them.
func (e estimates) add(b *listed, key copyKey, r model.TimeRange) {
	prom.Extents(&b.info.BlockMeta, "", r, func(d model.Day) *migrate.Extent {
		if e[d] == nil {
			e[d] = map[copyKey]*migrate.Estimate{}
		}
		one := e[d][key]
		if one == nil {
			one = &migrate.Estimate{}
			e[d][key] = one
		}
		all, part := prom.RangeOf(&b.info.BlockMeta), r.Intersect(d.Range()).Intersect(prom.RangeOf(&b.info.BlockMeta))
		share := float64(part.Length()) / float64(all.Length())
		one.Series = max(one.Series, int64(b.info.Stats.NumSeries))
		one.Samples += int64(share * float64(b.info.Stats.NumSamples))
		one.Histograms += int64(share * float64(b.info.Stats.NumHistogramSamples))
		return &migrate.Extent{}
	})
}

// of is what a day comes to when copies are one: as much as the largest of them.
func (e estimates) of(d model.Day) *migrate.Estimate {
	largest := map[string]*migrate.Estimate{}
	for key, one := range e[d] {
		if l := largest[key.group]; l == nil || one.Samples > l.Samples {
			largest[key.group] = one
		}
	}
	sum := &migrate.Estimate{}
	for _, one := range largest {
		sum.Series += one.Series
		sum.Samples += one.Samples
		sum.Histograms += one.Histograms
	}
	return sum
}
