package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Report is what one look at the bucket led to.
type Report struct {
	// Partitions is how many there are, Read how many catalogs were read.
	Partitions int `json:"partitions"`
	Read       int `json:"read"`
	// Jobs were done by this worker; Lost ones by another one, or the state had moved on.
	Jobs int `json:"jobs"`
	Lost int `json:"lost"`
	// Compactions are those jobs that made parquet.
	Compactions int `json:"compactions"`
	// Rollups are those jobs that made the rollups of a day.
	Rollups int `json:"rollups"`
	// Erasures are those jobs that wrote one block again without what was deleted; Settled are blocks that were looked through and hold nothing of it.
	Erasures int `json:"erasures"`
	Settled  int `json:"settled"`
	// Blocks and bytes that went in and came out, and the samples that were read.
	InputBlocks  int   `json:"input_blocks"`
	OutputBlocks int   `json:"output_blocks"`
	InputBytes   int64 `json:"input_bytes"`
	OutputBytes  int64 `json:"output_bytes"`
	Samples      int64 `json:"samples"`
	// Collected are retired blocks whose objects were deleted.
	Collected      int   `json:"collected"`
	CollectedBytes int64 `json:"collected_bytes"`
	// Orphans are blocks that no catalog named and whose objects were deleted; OrphansKept are others that were old enough to look at, and hold
	// samples that may be nowhere else: varve fsck names them.
	Orphans     int   `json:"orphans"`
	OrphanBytes int64 `json:"orphan_bytes"`
	OrphansKept int   `json:"orphans_kept"`
	// Abandoned are snapshots, as tenant/name, whose making ended half way a day ago; they were deleted.
	Abandoned []string `json:"abandoned_snapshots,omitempty"`
	// Segments are those of the log of released generations that were deleted.
	Segments int `json:"segments"`
	// Expired are blocks that were retired because all their samples had expired; Masked partitions where some series had.
	Expired      int   `json:"expired"`
	ExpiredBytes int64 `json:"expired_bytes"`
	Masked       int   `json:"masked"`
	// DeletedObjects were those of deleted tenants.
	DeletedObjects int   `json:"deleted_objects"`
	DeletedBytes   int64 `json:"deleted_bytes"`
	// Quarantined are blocks that were put aside, with the reason.
	Quarantined []string `json:"quarantined"`
	// Failures are what went wrong otherwise, and will be tried again.
	Failures []string `json:"failures"`
}

// partition names one.
type partition struct {
	tenant string
	day    model.Day
}

func (p partition) String() string { return p.tenant + "/" + p.day.Dashed() }

// seen is what is remembered of a partition between two looks.
type seen struct {
	partition
	// size and modified are of the catalog, as the listing before the last reading told them.
	size     int64
	modified time.Time
	// settled: the catalog was read again after a listing that did not differ, so that nothing can have
	// come between listing and reading; there is nothing to do until it changes, or until wakeMs, if that is not 0.
	settled bool
	wakeMs  int64
	// masked: there are tombstones that mask something.
	masked bool
	// hot and quarantined are numbers of live blocks.
	hot, quarantined int
	present          bool
}

// maxFailures in a row end a look: the bucket is in trouble then, not a partition.
const maxFailures = 3

// Once looks at all partitions of the bucket and does what is due, until nothing is. A partition that fails is left for later and named
// in the report; the error is one of the bucket as a whole, or of ctx.
func (l *Lifecycle) Once(ctx context.Context) (r Report, err error) {
	began := l.c.Now()
	r.Quarantined, r.Failures = []string{}, []string{} // not null in JSON
	due, err := l.list(ctx)
	if err != nil {
		l.metrics.failures.Inc()
		return r, fmt.Errorf("lifecycle: %w", err)
	}
	r.Partitions = len(l.seen)
	if err := l.tidyTenants(ctx, &r); err != nil {
		return r, err
	}
	l.plantRoots(ctx, due)
	failed := 0
	for _, s := range due {
		r.Read++
		err := l.visit(ctx, s, &r)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err == nil {
			failed = 0
			continue
		}
		l.metrics.failures.Inc()
		r.Failures = append(r.Failures, err.Error())
		if failed++; failed >= maxFailures && errors.Is(err, model.ErrUnavailable) {
			return r, fmt.Errorf("lifecycle: %w", err)
		}
	}
	if l.nowMs() >= l.orphansMs {
		if err := l.orphansLater(); err != nil {
			return r, err
		}
		if err := l.tidyOrphans(ctx, &r); err != nil {
			l.metrics.failures.Inc()
			return r, fmt.Errorf("lifecycle: %w", err)
		}
	}
	l.forgetSwept()
	l.metrics.looked(l.seen, l.c.Now().Sub(began))
	l.metrics.kept(l.tenants, l.nowMs())
	return r, nil
}

// list returns the partitions whose catalogs are to be read, in random order, so that several workers begin at different ends.
func (l *Lifecycle) list(ctx context.Context) ([]*seen, error) {
	for _, s := range l.seen {
		s.present = false
	}
	for _, t := range l.tenants {
		t.present, t.changed = false, false
	}
	var due []*seen
	for o, err := range l.c.Bucket.List(ctx, catalog.KeyPrefix) {
		if err != nil {
			return nil, err
		}
		tenant, day, ok := catalog.ParsePartitionKey(o.Key)
		if !ok {
			l.listRoot(o)
			l.listAsked(o)
			continue
		}
		s := l.seen[o.Key]
		if s == nil {
			s = &seen{partition: partition{tenant, day}}
			l.seen[o.Key] = s
		}
		s.present = true
		same := s.size == o.Size && s.modified.Equal(o.Modified)
		if s.settled && same && (s.wakeMs == 0 || l.nowMs() < s.wakeMs) && !(s.masked && l.eraseAfter() == 0) {
			continue
		}
		s.settled, s.size, s.modified = same, o.Size, o.Modified
		due = append(due, s)
	}
	for key, s := range l.seen {
		if !s.present {
			delete(l.seen, key)
		}
	}
	l.forgetTenants()
	due = l.withMasked(l.ofChanged(due))
	for i := len(due) - 1; i > 0; i-- {
		n, err := l.random()
		if err != nil {
			return nil, err
		}
		j := int(n % uint64(i+1))
		due[i], due[j] = due[j], due[i]
	}
	return due, nil
}

// maxLost bounds how often in a row a partition is planned anew because others were faster; after that it waits for the next look.
const maxLost = 3

// visit does what is due in a partition.
func (l *Lifecycle) visit(ctx context.Context, s *seen, r *Report) error {
	for lost := 0; ; {
		p, err := l.c.Catalog.Partition(ctx, s.tenant, s.day, nil)
		if err != nil {
			s.settled = false
			return err
		}
		s.hot, s.quarantined = HotBlocks(p), len(p.Quarantined)
		s.masked = len(PlanErase(p, 0, l.nowMs())) > 0 || maskedRollups(p, 0, l.nowMs())
		result, err := l.step(ctx, p, r)
		if err != nil {
			s.settled = false
			return fmt.Errorf("%v: %w", s.partition, err)
		}
		if result == resultLost {
			lost++
		} else {
			lost = 0
		}
		if result == "" || lost >= maxLost {
			s.settled = s.settled && lost == 0
			s.wakeMs = l.wake(p)
			return nil
		}
	}
}

// wake is when there may be something to do in the partition though it does not change: a claim ends, or a grace. 0 is never.
func (l *Lifecycle) wake(p *catalog.Partition) (ms int64) {
	sooner := func(atMs int64) {
		if ms == 0 || atMs < ms {
			ms = atMs
		}
	}
	for _, c := range p.Claims {
		if c.InForce(l.nowMs()) {
			sooner(c.UntilMs + 1)
		}
	}
	if at := retentionWake(p, l.remember(p.Tenant).retention, l.nowMs()); at > 0 {
		sooner(at)
	}
	for _, r := range p.Retired {
		// What is overdue is spared for a snapshot, and a change of the root wakes us.
		if at := r.AtMs + l.cfg.Grace.Milliseconds(); at > l.nowMs() {
			sooner(at)
		}
	}
	if at := eraseWake(p, l.eraseAfter()); at > 0 {
		sooner(at)
	}
	if at := compactWake(p, &l.cfg.Compact, l.nowMs()); at > 0 {
		sooner(at)
	}
	if at := rollupWake(p, &l.cfg.Compact, l.eraseAfter(), l.nowMs()); at > 0 {
		sooner(at)
	}
	return ms
}

// Step does one job of the partition, if one is due, and reports whether there was one, be it done by this worker or by others.
func (l *Lifecycle) Step(ctx context.Context, tenant string, day model.Day) (did bool, err error) {
	p, err := l.c.Catalog.Partition(ctx, tenant, day, nil)
	if err != nil {
		return false, err
	}
	result, err := l.step(ctx, p, &Report{})
	return result != "", err
}

// step plans and does one job on a reading of the partition. The result is "" if none is due.
func (l *Lifecycle) step(ctx context.Context, p *catalog.Partition, r *Report) (result string, err error) {
	if result, err := l.retain(ctx, p, r); result != "" {
		l.metrics.jobs.WithLabelValues(jobRetention, result).Inc()
		return result, err
	}
	roll, _ := PlanRollup(p, l.remember(p.Tenant).retention, &l.cfg.Compact, l.eraseAfter(), l.nowMs())
	if roll != nil && p.Thinned {
		return l.rollUp(ctx, p, roll, r) // before a merge mixes what is rolled with what is not
	}
	roster, err := l.writers(ctx, p)
	if err != nil {
		return "", err
	}
	if m, _ := PlanCompact(p, roster, &l.cfg.Compact, l.nowMs()); m != nil {
		return l.merge(ctx, p, l.compactOf(ctx, m), r)
	}
	if m, _ := PlanMerge(p, &l.cfg.Merge, l.nowMs()); m != nil {
		return l.merge(ctx, p, m, r)
	}
	if due := PlanErase(p, l.eraseAfter(), l.nowMs()); len(due) > 0 {
		return l.erase(ctx, p, due, r)
	}
	if roll != nil {
		return l.rollUp(ctx, p, roll, r)
	}
	if ids := PlanForget(p, l.nowMs()); len(ids) > 0 {
		result, err = l.forget(ctx, p, ids)
		l.metrics.jobs.WithLabelValues(jobForget, result).Inc()
		return result, err
	}
	if due := PlanCollect(p, l.cfg.Grace, l.nowMs()); len(due) > 0 {
		result, err = l.collect(ctx, p, due, r)
		if result != "" {
			l.metrics.jobs.WithLabelValues(jobCollect, result).Inc()
			return result, err
		}
	}
	return "", l.sweep(ctx, p)
}

// writers returns the roster for a partition of which a compaction may be due, and an empty one for others, which cost no request.
func (l *Lifecycle) writers(ctx context.Context, p *catalog.Partition) (*catalog.Roster, error) {
	if _, why := PlanCompact(p, &catalog.Roster{}, &l.cfg.Compact, l.nowMs()); why != "" {
		return &catalog.Roster{}, nil
	}
	var err error
	l.roster, err = l.c.Catalog.Roster(ctx, l.roster)
	return l.roster, err
}

func ids(entries []catalog.Entry) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}

// live reports whether all of the blocks are live in the partition.
func live(p *catalog.Partition, ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return !p.IsLive(id) })
}
