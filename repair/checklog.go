package repair

import (
	"context"
	"errors"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
	"github.com/varvedb/varve/wal"
)

// logs checks that what writers shipped and have not released is whole: it is what an adopter goes by if a machine is lost.
func (k *checker) logs(ctx context.Context) error {
	if k.roster == nil {
		return nil
	}
	if k.roster.Missing {
		for o, err := range k.c.Bucket.List(ctx, "w/") {
			if err != nil {
				return err
			}
			k.add(place{object: "w/roster"}, Lost, KindMissing, doRebuild, "the roster is missing, and there is %s", o.Key)
			return nil
		}
		return nil
	}
	for _, w := range k.roster.Writers {
		if w.State == catalog.Adopted || !w.Shipping || tenant.Check(w.ID) != nil {
			continue
		}
		if err := k.log(ctx, &w); err != nil {
			return err
		}
	}
	return nil
}

// log walks one writer's log as it is listed, which is its order.
func (k *checker) log(ctx context.Context, w *catalog.Writer) error {
	var at struct{ generation, seq uint64 } // of the segment that is due
	ended := true
	for o, err := range k.c.Bucket.List(ctx, "w/"+w.ID+"/") {
		if err != nil {
			return err
		}
		_, generation, seq, ok := wal.ParseSegmentKey(o.Key)
		if !ok || generation <= w.Released {
			continue
		}
		if generation != at.generation && ended && seq == 0 {
			at.generation, at.seq = generation, 0
		}
		if generation != at.generation || seq != at.seq {
			if k.releasedMeanwhile(ctx, w) {
				return nil
			}
			k.add(place{object: o.Key}, Lost, KindLog, "the samples in between are on the writer's disk, if anywhere: start it, do not adopt it",
				"segment %d of generation %d should come before it and is missing", at.seq, at.generation)
			return nil
		}
		at.seq++
		if k.o.Depth == Quick {
			continue // whether the generation ends with it is not known
		}
		data, _, err := k.c.Bucket.Get(ctx, o.Key)
		if errors.Is(err, model.ErrNotFound) {
			return nil // released meanwhile
		}
		if err != nil {
			return err
		}
		s, err := wal.ParseSegment(data, &wal.ParseOptions{Name: o.Key})
		if err != nil {
			k.add(place{object: o.Key}, Lost, KindLog, "the samples are on the writer's disk, if anywhere: start it, do not adopt it", "%v", err)
			ended = true
			continue
		}
		ended = s.EndMark
		if s.Fence {
			k.add(place{object: o.Key}, Wrong, KindLog, "run `varve adopt "+w.ID+"` again", "there is a fence, and the roster has the writer as %v: an adoption was not finished", w.State)
			return nil
		}
	}
	return nil
}

func (k *checker) releasedMeanwhile(ctx context.Context, w *catalog.Writer) bool {
	roster, err := k.c.Catalog.Roster(ctx, nil)
	if err != nil {
		return true
	}
	now := roster.Find(w.ID)
	return now == nil || now.Released != w.Released
}
