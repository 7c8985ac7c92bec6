package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// Erasure is the report on one delete: where in the bucket the deleted samples still are, or may be.
type Erasure struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"`
	Matchers string `json:"matchers"`
	// MinMs and MaxMs are the first and the last moment that was deleted.
	MinMs     int64 `json:"min_ms"`
	MaxMs     int64 `json:"max_ms"`
	CreatedMs int64 `json:"created_ms"`
	// Erased: nothing in the bucket holds what was deleted. Copies elsewhere (snapshots exported to other buckets, caches of queriers until they are told, versions that the
	// store itself keeps of deleted objects) are beyond its sight.
	Erased bool `json:"erased"`
	// Holders are what holds it, or may.
	Holders []Holder `json:"holders"`
	// Unreached are writers that did not flush when it was asked for: what they held was not deleted.
	Unreached []string `json:"unreached"`
}

// Holder is one thing that stands in the way of an erasure.
type Holder struct {
	// Kind is "live block", "retired block", "other block" (one that no catalog names: it was dropped, or never came to be), "log", "snapshot",
	// "catalog" (a day that the delete was not committed to), or "unreadable block".
	Kind string `json:"kind"`
	// Object is its key in the bucket, or the name of a snapshot.
	Object string `json:"object"`
	// Why says what will become of it.
	Why string `json:"why"`
}

// erasure is a report at work.
type erasure struct {
	bucket  *blob.Bucket
	catalog *catalog.Store
	d       *catalog.Deletion // the one of the chain that is looked for now
	masks   blocks.Masks
	report  *Erasure
}

// ReportErasure looks for what a delete has not erased yet. It goes by the objects themselves: each block of the days in question that might hold something is
// asked for it. It lists the bucket.
func ReportErasure(ctx context.Context, b *blob.Bucket, c *catalog.Store, tenantName, id string) (*Erasure, error) {
	chain, err := c.Deletions(ctx, tenantName, id)
	if err != nil {
		return nil, err
	}
	d := chain[0]
	masks, err := catalog.BlockMasks([]catalog.Tombstone{d.Tombstone()})
	if err != nil {
		return nil, err
	}
	e := &erasure{bucket: b, catalog: c, masks: masks, report: &Erasure{
		Tenant: d.Tenant, ID: d.ID, Matchers: d.Matchers, MinMs: d.Range.MinMs, MaxMs: d.Range.MaxMs, CreatedMs: d.CreatedMs, Holders: []Holder{},
		Unreached: append([]string{}, chain[len(chain)-1].Unreached...),
	}}
	// Catalogs before the list, the root after them: what was retired when they were read is listed or gone, and a snapshot that the root does not name cannot name it.
	for _, e.d = range chain {
		for i := range e.d.Days {
			if err := e.day(ctx, &e.d.Days[i]); err != nil {
				return nil, fmt.Errorf("erasure report %s: %s: %w", id, e.d.Days[i].Day.Dashed(), err)
			}
		}
	}
	if err := e.logs(ctx, chain); err != nil {
		return nil, fmt.Errorf("erasure report %s: %w", id, err)
	}
	e.report.Erased = len(e.report.Holders)+len(e.report.Unreached) == 0
	return e.report, nil
}

func (e *erasure) add(kind, object, why string) {
	if h := (Holder{kind, object, why}); !slices.Contains(e.report.Holders, h) { // a repeat finds much that the first call found
		e.report.Holders = append(e.report.Holders, h)
	}
}

// day looks at the blocks of one day: the live ones as the catalog has them, and all others that are in its folder.
func (e *erasure) day(ctx context.Context, day *catalog.DeletionDay) error {
	p, err := e.catalog.Partition(ctx, e.d.Tenant, day.Day, nil)
	if err != nil {
		return err
	}
	committed := slices.ContainsFunc(p.Tombstones, func(t catalog.Tombstone) bool { return t.ID == e.d.ID })
	live := map[string]bool{}
	held := len(e.report.Holders)
	all := p.All()
	for i := range all {
		b := &all[i]
		live[blocks.Key(b.Meta)] = true
		masked := slices.ContainsFunc(p.Masks(b), func(t catalog.Tombstone) bool { return t.ID == e.d.ID })
		if masked || !committed && e.mayHold(b.Meta, day) {
			why := "is rewritten by the next lifecycle worker that looks at the day"
			switch {
			case !committed:
				why = "the delete was not committed to this day: repeat it, with its id"
			case isQuarantined(p, b.ID):
				why = "is quarantined, so workers leave it alone: varve inspect says why, varve fsck what to do"
			}
			if err := e.look(ctx, "live block", b.Meta, why); err != nil {
				return err
			}
		}
	}
	if err := e.others(ctx, p, day, live); err != nil {
		return err
	}
	if len(e.report.Holders) == held {
		return nil
	}
	root, err := e.catalog.Root(ctx, e.d.Tenant, nil)
	if err != nil {
		return err
	}
	kept, err := e.catalog.SnapshotsOf(ctx, root, day.Day)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.Partition == nil || slices.ContainsFunc(e.report.Holders[held:], func(h Holder) bool { return names(k.Partition, h.Object) }) {
			e.add("snapshot", k.Name, "keeps blocks of "+day.Day.Dashed()+" until it is deleted")
		}
	}
	return nil
}

func names(p *catalog.Partition, key string) bool {
	return slices.ContainsFunc(p.All(), func(b catalog.Entry) bool { return blocks.Key(b.Meta) == key })
}

// others looks at the objects in the day's folders that are not live.
func (e *erasure) others(ctx context.Context, p *catalog.Partition, day *catalog.DeletionDay, live map[string]bool) error {
	for _, prefix := range []string{blocks.TenantPrefix(e.d.Tenant), blocks.RollupTenantPrefix(e.d.Tenant)} {
		if err := e.folder(ctx, prefix+"day="+day.Day.Dashed()+"/", p, day, live); err != nil {
			return err
		}
	}
	return nil
}

func (e *erasure) folder(ctx context.Context, folder string, p *catalog.Partition, day *catalog.DeletionDay, live map[string]bool) error {
	for o, err := range e.bucket.List(ctx, folder) {
		if err != nil {
			return err
		}
		_, _, id, _, ok := blocks.ParseKey(o.Key)
		if !ok || live[o.Key] {
			continue
		}
		m, err := blocks.Open(ctx, blocks.Stored{Bucket: e.bucket}, o.Key, o.Size)
		switch {
		case errors.Is(err, model.ErrNotFound):
			continue // deleted meanwhile
		case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
			e.add("unreadable block", o.Key, err.Error())
			continue
		case err != nil:
			return err
		}
		kind, why := "other block", "no catalog names it: it is deleted as an orphan"
		if p.IsRetired(id) {
			kind, why = "retired block", "is deleted when its grace is over, unless a snapshot names it"
		}
		if e.mayHold(m, day) {
			if err := e.look(ctx, kind, m, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayHold reports whether the block is older than the delete, which was not applied to it.
func (e *erasure) mayHold(m *blocks.Meta, day *catalog.DeletionDay) bool {
	within := m.Range()
	if catalog.IsRollup(m.Format) {
		within.MinMs = m.Day.Range().MinMs // its first window begins somewhere before its end
	}
	return !slices.Contains(m.Tombstones, e.d.ID) && within.Overlaps(e.d.Range) && day.Holds(m)
}

// look adds the block to the holders if it holds a sample that was deleted.
func (e *erasure) look(ctx context.Context, kind string, m *blocks.Meta, why string) error {
	holds, err := holdsMasked(ctx, blocks.Stored{Bucket: e.bucket}, m, e.masks)
	switch {
	case holds:
		e.add(kind, blocks.Key(m), why)
	case errors.Is(err, model.ErrNotFound):
		if kind == "live block" {
			e.add("catalog", blocks.Key(m), "the catalog names it, but it is gone: run varve fsck")
		}
	case errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		e.add("unreadable block", blocks.Key(m), err.Error())
	default:
		return err
	}
	return nil
}

// logs names the generations that were masked and whose log is still there: shipped segments outlive their release by a grace, and a writer's own log lasts until
// its release. They are not read: a log is of all tenants.
func (e *erasure) logs(ctx context.Context, chain []*catalog.Deletion) error {
	masked := map[string]uint64{}
	for _, d := range chain {
		for _, day := range d.Days {
			for w, gen := range day.Flushed {
				masked[w] = max(masked[w], gen)
			}
		}
	}
	roster, err := e.catalog.Roster(ctx, nil)
	if err != nil {
		return err
	}
	for _, w := range roster.Writers {
		gen, ok := masked[w.ID]
		if !ok {
			continue
		}
		if w.State == catalog.Active && w.Released < gen {
			e.add("log", "w/"+w.ID, fmt.Sprintf("the writer has not released generation %d yet: its own log may hold it", gen))
		}
		last := uint64(0)
		for o, err := range e.bucket.List(ctx, "w/"+w.ID+"/") {
			if err != nil {
				return err
			}
			_, g, _, ok := wal.ParseSegmentKey(o.Key)
			if !ok || g > gen || g == last || e.isFence(ctx, &o) {
				continue
			}
			last = g
			e.add("log", o.Key, fmt.Sprintf("generation %d of the log may hold it; it is deleted an hour after its release", g))
		}
	}
	return nil
}

// isFence reports whether the object, a segment by its name, is a fence: those are kept for ever and hold no samples.
func (e *erasure) isFence(ctx context.Context, o *blob.Object) bool {
	if o.Size > wal.MaxFenceBytes {
		return false
	}
	data, _, err := e.bucket.Get(ctx, o.Key)
	if err != nil {
		return errors.Is(err, model.ErrNotFound)
	}
	s, err := wal.ParseSegment(data, nil)
	return err == nil && s.Fence
}
