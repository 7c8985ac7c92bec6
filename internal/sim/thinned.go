package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// checkThinned compares the rollups of days that have lost raw samples with what was sent: nothing else knows any more. It is asked when all has been flushed and
// workers have nothing to do.
//
// It looks at windows of which it is sure: each sample was sent once, acknowledged, and no delete came near; and at those all of whose samples were deleted. Where a sample was sent
// twice, rollups may have counted both, and a delete takes whole windows with it when the samples have gone of which they could be made anew.
func (w *world) checkThinned() {
	w.eachPartition(func(bucket *blob.Bucket, p *catalog.Partition) error {
		if !p.Thinned {
			return nil
		}
		if err := w.checkThinnedDay(bucket, p); err != nil {
			return fmt.Errorf("rollups, of a day that has lost raw samples: %w", err)
		}
		return nil
	})
}

func (w *world) checkThinnedDay(bucket *blob.Bucket, p *catalog.Partition) error {
	if n := len(p.Unrolled()); n > 0 {
		return fmt.Errorf("%d blocks are not in them", n)
	}
	rolled, err := readRollups(context.Background(), bucket, p)
	if err != nil {
		return err
	}
	sent, values, sure, gone := reading{}, map[windowKey][]float64{}, map[windowKey]bool{}, map[windowKey]bool{}
	for _, k := range w.oracle.sorted() {
		if k.tenant != p.Tenant || model.DayOf(k.t) != p.Day {
			continue
		}
		ws := w.oracle.writes[k]
		sent[k] = finding{value: ws[0].value}
		for _, resolution := range resolutionsMs {
			at := windowKey{k.tenant, k.series, resolution, model.WindowEnd(k.t, resolution)}
			if _, later := sure[at]; !later {
				sure[at], gone[at] = !w.oracle.deletedNear(at), true
			}
			values[at] = append(values[at], ws[0].value)
			sure[at] = sure[at] && len(ws) == 1 && ws[0].acked && ws[0].rolled == kept
			gone[at] = gone[at] && !slices.ContainsFunc(ws, func(x write) bool { return x.rolled != deleted })
		}
	}
	want := rollUp(sent)
	for _, at := range want.sorted() {
		got, there := rolled[at]
		should := want[at]
		got[model.Increase], should[model.Increase] = 0, 0 // from samples of which it is not sure
		if slices.Contains(values[at], got[model.Last]) {
			should[model.Last] = got[model.Last] // where some came when others had expired, the last to come is the last
		}
		switch {
		case hides(p, at.span()):
		case gone[at] && there:
			return fmt.Errorf("%v is %v, and all of it was deleted", at, got)
		case sure[at] && got != should:
			return fmt.Errorf("%v is %v, and should be %v", at, got, should)
		case sure[at]:
			w.counts["thinned window"]++
		}
	}
	return nil
}

// deletedNear reports whether any delete, done or not, reached into the window.
func (o *oracle) deletedNear(at windowKey) bool {
	return slices.ContainsFunc(o.deletes, func(d *deletion) bool { return d.reaches(at) })
}
