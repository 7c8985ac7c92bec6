package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// windowKey names one window of rollups; end is its end.
type windowKey struct {
	tenant, series string
	resolutionMs   int64
	end            int64
}

// windows are aggregates by window.
type windows map[windowKey][model.Aggregates]float64

// readRollups reads the live rollups of a partition, all aggregates. Two blocks of one resolution have no series in common.
func readRollups(ctx context.Context, bucket *blob.Bucket, p *catalog.Partition) (windows, error) {
	got := windows{}
	for _, e := range p.Rollups {
		masks, err := catalog.BlockMasks(p.Masks(&e))
		if err != nil {
			return nil, err
		}
		for a := range model.Aggregates {
			sel, err := blocks.Select(ctx, blocks.Stored{Bucket: bucket}, e.Meta, &blocks.Query{Range: everything, Masks: masks, Aggregate: a})
			if err == nil {
				err = got.take(p.Tenant, e.Format.ResolutionMs(), a, sel)
			}
			if err != nil {
				return nil, fmt.Errorf("read %s of rollup %s of %s %v: %w", a, e.ID, p.Tenant, p.Day, err)
			}
		}
	}
	return got, nil
}

func (ws windows) take(tenant string, resolutionMs int64, a model.Aggregate, sel *model.Selection) error {
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		if err := s.Samples(&c, everything); err != nil {
			return err
		}
		for n, t := range c.T {
			k := windowKey{tenant, s.Labels().Get("__name__"), resolutionMs, t}
			v, there := ws[k]
			if a == model.Count && there {
				return fmt.Errorf("%v is there twice", k)
			}
			v[a] = c.V[n]
			ws[k] = v
		}
	}
	return nil
}

// resolutionsMs are those of rollups.
var resolutionsMs = []int64{blocks.Rollup5m.ResolutionMs(), blocks.Rollup1h.ResolutionMs()}

// rollUp makes windows of the samples of one day, the simple way.
func rollUp(samples reading) windows {
	bySeries := map[[2]string][]key{}
	for _, k := range sortedKeys(samples) {
		bySeries[[2]string{k.tenant, k.series}] = append(bySeries[[2]string{k.tenant, k.series}], k)
	}
	ws := windows{}
	for of, keys := range bySeries {
		for _, resolution := range resolutionsMs {
			for n, k := range keys {
				v := samples[k].value
				at := windowKey{of[0], of[1], resolution, model.WindowEnd(k.t, resolution)}
				w, later := ws[at]
				if !later {
					w[model.Min], w[model.Max] = v, v
				}
				w[model.Count]++
				w[model.Sum] += v
				w[model.Min], w[model.Max], w[model.Last] = min(w[model.Min], v), max(w[model.Max], v), v
				if n > 0 {
					before := samples[keys[n-1]].value
					w[model.Increase] += v - before
					if v < before {
						w[model.Increase] += before
					}
				}
				ws[at] = w
			}
		}
	}
	return ws
}

// checkRollups demands that the rollups of a day whose blocks are all in them say what the blocks say. Where tombstones wait to be applied, windows are hidden of which
// samples are not; and of a day that has lost raw samples rollups know more than its blocks.
func (w *world) checkRollups() {
	w.eachPartition(func(bucket *blob.Bucket, p *catalog.Partition) error {
		if err := w.checkRolledDay(bucket, p); err != nil {
			return fmt.Errorf("rollups: %w", err)
		}
		return nil
	})
}

func (w *world) checkRolledDay(bucket *blob.Bucket, p *catalog.Partition) error {
	rolled, err := readRollups(context.Background(), bucket, p)
	if err != nil || len(p.Rollups) == 0 || len(p.Unrolled()) > 0 {
		return err
	}
	raw := reading{}
	if err := readRaw(context.Background(), bucket, p, raw); err != nil {
		return err
	}
	w.counts["rolled day"]++
	want := rollUp(raw)
	for _, k := range want.sorted() {
		got, there := rolled[k]
		should := want[k]
		if hides(p, model.TimeRange{MinMs: p.Day.Range().MinMs, MaxMs: k.end}) {
			// It goes from a sample that may be hidden, until the rollups are made anew.
			got[model.Increase], should[model.Increase] = 0, 0
		}
		switch {
		case hides(p, k.span()):
		case !there:
			return fmt.Errorf("%v is missing: %v", k, should)
		case p.Thinned && got[model.Count] < should[model.Count], !p.Thinned && got != should:
			return fmt.Errorf("%v is %v, and should be %v", k, got, should)
		}
	}
	for _, k := range rolled.sorted() {
		if _, there := want[k]; !there && !p.Thinned && !hides(p, k.span()) {
			return fmt.Errorf("%v is %v, of which there is no sample", k, rolled[k])
		}
	}
	return nil
}

// hides reports whether a tombstone that is still in the catalog may hide a window or a sample of that time.
func hides(p *catalog.Partition, r model.TimeRange) bool {
	return slices.ContainsFunc(p.Tombstones, func(t catalog.Tombstone) bool { return t.Scope != catalog.ScopeRaw && t.Range.Overlaps(r) })
}

// span is the time of the window.
func (k windowKey) span() model.TimeRange {
	return model.TimeRange{MinMs: k.end - k.resolutionMs, MaxMs: k.end}
}

// sorted are the windows in a fixed order.
func (ws windows) sorted() []windowKey {
	keys := make([]windowKey, 0, len(ws))
	for k := range ws {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b windowKey) int {
		return compareStrings(fmt.Sprint(a), fmt.Sprint(b))
	})
	return keys
}
