package sim

import (
	"context"
	"errors"
	"strings"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

var everything = model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}

// reading collects what one pass over blocks and memtables finds.
type reading map[key]finding

// take adds the samples of a selection; those that are taken later win.
func (r reading) take(tenant string, sel *model.Selection) error {
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		if err := s.Samples(&c, everything); err != nil {
			return err
		}
		for n, t := range c.T {
			k := key{tenant, s.Labels().Get("__name__"), t}
			r[k] = finding{c.V[n], r[k].places + 1}
		}
	}
	return nil
}

// readCatalogs reads all live blocks, by ascending order.
func (w *world) readCatalogs(c ingester.Components, got reading) {
	ctx := context.Background()
	for _, tenant := range tenants {
		root, err := c.Catalog.Root(ctx, tenant, nil)
		if err != nil {
			w.broken("read root %s: %w", tenant, err)
			return
		}
		for _, day := range root.Days {
			p, err := c.Catalog.Partition(ctx, tenant, day, nil)
			if err != nil {
				w.broken("read catalog %s %s: %w", tenant, day, err)
				return
			}
			if err := readRaw(ctx, c.Bucket, p, got); err != nil {
				w.broken("%w", err)
				return
			}
		}
	}
}

func byOrder(entries []catalog.Entry) []catalog.Entry {
	out := append([]catalog.Entry(nil), entries...)
	for i := range out {
		for j := i; j > 0 && out[j].Order < out[j-1].Order; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

// check reads as a query does: the memtables of all running machines first, then the catalogs. Everything acknowledged by
// a machine that runs must be seen, except while it stands in the middle of something.
func (w *world) check() {
	w.counts["check"]++
	w.checkRollups()
	c, _ := w.components(nil, 0)
	recent, got := reading{}, reading{}
	seen := map[string]bool{}
	for _, m := range w.machines {
		if m.ing == nil || m.busy {
			continue
		}
		seen[m.disk] = true
		for _, tenant := range tenants {
			sel, err := m.ing.Select(context.Background(), tenant, everything, nil)
			if err == nil {
				err = recent.take(tenant, sel)
			}
			if err != nil {
				w.broken("%s: select: %w", m.disk, err)
				return
			}
		}
	}
	w.readCatalogs(c, got)
	for k, f := range recent {
		got[k] = f
	}
	if w.violation == nil {
		w.aged()
		if err := w.oracle.compare(got, false, func(k key) bool { return !seen[diskOf(k)] }); err != nil {
			w.broken("query: %w", err)
		}
	}
}

func diskOf(k key) string {
	_, disk, _ := strings.Cut(k.series, "_")
	return disk
}

// settle ends all faults, brings every machine up, adopts the dead, flushes everything, and looks at what the catalogs hold.
func (w *world) settle() {
	w.note("settle")
	w.settling = true
	for _, m := range w.machines {
		m.files, m.calls = plan{}, plan{}
		if m.ing == nil {
			if err := w.start(m); err != nil {
				w.broken("%s: start without faults: %w", m.disk, err)
				return
			}
		}
	}
	w.check()
	alive := map[string]bool{}
	for _, m := range w.machines {
		if w.violation == nil {
			w.finish(m)
			alive[m.ing.Writer()] = true
		}
	}
	w.adoptAll(alive)
	w.checkCatalogs("settled")
	w.deleteSettled()
	w.nowMs += 2 * 3600 * 1000
	for _, m := range w.machines {
		for range 3 {
			if _, err := m.ing.ReleaseStep(context.Background()); err != nil {
				w.broken("%s: release without faults: %w", m.disk, err)
			}
		}
	}
	w.checkCatalogs("released")
	w.endSnapshots()
	w.tidyAll()
	w.checkCatalogs("merged")
	w.checkThinned()
	w.nowMs += 2 * 3600 * 1000
	w.tidyAll()
	w.checkCatalogs("collected")
	w.checkThinned()
	w.checkObjects()
	w.checkLogs(alive)
	w.nowMs += 8 * model.MsPerDay
	w.aged()
	w.tidyAll()
	w.checkCatalogs("a week later")
	w.checkThinned()
	w.checkErased()
	w.checkRetention()
	w.checkDeletion()
}

// finish makes a running machine accept writes again and flushes it.
func (w *world) finish(m *machine) {
	ctx := context.Background()
	for range 4 {
		_, err := m.ing.EnterStep(ctx)
		_, fenceErr := m.ing.FenceStep(ctx)
		_, rotateErr := m.ing.RotateStep(ctx)
		w.note("%s: enter %v, fence %v, rotate %v", m.disk, err, fenceErr, rotateErr)
		if err := m.ing.Flush(ctx); err != nil {
			w.note("%s: flush: %v", m.disk, err)
			continue
		}
		w.append(m)
		if err := m.ing.Flush(ctx); err != nil {
			w.note("%s: flush: %v", m.disk, err)
			continue
		}
		if err := m.ing.Ready(); err != nil {
			w.broken("%s: not ready without faults: %w", m.disk, err)
		}
		return
	}
	w.broken("%s: cannot flush without faults", m.disk)
}

func (w *world) adoptAll(alive map[string]bool) {
	c, _ := w.components(nil, 0)
	for _, id := range w.activeWriters(c.Catalog) {
		if alive[id] || w.violation != nil {
			continue
		}
		if _, err := ingester.Adopt(context.Background(), id, c); err != nil {
			w.broken("adopt %s without faults: %w", id, err)
		}
	}
}

// checkCatalogs compares what the catalogs alone hold with what was promised.
func (w *world) checkCatalogs(when string) {
	if w.violation != nil {
		return
	}
	w.checkRollups()
	c, _ := w.components(nil, 0)
	got := reading{}
	w.readCatalogs(c, got)
	if w.violation == nil {
		w.aged()
		if err := w.oracle.compare(got, true, func(key) bool { return false }); err != nil {
			w.broken("%s: %w", when, err)
		}
	}
}

// checkLogs looks for segments that nobody needs any more: those of living writers are all released. Fences stay: that of an adopter who stood still for so long that the
// writer released its log, and deleted it, lies where nobody looks any more.
func (w *world) checkLogs(alive map[string]bool) {
	c, _ := w.components(nil, 0)
	for o, err := range w.bucket.List(context.Background(), "w/") {
		if err != nil {
			w.broken("list: %w", err)
			return
		}
		writer, _, _, ok := wal.ParseSegmentKey(o.Key)
		if !ok || !alive[writer] {
			continue
		}
		data, _, err := c.Bucket.Get(context.Background(), o.Key)
		if err == nil {
			var s *wal.Segment
			if s, err = wal.ParseSegment(data, nil); err == nil && !s.Fence {
				err = errors.New("it is not a fence")
			}
		}
		if err != nil {
			w.broken("%s is left after everything was released: %w", o.Key, err)
		}
	}
}
