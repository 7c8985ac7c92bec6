package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// deletion is one request to delete series, and what it may do.
type deletion struct {
	// undone: a restore that takes deletes back ran beside it.
	undone bool
	req    *lifecycle.DeleteRequest
	// prefix of the series that match, "" for all.
	prefix string
	// owed are the writes that were acknowledged before the first call, and so must go when one returns without an error that leaves out no writer.
	owed []writeRef
}

// writeRef is one write of a sample.
type writeRef struct {
	key key
	n   int
}

func (d *deletion) matches(k key) bool {
	return d.req.Tenant == k.tenant && strings.HasPrefix(k.series, d.prefix) && d.req.Range.Contains(k.t)
}

// reaches reports whether it matches the series of the window, and some of its time.
func (d *deletion) reaches(at windowKey) bool {
	return d.req.Tenant == at.tenant && strings.HasPrefix(at.series, d.prefix) && d.req.Range.Overlaps(at.span())
}

// newDeletion draws a request, or takes up one that failed.
func (w *world) newDeletion(tenant string) *deletion {
	w.deletes++
	d := &deletion{req: &lifecycle.DeleteRequest{Tenant: tenant, ID: fmt.Sprint("x", w.deletes)}}
	if w.rng.IntN(4) > 0 {
		d.prefix = fmt.Sprintf("s%d_", w.rng.IntN(6))
	}
	d.req.Range = everything
	if w.rng.IntN(3) > 0 {
		d.req.Range.MinMs = w.nowMs - int64(w.rng.IntN(2*model.MsPerDay))
		d.req.Range.MaxMs = d.req.Range.MinMs + int64(w.rng.IntN(3*model.MsPerDay))
	}
	var err error
	if d.req.Selectors, err = catalog.ParseSelectors(fmt.Sprintf("{__name__=~%q}", d.prefix+".+")); err != nil {
		w.broken("selector: %w", err)
	}
	for k, ws := range w.oracle.writes {
		if d.matches(k) {
			for n := range ws {
				if ws[n].acked {
					d.owed = append(d.owed, writeRef{k, n})
				}
			}
		}
	}
	return d
}

// deleteSeries lets somebody delete series while others do what they do; a call that failed, or could not reach every writer, is repeated now and then.
func (w *world) deleteSeries() {
	d := w.unfinished
	w.unfinished = nil
	if d == nil || w.rng.IntN(4) == 0 {
		d = w.newDeletion(tenants[w.rng.IntN(len(tenants))])
	}
	tool := w.tool("deleter", 12)
	w.counts["delete"]++
	got, err := w.delete(tool, d)
	if err != nil && tool.fate == noFault && !allowed(err) {
		w.broken("delete: unexpected error: %w", err)
	}
	if err != nil || len(got.Unreached) > 0 {
		w.unfinished = d
	}
}

// delete carries out the request and enters into the model what it may have done, and what it must have.
func (w *world) delete(tool *machine, d *deletion) (lifecycle.Deleted, error) {
	w.note("delete %s of %s %q %v begins", d.req.ID, d.req.Tenant, d.prefix, d.req.Range)
	w.oracle.begin(d)
	d.undone = d.undone || w.oracle.mayUndo(d.req.Tenant)
	defer w.oracle.end(d)
	var flushed []string
	deleter := &lifecycle.Deleter{Catalog: tool.c.Catalog, Now: tool.c.Now, Rand: tool.c.Rand, Parallel: 1}
	deleter.Flush = func(_ context.Context, roster *catalog.Roster) (unreached []string) {
		flushed, unreached = w.flushWriters(roster)
		return unreached
	}
	got, err := deleter.Delete(context.Background(), d.req)
	w.note("delete %s: %+v: %v", d.req.ID, got, err)
	if err == nil && len(got.Unreached) == 0 && !d.undone {
		w.counts["deleted"]++
		w.oracle.gone(d, func(k key) bool { return w.flushedOrGone(diskOf(k), flushed) })
	}
	return got, err
}

// flushedOrGone reports whether nothing of the disk waits for a flush. A writer that was taken for dead and adopted may still hold something that nobody
// knows of, until it takes a new id; so does one that was adopted while it was down.
func (w *world) flushedOrGone(disk string, flushed []string) bool {
	return slices.Contains(flushed, disk) || !slices.ContainsFunc(w.machines, func(m *machine) bool { return m.disk == disk })
}

// flushWriters flushes the active writers that run and are not in the middle of something, and names the others; flushed are the disks of the former.
func (w *world) flushWriters(roster *catalog.Roster) (flushed, unreached []string) {
	for _, e := range roster.Writers {
		if e.State != catalog.Active {
			continue
		}
		at := slices.IndexFunc(w.machines, func(m *machine) bool { return m.ing != nil && !m.busy && m.ing.Writer() == e.ID })
		if at < 0 {
			unreached = append(unreached, e.ID)
			continue
		}
		m := w.machines[at]
		disk := m.disk
		w.flush(m)
		if m.ing == nil || m.disk != disk || w.lastFlush != nil {
			unreached = append(unreached, e.ID)
			continue
		}
		flushed = append(flushed, disk)
	}
	return flushed, unreached
}

// deleteSettled deletes without faults, when every writer can be reached, and writes some of it again.
func (w *world) deleteSettled() {
	for _, tenant := range tenants {
		if w.violation != nil {
			return
		}
		tool := &machine{}
		tool.c, tool.bucket = w.components(nil, 0)
		got, err := w.delete(tool, w.newDeletion(tenant))
		if err != nil || len(got.Unreached) > 0 {
			w.broken("delete without faults: %+v: %v", got, err)
		}
	}
	w.checkCatalogs("deleted")
	for _, m := range w.machines {
		if w.violation == nil {
			w.appendAgain(m)
			w.finish(m)
		}
	}
	w.checkCatalogs("written again")
}

// checkErased demands that tombstones are gone when they have done their work.
func (w *world) checkErased() {
	w.eachPartition(func(_ *blob.Bucket, p *catalog.Partition) error {
		for _, t := range p.Tombstones {
			if !strings.HasPrefix(t.ID, "retention-") { // those come when time has passed
				return fmt.Errorf("tombstone %s is left", t.ID)
			}
		}
		return nil
	})
}

// eachPartition calls check with each partition of the bucket, unless a violation is known; its error is one.
func (w *world) eachPartition(check func(bucket *blob.Bucket, p *catalog.Partition) error) {
	if w.violation != nil {
		return
	}
	c, _ := w.components(nil, 0)
	for _, tenant := range tenants {
		root, err := c.Catalog.Root(context.Background(), tenant, nil)
		if err != nil {
			w.broken("read root %s: %w", tenant, err)
			return
		}
		for _, day := range root.Days {
			p, err := c.Catalog.Partition(context.Background(), tenant, day, nil)
			if err == nil {
				err = check(c.Bucket, p)
			}
			if err != nil {
				w.broken("%s %v: %w", tenant, day, err)
				return
			}
		}
	}
}
