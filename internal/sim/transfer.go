package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// export copies a snapshot to an empty bucket while everything goes on: there lies what the snapshot answers, or, if it failed, nothing else.
func (w *world) export() {
	if len(w.snapshots) == 0 {
		return
	}
	w.counts["export"]++
	ctx := context.Background()
	k := w.snapshots[w.rng.IntN(len(w.snapshots))]
	m := w.tool("exporter", 40)
	abroad := blob.New(mem.New(), &blob.Options{MaxInFlight: 1, Clock: clock{w: w}})
	there := lifecycle.Place{Bucket: abroad, Catalog: catalog.New(abroad, nil, catalog.Components{Rand: m.c.Rand, Now: clock{w: w}.Now, Sleep: clock{w: w}.Sleep})}
	w.note("export of snapshot %s of %s begins", k.name, k.tenant)
	_, err := lifecycle.Export(ctx, lifecycle.Place{Bucket: m.c.Bucket, Catalog: m.c.Catalog}, there, k.tenant, k.name, nil)
	w.note("export of snapshot %s of %s: %v", k.name, k.tenant, err)
	if w.violation != nil || !w.stands(k) {
		return // others deleted it meanwhile
	}
	if err != nil {
		if m.fate == noFault && !allowed(err) {
			w.broken("export of snapshot %s of %s: %w", k.name, k.tenant, err)
		}
		return
	}
	got, root := reading{}, (*catalog.Root)(nil)
	if root, err = there.Catalog.Root(ctx, k.tenant, nil); err == nil {
		for _, day := range root.Days {
			var p *catalog.Partition
			if p, err = there.Catalog.Partition(ctx, k.tenant, day, nil); err == nil {
				err = readDay(ctx, abroad, p, got)
			}
			if err != nil {
				break
			}
		}
	}
	if err == nil {
		err = sameReading(got, k.want)
	}
	if err != nil {
		w.broken("exported snapshot %s of %s: %w", k.name, k.tenant, err)
	}
}

// stands reports whether nobody has begun to delete the snapshot.
func (w *world) stands(k keptSnapshot) bool {
	return slices.ContainsFunc(w.snapshots, func(x keptSnapshot) bool { return x.tenant == k.tenant && x.name == k.name && x.id == k.id })
}

// restoring is a restore under way, and what it may do to what was written or deleted.
type restoring struct {
	tenant string
	opts   lifecycle.RestoreOptions
}

// restore makes the blocks of a snapshot live again while everything goes on. What has been written since stays, what was deleted since stays deleted or
// the restore is refused, unless it is told otherwise.
func (w *world) restore() {
	if len(w.snapshots) == 0 {
		return
	}
	w.counts["restore"]++
	k := w.snapshots[w.rng.IntN(len(w.snapshots))]
	m := w.tool("restorer", 30)
	r := &restoring{tenant: k.tenant}
	r.opts.Exact, r.opts.UndoDeletes = w.rng.IntN(6) == 0, w.rng.IntN(4) == 0
	w.note("restore of snapshot %s of %s begins: %+v", k.name, k.tenant, r.opts)
	if d := w.unfinished; d != nil && d.req.Tenant == k.tenant {
		d.undone = d.undone || r.opts.UndoDeletes
	}
	w.oracle.restoreBegins(r)
	done, err := lifecycle.Restore(context.Background(), lifecycle.Place{Bucket: m.c.Bucket, Catalog: m.c.Catalog}, k.tenant, k.name, r.opts)
	w.oracle.restoreEnds(r)
	w.note("restore of snapshot %s of %s: %+v: %v", k.name, k.tenant, done, err)
	w.counts["revived blocks"] += done.Revived
	if err == nil || w.violation != nil || !w.stands(k) {
		return
	}
	// Series were deleted since; or one who was stopped half way had made days that the snapshot needs known by their catalogs alone.
	if m.fate == noFault && !allowed(err) && !errors.Is(err, model.ErrInvalid) {
		w.broken("restore of snapshot %s of %s: %w", k.name, k.tenant, err)
	}
}

// restoreBegins says that blocks of a snapshot are about to become live again.
func (o *oracle) restoreBegins(r *restoring) {
	o.restoring = append(o.restoring, r)
	// Blocks that were merged into one with what was written since stay beside it.
	o.copies[r.tenant]++
	if r.opts.UndoDeletes {
		for _, d := range o.deleting {
			d.undone = d.undone || d.req.Tenant == r.tenant
		}
	}
	for k, ws := range o.writes {
		if k.tenant != r.tenant {
			continue
		}
		for n := range ws {
			ws[n].rolled = unsure // rollups of a day that has lost raw samples come back as they were
			if r.opts.Exact && ws[n].fate == kept || r.opts.UndoDeletes && ws[n].fate == deleted {
				ws[n].fate = unsure
			}
		}
	}
}

func (o *oracle) restoreEnds(r *restoring) {
	o.restoring = slices.DeleteFunc(o.restoring, func(x *restoring) bool { return x == r })
}

// mayUndo reports whether a restore is under way that brings back what was deleted; mayLose, one that takes away what was written.
func (o *oracle) mayUndo(tenant string) bool {
	return slices.ContainsFunc(o.restoring, func(r *restoring) bool { return r.tenant == tenant && r.opts.UndoDeletes })
}

func (o *oracle) mayLose(tenant string) bool {
	return slices.ContainsFunc(o.restoring, func(r *restoring) bool { return r.tenant == tenant && r.opts.Exact })
}

// sameReading compares two readings by bits.
func sameReading(got, want reading) error {
	if len(got) != len(want) {
		return fmt.Errorf("it has %d samples, and should have %d", len(got), len(want))
	}
	for _, k := range sortedKeys(want) {
		if g, ok := got[k]; !ok || math.Float64bits(g.value) != math.Float64bits(want[k].value) {
			return fmt.Errorf("%v is %v, and should be %v", k, g.value, want[k].value)
		}
	}
	return nil
}
