package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// retentionClaim is how long other workers leave the partition's retention alone. No block is claimed by it.
const retentionClaim = time.Minute

// retain does what the retention of the tenant demands of the partition, if anything. The result is "" if nothing is due.
//
// It cannot be taken back, so it is checked before it is done. The bucket says what time it is: the claim has just been written, and
// the listing tells when. A worker whose clock is off by more than maxClockErrorMs fails, and nothing expires until it is put right. And the
// root is read once more: settings that changed meanwhile are obeyed from then on.
func (l *Lifecycle) retain(ctx context.Context, p *catalog.Partition, r *Report) (result string, err error) {
	t, err := l.tenant(ctx, p.Tenant)
	if err != nil {
		return resultFailed, err
	}
	e, _, err := PlanRetention(p, t.retention, l.nowMs())
	if err != nil {
		return resultFailed, err
	}
	if e == nil {
		return "", nil
	}
	root := t.root
	ok, err := l.claimRetention(ctx, p)
	if errors.Is(err, model.ErrLimit) {
		return "", nil // the catalog is full, a merge comes first
	}
	if err == nil && ok {
		err = l.checkClock(ctx, catalog.PartitionKey(p.Tenant, p.Day))
	}
	if err == nil && ok {
		t, err = l.tenant(ctx, p.Tenant)
	}
	switch {
	case err != nil:
		return resultFailed, err
	case !ok || t.root != root:
		return resultLost, nil
	}
	var op catalog.Operation = catalog.Retire{IDs: ids(e.Retire), Thin: e.Thin}
	if e.Tombstone != nil {
		op = catalog.AddTombstone(*e.Tombstone)
	}
	_, err = l.c.Catalog.Commit(ctx, p.Tenant, p.Day, op)
	switch {
	case errors.Is(err, model.ErrConflict), errors.Is(err, catalog.ErrGravestone):
		return resultLost, nil
	case errors.Is(err, model.ErrLimit):
		return "", nil
	case err != nil:
		return resultFailed, err
	}
	l.retained(p, e, r)
	return resultDone, nil
}

// claimRetention keeps other workers from doing the same for a while, and reports whether they do not do so already.
func (l *Lifecycle) claimRetention(ctx context.Context, p *catalog.Partition) (bool, error) {
	_, err := l.c.Catalog.Commit(ctx, p.Tenant, p.Day, catalog.TakeClaim{
		Job: claimName(jobRetention, 0, 0), Holder: l.holder, UntilMs: l.nowMs() + min(retentionClaim, l.cfg.ClaimFor).Milliseconds(),
	})
	if errors.Is(err, model.ErrConflict) || errors.Is(err, catalog.ErrGravestone) {
		return false, nil
	}
	return err == nil, err
}

// checkClock compares this worker's clock with the bucket's, by an object that was written a moment ago.
func (l *Lifecycle) checkClock(ctx context.Context, key string) error {
	for o, err := range l.c.Bucket.List(ctx, key) {
		if err != nil {
			return err
		}
		if o.Key != key {
			continue
		}
		off := time.Duration(l.nowMs()-o.Modified.UnixMilli()) * time.Millisecond
		if off.Abs().Milliseconds() > maxClockErrorMs {
			return fmt.Errorf("the clock of this worker is %v off the bucket's: nothing expires until it is put right: %w", off, model.ErrUnavailable)
		}
		return nil
	}
	return fmt.Errorf("list %s: it was written and is not there: %w", key, model.ErrUnavailable)
}

// retained counts and tells what was done.
func (l *Lifecycle) retained(p *catalog.Partition, e *Expiry, r *Report) {
	if e.Tombstone != nil {
		r.Masked++
		l.metrics.masked.Inc()
	}
	r.Expired += len(e.Retire)
	r.ExpiredBytes += e.bytes()
	l.metrics.expired.Add(float64(len(e.Retire)))
	l.metrics.expiredBytes.Add(float64(e.bytes()))
	l.c.Logger.Info("retention", "tenant", p.Tenant, "day", p.Day.Dashed(), "does", e.describe(), "bytes", e.bytes())
}
