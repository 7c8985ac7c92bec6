package repair

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
	"github.com/varvedb/varve/wal"
)

// shipped is what the bucket has of one writer.
type shipped struct {
	// lowest is the lowest generation with a segment that is no fence, 0 if there is none.
	lowest uint64
	// fence is the generation of the last fence, 0 if there is none.
	fence uint64
}

// rebuildRoster makes the roster anew from the writers' identity objects and logs. See docs/design/0011-rebuild.md for
// what is proven of a writer.
func (b *rebuilder) rebuildRoster(ctx context.Context, damage error) error {
	writers, err := b.writers(ctx)
	if err != nil {
		return err
	}
	if len(writers) == 0 && damage == nil {
		return nil // nothing was ever written
	}
	roster := &catalog.Roster{}
	for _, id := range slices.Sorted(maps.Keys(writers)) {
		w := entry(id, writers[id], b.highest[id])
		roster.Writers = append(roster.Writers, w)
		b.r.Roster = append(b.r.Roster, id)
		if w.State == catalog.Active {
			b.problem("writer %s: queries fail until it has started again, or, if it is gone for good, `varve adopt %s` was run", id, id)
		}
	}
	if b.o.DryRun {
		return nil
	}
	_, version, err := b.keep(ctx, "w/roster")
	if err != nil {
		return err
	}
	return b.c.Catalog.PutRebuiltRoster(ctx, roster, version)
}

// entry is what is proven of a writer. highest is its highest generation in any catalog.
func entry(id string, s *shipped, highest uint64) catalog.Writer {
	w := catalog.Writer{ID: id, Mode: "fsync", Shipping: true, State: catalog.Active}
	switch {
	case s.fence > 0 && (s.lowest == 0 || s.lowest > s.fence):
		// What lay before the fence was collected, so it was flushed.
		w.State, w.Released = catalog.Adopted, s.fence
	case s.lowest > 0:
		w.Released = s.lowest - 1
	default:
		// It shipped everything before it committed it, and nothing of that is left: so all of it was released.
		w.Released = highest
	}
	return w
}

func (b *rebuilder) writers(ctx context.Context) (map[string]*shipped, error) {
	writers := map[string]*shipped{}
	var small []string
	for o, err := range b.c.Bucket.List(ctx, "w/") {
		if err != nil {
			return nil, err
		}
		id, rest, _ := strings.Cut(strings.TrimPrefix(o.Key, "w/"), "/")
		if rest == "id" && tenant.Check(id) == nil && writers[id] == nil {
			writers[id] = &shipped{}
		}
		writer, generation, _, ok := wal.ParseSegmentKey(o.Key)
		if !ok || tenant.Check(writer) != nil {
			continue
		}
		if writers[writer] == nil {
			writers[writer] = &shipped{}
		}
		if o.Size <= wal.MaxFenceBytes {
			small = append(small, o.Key)
			continue
		}
		writers[writer].segment(generation)
	}
	for _, key := range small {
		writer, generation, _, _ := wal.ParseSegmentKey(key)
		data, _, err := b.c.Bucket.Get(ctx, key)
		if errors.Is(err, model.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s, err := wal.ParseSegment(data, nil); err == nil && s.Fence {
			writers[writer].fence = max(writers[writer].fence, generation)
		} else {
			writers[writer].segment(generation)
		}
	}
	return writers, nil
}

func (s *shipped) segment(generation uint64) {
	if s.lowest == 0 || generation < s.lowest {
		s.lowest = generation
	}
}
