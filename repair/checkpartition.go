package repair

import (
	"context"
	"slices"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// stored is the object of a block.
type stored struct {
	key        string
	id         string
	format     blocks.Format
	size       int64
	modifiedMs int64
}

// listStored lists the blocks of a partition, by key, and keys that are none.
func listStored(ctx context.Context, c *Components, at partition) (found map[string]stored, foreign []string, err error) {
	found = map[string]stored{}
	for _, prefix := range tenantPrefixes(at.tenant) {
		for o, err := range c.Bucket.List(ctx, prefix+"day="+at.day.Dashed()+"/") {
			if err != nil {
				return nil, nil, err
			}
			_, _, id, format, ok := blocks.ParseKey(o.Key)
			if !ok {
				foreign = append(foreign, o.Key)
				continue
			}
			found[o.Key] = stored{o.Key, id, format, o.Size, o.Modified.UnixMilli()}
		}
	}
	return found, foreign, nil
}

// partition checks one day of a tenant.
//
// The catalog is read before the blocks are listed and again after it. What it names both times must be in the listing; what it
// names neither time is an orphan.
func (k *checker) partition(ctx context.Context, p partition) {
	at := place{p.tenant, p.day, catalogKey(p.tenant, p.day)}
	before, err := k.c.Catalog.Partition(ctx, p.tenant, p.day, nil)
	if err != nil {
		k.unreadable(at, err)
		return
	}
	if before.GravestoneMs != 0 {
		return
	}
	objects, foreign, err := listStored(ctx, &k.c, p)
	if err != nil {
		k.unreadable(place{p.tenant, p.day, blocks.TenantPrefix(p.tenant)}, err)
		return
	}
	after, err := k.c.Catalog.Partition(ctx, p.tenant, p.day, before)
	if err != nil {
		k.unreadable(at, err)
		return
	}
	k.count(func(r *Report) { r.Partitions++ })
	for _, key := range foreign {
		k.add(place{p.tenant, p.day, key}, Note, KindForeign, "if nobody needs it, delete it", "this is no name of a block")
	}
	k.orphans(at, before, after, objects)
	k.retired(at, before, after, objects)
	good := k.blocks(ctx, at, before, after, objects)
	k.quarantined(at, before)
	k.order(at, before)
	k.rollups(at, before)
	k.snapshots(ctx, at, objects)
	if k.o.Depth == Deep {
		k.decode(ctx, at, before, good)
	}
}

// oldOrphanMs is the age from which an orphan is worth a line of its own: nobody commits it any more.
const oldOrphanMs = model.MsPerDay

func (k *checker) orphans(at place, before, after *catalog.Partition, objects map[string]stored) {
	named := map[string]bool{}
	for _, p := range []*catalog.Partition{before, after} {
		for _, e := range p.All() {
			named[e.ID] = true
		}
		for _, r := range p.Retired {
			named[r.ID] = true
		}
		for _, d := range p.Dropped {
			named[d.ID] = true
		}
	}
	for _, s := range objects {
		if named[s.id] || before.Missing {
			continue
		}
		k.count(func(r *Report) { r.Orphans++ })
		do := "nothing: it is deleted when it is old enough"
		if k.c.NowMs()-s.modifiedMs < oldOrphanMs {
			do = "nothing: it may be about to be committed"
		}
		k.add(place{at.tenant, at.day, s.key}, Note, KindOrphan, do, "no catalog names this block of %d bytes", s.size)
	}
}

// retired checks that blocks whose grace is not over are still there.
func (k *checker) retired(at place, before, after *catalog.Partition, objects map[string]stored) {
	for _, r := range before.Retired {
		k.count(func(rep *Report) { rep.Blocks++; rep.Bytes += r.Size })
		where := at.block(r.ID, r.Format)
		if _, ok := objects[where.object]; !ok && after.IsRetired(r.ID) {
			k.add(where, Note, KindMissing, "nothing: other blocks hold its samples; queries that began before it was replaced may fail once", "a retired block is missing")
		}
	}
}

// blocks checks each live block by itself and returns those whose contents can be looked at.
func (k *checker) blocks(ctx context.Context, at place, before, after *catalog.Partition, objects map[string]stored) (good []catalog.Entry) {
	for _, e := range before.All() {
		k.count(func(r *Report) { r.Blocks++; r.Bytes += e.Size })
		where := at.block(e.ID, e.Format)
		o, ok := objects[where.object]
		switch {
		case !ok && after.LiveRollup(e.ID) != nil && !after.Thinned:
			k.add(where, Wrong, KindMissing, doReroll, "the object of a live rollup is missing: queries of rollups fail")
		case !ok && after.IsLive(e.ID):
			k.add(where, Lost, KindMissing, doRestore, "the object of a live block is missing: queries that need it fail")
		case !ok:
		case o.size != e.Size:
			k.add(where, Lost, KindDamaged, doRestore, "the object has %d bytes, the catalog says %d", o.size, e.Size)
		case k.o.Depth == Quick || k.footer(ctx, where, &e) && (k.o.Depth != Deep || k.checksum(ctx, where, &e)):
			good = append(good, e)
		}
	}
	return good
}

// quarantined names the live blocks that were put aside: only a deep check would see what is wrong with them.
func (k *checker) quarantined(at place, p *catalog.Partition) {
	for _, e := range p.All() {
		if q := p.QuarantineOf(e.ID); q != nil {
			k.add(at.block(e.ID, e.Format), Wrong, KindQuarantined, doReadmit, "merges leave this block alone, since %s: %s", time.UnixMilli(q.AtMs).UTC().Format(time.RFC3339), q.Reason)
		}
	}
}

// order checks what can be told from the catalog alone: which block wins over which, and what was flushed.
func (k *checker) order(at place, p *catalog.Partition) {
	for i, a := range p.Blocks {
		for _, b := range p.Blocks[i+1:] {
			if b.Order != a.Order {
				break // they are sorted by it
			}
			// Blocks that one merge made may have been written again since, each alone, without what was erased.
			siblings := slices.Equal(a.Replaces, b.Replaces) || len(a.Sources) > 0 && slices.Equal(a.Sources, b.Sources)
			if a.Range().Overlaps(b.Range()) && !siblings {
				k.add(at.block(b.ID, b.Format), Wrong, KindOverlap, "report this: it is a bug. Answers may change from one query to the next where both have a sample",
					"blocks %s and %s overlap in time, have one order, %d, and are not of one merge", a.ID, b.ID, a.Order)
			}
		}
		if a.Writer != "" {
			for _, b := range p.Blocks {
				if b.ID != a.ID && holds(b.Meta, blocks.Source{Writer: a.Writer, From: a.Generation, To: a.Generation}) {
					k.add(at.block(a.ID, a.Format), Wrong, KindDouble, "nothing: queries count such samples once, and a merge of both removes them",
						"generation %d of writer %s is in block %s too", a.Generation, a.Writer, b.ID)
				}
			}
		}
		for _, s := range blocks.SourcesOf(a.Meta) {
			if !p.FlushedThrough(s.Writer, s.To) {
				k.add(at, Note, KindWatermark, "nothing: a catalog that was rebuilt knows no better, and the writer enters it when it flushes the generation again",
					"block %s holds generation %d of writer %s, which the catalog has as flushed up to %d", a.ID, s.To, s.Writer, p.Flushed[s.Writer])
			}
		}
	}
}

// holds reports whether one stretch of the block's sources covers s.
func holds(m *blocks.Meta, s blocks.Source) bool {
	return slices.ContainsFunc(blocks.SourcesOf(m), func(have blocks.Source) bool {
		return have.Writer == s.Writer && have.From <= s.From && s.To <= have.To
	})
}

// snapshots checks that what snapshots name of the day is there.
func (k *checker) snapshots(ctx context.Context, at place, objects map[string]stored) {
	root, err := k.c.Catalog.Root(ctx, at.tenant, nil)
	if err != nil || len(root.Snapshots) == 0 {
		return
	}
	kept, err := k.c.Catalog.SnapshotsOf(ctx, root, at.day)
	if err != nil {
		k.add(place{at.tenant, at.day, catalog.SnapshotPrefix(at.tenant)}, Lost, KindCatalog, "restore the object of the snapshot, or delete the snapshot", "%v", err)
		return
	}
	for _, s := range kept {
		if s.Partition == nil {
			continue
		}
		for _, e := range s.Partition.All() {
			if _, ok := objects[blocks.Key(e.Meta)]; !ok {
				k.add(at.block(e.ID, e.Format), Lost, KindMissing, doRestore, "snapshot %s names this block, and its object is missing", s.Name)
			}
		}
	}
}
