package ingester

import (
	"math"
	"slices"
	"sync"

	"github.com/varvedb/varve/model"
)

// changes remembers since when what was appended, for those who keep answers: the smallest timestamp of all that came after a given
// moment. Tenants are watched once somebody has asked for them. Safe for concurrent use.
type changes struct {
	mu       sync.Mutex
	byTenant map[string]*watch
	// before is above every moment of a watch that was let go, so that no later one of the tenant takes it for one of its own.
	before uint64
}

// watch is what is remembered of one tenant.
type watch struct {
	// seq counts the appends, from 1.
	seq uint64
	// log has, with ascending seq and minMs, of each append that no later one goes below: so what came after a moment begins at the first entry behind it.
	log []change
	// from is the first moment that the log reaches back to.
	from uint64
}

type change struct {
	seq   uint64
	minMs int64
}

const (
	// changeGrainMs: appends whose timestamps begin this close to one another are remembered as one.
	changeGrainMs = 5000
	// maxChanges bounds the log of a tenant: some hours of data that comes in order.
	maxChanges = 4096
	// maxWatched bounds the tenants: whoever may ask for any name must not fill the memory.
	maxWatched = 1024
)

// since returns a moment that is now, and the smallest timestamp of what was appended after an earlier one, math.MaxInt64 for nothing. It is not ok if that is
// not remembered.
func (c *changes) since(tenantName string, moment uint64) (now uint64, minMs int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.byTenant[tenantName]
	if w == nil {
		w = c.watch(tenantName)
	}
	if moment < w.from || moment > w.seq {
		return w.seq, 0, false
	}
	i, _ := slices.BinarySearchFunc(w.log, moment+1, func(e change, seq uint64) int { return int(int64(e.seq - seq)) })
	if i == len(w.log) {
		return w.seq, math.MaxInt64, true
	}
	return w.seq, w.log[i].minMs, true
}

// watch begins to remember what comes to the tenant. Of too many it lets another one go. The caller holds mu.
func (c *changes) watch(tenantName string) *watch {
	if c.byTenant == nil {
		c.byTenant = map[string]*watch{}
	}
	for name, w := range c.byTenant {
		if len(c.byTenant) < maxWatched {
			break
		}
		c.before = max(c.before, w.seq)
		delete(c.byTenant, name)
	}
	w := &watch{seq: c.before + 1, from: c.before + 1}
	c.byTenant[tenantName] = w
	return w
}

// note remembers an append. It comes after the samples can be read, and before they are acknowledged: who asks for a moment, then reads, and later
// asks what came since has missed nothing that was acknowledged.
func (c *changes) note(tenantName string, b *model.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.byTenant[tenantName]
	if w == nil {
		return
	}
	minMs := int64(math.MaxInt64)
	for i := range b.Samples {
		minMs = min(minMs, b.Samples[i].T)
	}
	for i := range b.Histograms {
		minMs = min(minMs, b.Histograms[i].T)
	}
	if minMs != math.MaxInt64 {
		w.add(minMs)
	}
}

func (w *watch) add(minMs int64) {
	w.seq++
	for len(w.log) > 0 && w.log[len(w.log)-1].minMs >= minMs {
		w.log = w.log[:len(w.log)-1]
	}
	if n := len(w.log); n > 0 && minMs-w.log[n-1].minMs < changeGrainMs {
		w.log[n-1].seq = w.seq
		return
	}
	if len(w.log) == maxChanges {
		half := maxChanges / 2
		w.from = w.log[half-1].seq
		w.log = append(w.log[:0], w.log[half:]...)
	}
	w.log = append(w.log, change{w.seq, minMs})
}

// Since implements model.Watched.
func (i *Ingester) Since(tenantName string, moment uint64) (now uint64, minMs int64, ok bool) {
	return i.changes.since(tenantName, moment)
}
