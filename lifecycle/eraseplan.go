package lifecycle

import (
	"time"

	"github.com/varvedb/varve/catalog"
)

// maxErased bounds the blocks of one plan.
const maxErased = 64

// PlanErase returns the blocks that tombstones have masked for longer than after, though no merge came by that would have applied them: they are looked through,
// and rewritten one by one if they hold anything masked, so that a delete becomes physical within a bounded time. Blocks that are quarantined or of a claimed
// job wait. Rollups are rid of what is masked by being made anew (PlanRollup). It is a pure function of one reading of a catalog, of the setting and of the time.
func PlanErase(p *catalog.Partition, after time.Duration, nowMs int64) (due []catalog.Entry) {
	if p.GravestoneMs != 0 {
		return nil
	}
	for i := range p.Blocks {
		e := &p.Blocks[i]
		at, masked := maskedSince(p, e)
		if masked && nowMs-at >= after.Milliseconds() && len(due) < maxErased && barredInAny(p, e, nowMs) == "" {
			due = append(due, *e)
		}
	}
	return due
}

// maskedSince is when the oldest tombstone was made that masks the block.
func maskedSince(p *catalog.Partition, e *catalog.Entry) (ms int64, masked bool) {
	for _, t := range p.Masks(e) {
		if !masked || t.CreatedMs < ms {
			ms, masked = t.CreatedMs, true
		}
	}
	return ms, masked
}

// masking are the ids of the tombstones that mask a live block, raw or rollup.
func masking(p *catalog.Partition) map[string]bool {
	out := map[string]bool{}
	for _, e := range p.All() {
		for _, t := range p.Masks(&e) {
			out[t.ID] = true
		}
	}
	return out
}

// PlanForget returns the tombstones that mask nothing any more and were kept for long enough that no repeated call can bring them back.
func PlanForget(p *catalog.Partition, nowMs int64) (ids []string) {
	if p.GravestoneMs != 0 {
		return nil
	}
	masking := masking(p)
	for _, t := range p.Tombstones {
		if !masking[t.ID] && !p.IsKept(&t) && nowMs-t.CreatedMs >= catalog.TombstoneKeepMs {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// eraseWake is when PlanErase or PlanForget may have something to do in the partition though it does not change, 0 for never.
func eraseWake(p *catalog.Partition, after time.Duration) (ms int64) {
	sooner := func(at int64) {
		if ms == 0 || at < ms {
			ms = at
		}
	}
	masking := masking(p)
	for i := range p.Blocks {
		if at, masked := maskedSince(p, &p.Blocks[i]); masked && !isQuarantined(p, p.Blocks[i].ID) {
			sooner(at + after.Milliseconds())
		}
	}
	for _, t := range p.Tombstones {
		if !masking[t.ID] && !p.IsKept(&t) {
			sooner(t.CreatedMs + catalog.TombstoneKeepMs)
		}
	}
	return ms
}
