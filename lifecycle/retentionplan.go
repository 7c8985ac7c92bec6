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
	// Retire are all live blocks, raw ones or rollups: every series of the day has expired.
	Retire []catalog.Entry
	// Thin: rollups keep what they retire.
	Thin bool
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
// Raw samples and rollups go by ages of their own. Raw samples wait until all of the day are in the rollups, if these are wanted and have not expired as well; see
// PlanRollup, which sees to it. A block that is quarantined waits for nothing: no rollup will ever have it.
//
// Rules are applied to a block once. The id of a tombstone of retention says which selectors it has and up to which order it masks everything; the
// tombstones that were applied to a block are listed by it, merges hand that on. So a block needs a tombstone if none of those selectors masks it or
// was applied to it that reaches its order: because a rule has come into force, or because the block came after.
func PlanRetention(p *catalog.Partition, r *Retention, nowMs int64) (*Expiry, string, error) {
	a, err := agesAt(p, r, nowMs)
	switch {
	case err != nil:
		return nil, "", err
	case p.GravestoneMs != 0:
		return nil, "the tenant was deleted", nil
	case len(p.Blocks)+len(p.Rollups) == 0:
		return nil, "no blocks", nil
	}
	if e := a.raw.expiry(p.Blocks, p, catalog.ScopeAll, nowMs); e != nil {
		unrolled := p.Unrolled()
		switch {
		case !a.kept:
			return e, "", nil
		case len(unrolled) == 0:
			e.thin()
			return e, "", nil
		}
		// What is there of rollups may expire meanwhile.
		if e := a.rollups.expiry(p.Rollups, p, catalog.ScopeRollups, nowMs); e != nil {
			return e, "", nil
		}
		return nil, fmt.Sprintf("raw samples wait for rollups of %d blocks", len(unrolled)), nil
	}
	if e := a.rollups.expiry(p.Rollups, p, catalog.ScopeRollups, nowMs); e != nil {
		return e, "", nil
	}
	if a.raw.nothing() && (a.rollups.nothing() || len(p.Rollups) == 0) {
		return nil, "nothing has expired", nil
	}
	return nil, "what has expired is masked or was removed", nil
}

// ages are the rules of retention as they stand for a partition at one time.
type ages struct {
	raw, rollups *expired
	// kept: rollups are wanted, and not all of them have expired.
	kept bool
}

func agesAt(p *catalog.Partition, r *Retention, nowMs int64) (*ages, error) {
	raw, err := r.parse("")
	if err != nil {
		return nil, err
	}
	rollups, err := r.parseRollups("")
	if err != nil {
		return nil, err
	}
	a := &ages{raw: raw.at(ageMs(p, nowMs)), rollups: rollups.at(ageMs(p, nowMs))}
	a.kept = (r.rollsUp() || len(p.Rollups) > 0) && !a.rollups.everything()
	return a, nil
}

// expiry is what has expired of the blocks, of which e speaks, and is still there; nil for nothing.
func (e *expired) expiry(entries []catalog.Entry, p *catalog.Partition, scope catalog.Scope, nowMs int64) *Expiry {
	switch {
	case len(entries) == 0 || e.nothing():
		return nil
	case e.everything():
		return &Expiry{Retire: entries}
	}
	if t := e.tombstone(entries, p, scope, nowMs); t != nil {
		return &Expiry{Tombstone: t}
	}
	return nil
}

// thin makes it one of raw samples that rollups keep.
func (e *Expiry) thin() {
	if e.Thin = e.Tombstone == nil; !e.Thin {
		e.Tombstone.Scope = catalog.ScopeRaw
	}
}

// ageMs is the time since the end of the partition's day; negative before.
func ageMs(p *catalog.Partition, nowMs int64) int64 { return nowMs - p.Day.Range().MaxMs - 1 }

// tombstone masks the expired series of the blocks. It is nil if that is done for all of them.
func (e *expired) tombstone(entries []catalog.Entry, p *catalog.Partition, scope catalog.Scope, nowMs int64) *catalog.Tombstone {
	matchers := catalog.FormatSelectors(e.selectors())
	prefix := retentionPrefix(matchers, scope)
	highest, due := uint64(0), false
	for i := range entries {
		b := &entries[i]
		if reachedBy(p, b, prefix) < b.Order {
			highest, due = max(highest, b.Order), true
		}
	}
	if !due {
		return nil
	}
	return &catalog.Tombstone{ID: prefix + strconv.FormatUint(highest, 10), CreatedMs: nowMs, Range: p.Day.Range(), Matchers: matchers, Scope: scope}
}

// retentionPrefix begins the ids of tombstones of retention with these selectors, for rollups or for raw samples. What follows is the highest order among the blocks that were due
// when it was planned; all blocks up to it are masked, and perhaps later ones.
//
// The order makes the id of a later tombstone another one: a merge lists the tombstones that were applied to any of its inputs, those that came too late for a tombstone
// included, and must not count as rid of what a new one of the same selectors masks.
func retentionPrefix(matchers string, scope catalog.Scope) string {
	if scope == catalog.ScopeRollups {
		matchers = "rollups\n" + matchers
	}
	sum := sha256.Sum256([]byte("varve retention 1\n" + matchers))
	return catalog.RetentionPrefix + hex.EncodeToString(sum[:8]) + "-"
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
	for _, t := range p.Masks(b) {
		if t.Scope == catalog.ScopeRaw && strings.HasPrefix(t.ID, prefix) {
			order = b.Order // it was raised when late samples were rolled
		}
	}
	return order
}

// retentionWake is when something more expires in the partition, 0 for never.
func retentionWake(p *catalog.Partition, r *Retention, nowMs int64) (ms int64) {
	if p.GravestoneMs != 0 || len(p.Blocks)+len(p.Rollups) == 0 {
		return 0
	}
	for _, parse := range []func(Age) (*ageRules, error){r.parse, r.parseRollups} {
		rules, err := parse("")
		if err != nil {
			return 0
		}
		// Before the end of its day the age is negative, and the first change is at the least age of all.
		if next := rules.next(ageMs(p, nowMs)); next > 0 && (ms == 0 || p.Day.Range().MaxMs+1+next < ms) {
			ms = p.Day.Range().MaxMs + 1 + next
		}
	}
	return ms
}

// with is the retention with defaults for what neither tenant nor rule says.
func (r Retention) with(raw, rollups Age) *Retention {
	r.Raw, r.Rollups = r.Raw.or(raw), r.Rollups.or(rollups)
	return &r
}

// describe is what an Expiry does, for logs.
func (e *Expiry) describe() string {
	if e.Tombstone != nil {
		return "mask " + e.what() + strings.ReplaceAll(e.Tombstone.Matchers, "\n", " or ")
	}
	return fmt.Sprintf("retire %d %sblocks", len(e.Retire), e.what())
}

// what names the scope, "" for all that there is.
func (e *Expiry) what() string {
	switch {
	case e.Thin || e.Tombstone != nil && e.Tombstone.Scope == catalog.ScopeRaw:
		return "raw "
	case e.Tombstone != nil && e.Tombstone.Scope == catalog.ScopeRollups || len(e.Retire) > 0 && catalog.IsRollup(e.Retire[0].Format):
		return "rollup "
	}
	return ""
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
