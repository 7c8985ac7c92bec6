package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// released is what a worker knows of a writer's released generation: that it was at least this at that time.
type released struct {
	generation uint64
	sinceMs    int64
}

// PlanLogs returns the segments among the stored objects whose generations were released longer than the grace ago. known says, per
// writer, what was released and since when. It does not know which of them are fences, which stay for ever.
func PlanLogs(known map[string]released, stored []blob.Object, graceMs, nowMs int64) (due []blob.Object) {
	for _, o := range stored {
		writer, generation, _, ok := wal.ParseSegmentKey(o.Key)
		if !ok {
			continue
		}
		if k, found := known[writer]; found && generation <= k.generation && nowMs-k.sinceMs >= graceMs {
			due = append(due, o)
		}
	}
	return due
}

// tidyLogs deletes shipped segments that nobody needs: of generations that were released longer than the grace ago. Writers delete their own, and
// have done so long before; this is for the logs of adopted writers.
//
// A detached reader goes by a roster that it read a moment ago, and takes the first missing segment for the end of the log. So what counts is when the
// generation was released, which the roster does not say: it is the time when this worker first saw it released, or, for one that has
// just started, when the roster was last changed.
func (l *Lifecycle) tidyLogs(ctx context.Context, r *Report) error {
	roster, err := l.c.Catalog.Roster(ctx, nil)
	if err != nil {
		return err
	}
	// The listing comes after the reading, so what was read was in the bucket when the listed object was written, at the latest.
	for o, err := range l.c.Bucket.List(ctx, rosterKey) {
		if err != nil {
			return fmt.Errorf("look for old logs: %w", err)
		}
		if o.Key == rosterKey {
			l.rememberReleased(roster, o.Modified.UnixMilli())
		}
	}
	var due []blob.Object
	for o, err := range l.c.Bucket.List(ctx, "w/") {
		if err != nil {
			return fmt.Errorf("look for old logs: %w", err)
		}
		if len(due) < maxCollected {
			due = append(due, PlanLogs(l.released, []blob.Object{o}, l.cfg.Orphans.LogGrace.Milliseconds(), l.nowMs())...)
		}
	}
	return l.deleteLogs(ctx, due, r)
}

const rosterKey = "w/roster"

// rememberReleased keeps, per writer, since when its released generation has been that at least.
func (l *Lifecycle) rememberReleased(roster *catalog.Roster, rosterMs int64) {
	next := make(map[string]released, len(roster.Writers))
	for _, w := range roster.Writers {
		k, ok := l.released[w.ID]
		if !ok || k.generation != w.Released {
			k = released{w.Released, rosterMs}
		}
		next[w.ID] = k
	}
	l.released = next
}

func (l *Lifecycle) deleteLogs(ctx context.Context, due []blob.Object, r *Report) error {
	var keys []string
	for _, o := range due {
		fence, err := l.maybeFence(ctx, o)
		if err != nil {
			return err
		}
		if !fence {
			keys = append(keys, o.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := l.c.Bucket.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("delete old logs: %w", err)
	}
	r.Segments += len(keys)
	l.metrics.segments.Add(float64(len(keys)))
	l.c.Logger.Info("segments of released generations deleted", "segments", len(keys))
	return nil
}

// maybeFence reads what is small enough to be a fence. What cannot be read is taken for one.
func (l *Lifecycle) maybeFence(ctx context.Context, o blob.Object) (bool, error) {
	if o.Size > wal.MaxFenceBytes {
		return false, nil
	}
	data, _, err := l.c.Bucket.Get(ctx, o.Key)
	if err != nil {
		if errors.Is(err, model.ErrNotFound) {
			err = nil // the writer was quicker
		}
		return true, err
	}
	s, damage := wal.ParseSegment(data, nil)
	return damage != nil || s.Fence, nil //nolint:nilerr // what is damaged may have been a fence
}
