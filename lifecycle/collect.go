package lifecycle

import (
	"context"
	"slices"
	"time"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

const (
	// sweepMs is how long after the commit that dropped an id its object is deleted by whoever comes by: the worker that dropped it may
	// have died before it came to that. Much less than catalog.DroppedKeepMs, so that every delete falls into the time in which
	// the id is refused.
	sweepMs = model.MsPerDay
	// maxCollected bounds the ids of one commit.
	maxCollected = 1000
)

// PlanCollect returns the retired blocks whose objects may be deleted: those that were retired longer than the grace ago, so that nobody goes by a catalog any more in
// which they are live. It is a pure function of one reading of a catalog, of the grace and of the time.
func PlanCollect(p *catalog.Partition, grace time.Duration, nowMs int64) (due []catalog.Retired) {
	if p.GravestoneMs != 0 {
		return nil
	}
	for _, r := range p.Retired {
		if nowMs-r.AtMs >= grace.Milliseconds() {
			due = append(due, r)
		}
	}
	return due
}

// collect drops retired blocks and deletes their objects, in this order: from the commit on, nobody can make a block of such an id live.
//
// See spared for what a snapshot keeps.
func (l *Lifecycle) collect(ctx context.Context, p *catalog.Partition, due []catalog.Retired, r *Report) (result string, err error) {
	spared, err := l.spared(ctx, p)
	if err != nil {
		return resultFailed, err
	}
	due = slices.DeleteFunc(due, func(r catalog.Retired) bool { return spared.has(r.ID) })
	if len(due) == 0 {
		return "", nil
	}
	due = due[:min(len(due), maxCollected)]
	var drop catalog.Drop
	var keys []string
	for _, b := range due {
		drop.IDs = append(drop.IDs, b.ID)
		keys = append(keys, blocks.KeyOf(p.Tenant, p.Day, b.ID, b.Format))
	}
	if result, err := l.drop(ctx, p, drop, keys); result != resultDone {
		return result, err
	}
	for _, b := range due {
		r.CollectedBytes += b.Size
	}
	r.Collected += len(due)
	l.metrics.collected.Add(float64(len(due)))
	l.c.Logger.Info("collected", "tenant", p.Tenant, "day", p.Day.Dashed(), "blocks", len(due))
	return resultDone, nil
}

// sweep deletes the objects of ids that were dropped lately, once: a delete that was done before costs a request and no harm.
func (l *Lifecycle) sweep(ctx context.Context, p *catalog.Partition) error {
	var keys, swept []string
	for _, d := range p.Dropped {
		if _, done := l.swept[d.ID]; done || l.nowMs()-d.AtMs > sweepMs || p.GravestoneMs != 0 {
			continue
		}
		swept = append(swept, d.ID)
		for _, f := range []blocks.Format{blocks.Native, blocks.Parquet, blocks.Rollup5m, blocks.Rollup1h} {
			keys = append(keys, blocks.KeyOf(p.Tenant, p.Day, d.ID, f))
		}
	}
	if len(keys) == 0 {
		return nil
	}
	if err := l.c.Bucket.Delete(ctx, keys...); err != nil {
		return err
	}
	for _, id := range swept {
		l.swept[id] = l.nowMs()
	}
	return nil
}

// forgetSwept keeps the memory of what was deleted as short as it is of use.
func (l *Lifecycle) forgetSwept() {
	for id, atMs := range l.swept {
		if l.nowMs()-atMs > 2*sweepMs {
			delete(l.swept, id)
		}
	}
}
