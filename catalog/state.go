package catalog

import (
	"cmp"
	"maps"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/model"
)

// Nonce tells one commit from every other. It is random.
type Nonce uint64

// TrailLength is the number of commits whose nonces a state carries.
const TrailLength = 32

// Head is what all states that are changed by compare-and-swap have in common.
type Head struct {
	// Generation counts the commits on the object. The first one makes it 1; a missing object is at 0.
	Generation uint64
	// Trail holds the nonces of the last commits, that of Generation last. At most TrailLength.
	Trail []Nonce
}

// Nonce returns the nonce of the last commit, 0 for a missing object.
func (h *Head) Nonce() Nonce {
	if len(h.Trail) == 0 {
		return 0
	}
	return h.Trail[len(h.Trail)-1]
}

// wrote reports whether one of the last commits carries the nonce.
func (h *Head) wrote(n Nonce) bool { return slices.Contains(h.Trail, n) }

// advance makes h the head of the next commit. The trail is copied: the old head may be shared.
func (h *Head) advance(n Nonce) {
	h.Generation++
	trail := h.Trail
	if len(trail) >= TrailLength {
		trail = trail[len(trail)-TrailLength+1:]
	}
	h.Trail = append(slices.Clone(trail), n)
}

// Partition is one reading of a partition's catalog. Immutable once returned by a Store.
type Partition struct {
	Tenant string
	Day    model.Day
	Head
	// Blocks are the live blocks, ascending by Order, then ID.
	Blocks []Entry
	// Rollups are the live rollup blocks of all resolutions, ascending by Order, then ID. They were made in one go: a day has one set of them or none.
	Rollups []Entry
	// Thinned: retention has removed raw samples of this day that the rollups keep, so they are not to be had from Blocks alone. It never goes
	// back to false but by a restore.
	Thinned bool
	// Flushed holds, per writer, the highest generation whose samples of this partition are in it (or were, before they expired).
	// A backfill job is a writer here.
	Flushed     map[string]uint64
	Claims      []Claim
	Tombstones  []Tombstone
	Retired     []Retired
	Quarantined []Quarantined
	// Dropped are the ids of blocks whose objects may be deleted or are. No block of these ids is ever added. Kept for DroppedKeepMs.
	Dropped []Dropped
	// GravestoneMs is when the tenant was deleted, 0 for a living one. A gravestone refuses all operations.
	GravestoneMs int64

	// Version is the version of the object; it and the two fields below are not stored.
	Version blob.Version
	// Missing: there is no object. The rest is empty then, and it depends on the root whether that means "no data".
	Missing bool
	// Bytes is the size of the object.
	Bytes int
}

// Entry is a live block.
type Entry struct {
	*blocks.Meta
	// Order decides between samples of one timestamp: the higher wins.
	Order uint64
	// AddedMs is when the entry was committed.
	AddedMs int64
	// Rolled: all samples of the raw block are in the rollups. False for rollup blocks.
	Rolled bool
}

// Claim is the right to a job, for a time. It saves work and is not needed for correctness.
type Claim struct {
	Job, Holder string
	UntilMs     int64
}

// MaxClaimMs is how long a claim lasts at most. One that seems to last longer was taken by a clock that is wrong, and nobody waits for it: else a worker with a
// clock of next week would keep all others from its jobs until then.
const MaxClaimMs = model.MsPerDay / 24

// InForce reports whether the claim keeps others from the job at this time.
func (c *Claim) InForce(nowMs int64) bool { return nowMs <= c.UntilMs && c.UntilMs <= nowMs+MaxClaimMs }

// Retired is a block that no reader of a fresh catalog uses, whose object is kept for a grace period.
type Retired struct {
	ID     string
	Format blocks.Format
	Size   int64
	AtMs   int64
	// By are the blocks that replaced it; empty when it expired.
	By []string
}

// Quarantined is a live block that merges leave alone, and why.
type Quarantined struct {
	ID     string
	AtMs   int64
	Reason string
}

// Dropped is an id that is never added again.
type Dropped struct {
	ID   string
	AtMs int64
}

// IsRollup reports whether blocks of the format are rollups.
func IsRollup(f blocks.Format) bool { return f.ResolutionMs() > 0 }

// Live returns the live raw block of the id, or nil.
func (p *Partition) Live(id string) *Entry {
	for i := range p.Blocks {
		if p.Blocks[i].ID == id {
			return &p.Blocks[i]
		}
	}
	return nil
}

// LiveRollup returns the live rollup block of the id, or nil.
func (p *Partition) LiveRollup(id string) *Entry {
	for i := range p.Rollups {
		if p.Rollups[i].ID == id {
			return &p.Rollups[i]
		}
	}
	return nil
}

// IsLive reports whether the id is that of a live block, raw or rollup.
func (p *Partition) IsLive(id string) bool { return p.Live(id) != nil || p.LiveRollup(id) != nil }

// All are the live blocks, raw ones first.
func (p *Partition) All() []Entry { return slices.Concat(p.Blocks, p.Rollups) }

// IsRetired reports whether the id is that of a retired block.
func (p *Partition) IsRetired(id string) bool {
	return slices.ContainsFunc(p.Retired, func(r Retired) bool { return r.ID == id })
}

// IsDropped reports whether the id was dropped.
func (p *Partition) IsDropped(id string) bool {
	return slices.ContainsFunc(p.Dropped, func(d Dropped) bool { return d.ID == id })
}

// FlushedThrough reports whether the samples of the writer's generation are in the partition.
func (p *Partition) FlushedThrough(writer string, generation uint64) bool {
	have, ok := p.Flushed[writer]
	return ok && have >= generation
}

// clone copies p so deep that operations may change the copy. Metas are shared, they never change.
func (p *Partition) clone() *Partition {
	c := *p
	c.Blocks, c.Rollups = slices.Clone(p.Blocks), slices.Clone(p.Rollups)
	c.Flushed = maps.Clone(p.Flushed)
	if c.Flushed == nil {
		c.Flushed = map[string]uint64{}
	}
	c.Claims = slices.Clone(p.Claims)
	c.Tombstones = slices.Clone(p.Tombstones)
	c.Retired = slices.Clone(p.Retired)
	c.Quarantined = slices.Clone(p.Quarantined)
	c.Dropped = slices.Clone(p.Dropped)
	return &c
}

// prune forgets what has expired. It runs at each commit, before the operation.
func (p *Partition) prune(nowMs int64) {
	p.Dropped = slices.DeleteFunc(p.Dropped, func(d Dropped) bool { return nowMs-d.AtMs > DroppedKeepMs })
	p.Claims = slices.DeleteFunc(p.Claims, func(c Claim) bool { return !c.InForce(nowMs) })
}

// insert puts a live block at its place.
func (p *Partition) insert(e Entry) {
	list := &p.Blocks
	if IsRollup(e.Format) {
		list = &p.Rollups
	}
	at, _ := slices.BinarySearchFunc(*list, e, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID))
	})
	*list = slices.Insert(*list, at, e)
}

// remove takes a live block out of the lists, and out of quarantine.
func (p *Partition) remove(id string) {
	p.Blocks = slices.DeleteFunc(p.Blocks, func(e Entry) bool { return e.ID == id })
	p.Rollups = slices.DeleteFunc(p.Rollups, func(e Entry) bool { return e.ID == id })
	p.Quarantined = slices.DeleteFunc(p.Quarantined, func(q Quarantined) bool { return q.ID == id })
}
