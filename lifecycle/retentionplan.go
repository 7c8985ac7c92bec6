package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Expiry is what retention has to do in a partition: one of the two.
type Expiry struct {
	// Retire are all live blocks: every series of the day has expired.
	Retire []catalog.Entry
	// Tombstone, if Retire is empty, masks the series that have expired while others have not. From there on it is as if somebody had deleted
	// them: queries leave them out, and the blocks are rewritten without them.
	Tombstone *catalog.Tombstone
}

// PlanRetention returns what has expired in the partition and is still there, or nil and why there is nothing. It is a pure function of one reading of the catalog,
// of the tenant's retention and of the time in ms. The error wraps model.ErrInvalid: a retention that was not checked.
//
// The age of a partition is the time since the end of its day. Blocks that are quarantined or claimed expire like others: a job whose inputs
// have gone has lost, which it is prepared for.
//
// Rules are applied to a block once. The id of a tombstone of retention says which selectors it has and up to which order it masks everything; the
// tombstones that were applied to a block are listed by it, merges hand that on. So a block needs a tombstone if none of those selectors masks it or
// was applied to it that reaches its order: because a rule has come into force, or because the block came after.
//
// All blocks are of raw samples yet. Rollups will go by their own ages here.
func PlanRetention(p *catalog.Partition, r *Retention, nowMs int64) (*Expiry, string, error) {
	rules, err := r.parse("")
	if err != nil {
		return nil, "", err
	}
	if p.GravestoneMs != 0 {
		return nil, "the tenant was deleted", nil
	}
	if len(p.Blocks) == 0 {
		return nil, "no blocks", nil
	}
	switch e := rules.at(ageMs(p, nowMs)); {
	case e.nothing():
		return nil, "nothing has expired", nil
	case e.everything():
		return &Expiry{Retire: p.Blocks}, "", nil
	default:
		t := e.tombstone(p, nowMs)
		if t == nil {
			return nil, "what has expired is masked or was removed", nil
		}
		return &Expiry{Tombstone: t}, "", nil
	}
}

// ageMs is the time since the end of the partition's day; negative before.
func ageMs(p *catalog.Partition, nowMs int64) int64 { return nowMs - p.Day.Range().MaxMs - 1 }

// tombstone masks the expired series of all live blocks. It is nil if that is done for all of them.
func (e *expired) tombstone(p *catalog.Partition, nowMs int64) *catalog.Tombstone {
	matchers := catalog.FormatSelectors(e.selectors())
	prefix := retentionPrefix(matchers)
	highest, due := uint64(0), false
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if reachedBy(p, b, prefix) < b.Order {
			highest, due = max(highest, b.Order), true
		}
	}
	if !due {
		return nil
	}
	return &catalog.Tombstone{ID: prefix + strconv.FormatUint(highest, 10), CreatedMs: nowMs, Range: p.Day.Range(), Matchers: matchers}
}

// retentionPrefix begins the ids of tombstones of retention with these selectors. What follows is the highest order among the blocks that were due
// when it was planned; all blocks up to it are masked, and perhaps later ones.
//
// The order makes the id of a later tombstone another one: a merge lists the tombstones that were applied to any of its inputs, those that came too late for a tombstone
// included, and must not count as rid of what a new one of the same selectors masks.
func retentionPrefix(matchers string) string {
	sum := sha256.Sum256([]byte("varve retention 1\n" + matchers))
	return "retention-" + hex.EncodeToString(sum[:8]) + "-"
}

// reachedBy is the highest order that a tombstone of the prefix reaches, of those that mask the block or were applied to it; 0 if there is none.
func reachedBy(p *catalog.Partition, b *catalog.Entry, prefix string) (order uint64) {
	note := func(id string) {
		if text, ok := strings.CutPrefix(id, prefix); ok {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				order = max(order, n)
			}
		}
	}
	for _, id := range b.Tombstones {
		note(id)
	}
	for i := range p.Tombstones {
		if b.Order <= p.Tombstones[i].Order {
			note(p.Tombstones[i].ID)
		}
	}
	return order
}

// retentionWake is when something more expires in the partition, 0 for never.
func retentionWake(p *catalog.Partition, r *Retention, nowMs int64) int64 {
	rules, err := r.parse("")
	if err != nil || p.GravestoneMs != 0 || len(p.Blocks) == 0 {
		return 0
	}
	// Before the end of its day the age is negative, and the first change is at the least age of all.
	if next := rules.next(ageMs(p, nowMs)); next > 0 {
		return p.Day.Range().MaxMs + 1 + next
	}
	return 0
}

// with is the retention with a default for what neither tenant nor rule says.
func (r Retention) with(raw Age) *Retention {
	r.Raw = r.Raw.or(raw)
	return &r
}

// describe is what an Expiry does, for logs.
func (e *Expiry) describe() string {
	if e.Tombstone != nil {
		return "mask " + strings.ReplaceAll(e.Tombstone.Matchers, "\n", " or ")
	}
	return fmt.Sprintf("retire %d blocks", len(e.Retire))
}

// bytes are those of the blocks that are retired.
func (e *Expiry) bytes() (n int64) {
	for _, b := range e.Retire {
		n += b.Size
	}
	return n
}

// maxClockErrorMs is by how much a worker's clock may differ from the bucket's: an age is a day at least.
const maxClockErrorMs = model.MsPerDay / 24
