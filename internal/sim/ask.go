package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// ask is a query that takes its time: it goes the way of package query in the same order, roster and catalogs, memtables, the confirmation, blocks one by one, and while it
// stands still in between, others go on, merge what it is about to read and delete it. A block that has gone has it read the catalogs again.
//
// Package query itself reads in parallel and so cannot be replayed; it has tests of its own for what it does with each answer.
func (w *world) ask() {
	w.counts["query"]++
	q := &asking{world: w, tool: w.tool("query", 30), tenant: tenants[w.rng.IntN(len(tenants))], seen: map[string]bool{}}
	q.before = w.oracle.copyOf(q.tenant)
	w.note("query of %s begins", q.tenant)
	got, err := q.answer(context.Background())
	w.note("query of %s: %d samples: %v", q.tenant, len(got), err)
	switch {
	case w.violation != nil:
	case err == nil:
		w.aged()
		if err := q.compare(got); err != nil {
			w.broken("slow query: %w", err)
		}
	case q.tool.fate == noFault && !allowed(err):
		w.broken("slow query: unexpected error: %w", err)
	}
}

// asking is one query under way.
type asking struct {
	*world
	tool   *machine
	tenant string
	// before are the writes of the tenant and what was owed for them when it began.
	before map[key][]write
	// dawdles is how often it has let others go on.
	dawdles int
	// seen are the disks whose memtables it has asked.
	seen map[string]bool
}

// maxPlans bounds how often a query reads the catalogs again. After half of that it hurries.
const maxPlans = 16

func (q *asking) answer(ctx context.Context) (reading, error) {
	store := q.tool.c.Catalog
	view, err := store.View(ctx, q.tenant, everything, nil)
	if err != nil {
		return nil, err
	}
	q.dawdle()
	recent, err := q.askSources(ctx)
	if err != nil {
		return nil, err
	}
	q.dawdle()
	atMs := q.nowMs
	if view, _, err = store.Confirm(ctx, view); err != nil {
		return nil, err
	}
	for n := 1; ; n++ {
		got, err := q.readBlocks(ctx, view, n < maxPlans/2)
		if err == nil {
			for k, f := range recent {
				got[k] = f
			}
			return got, nil
		}
		if !errors.Is(err, model.ErrNotFound) || n == maxPlans {
			return nil, err
		}
		q.counts["query planned again"]++
		if took := q.nowMs - atMs; !q.wild && took < minGraceMs {
			q.broken("slow query: its block has gone %d ms after it was live: %w", took, err)
		}
		atMs = q.nowMs
		if view, err = store.View(ctx, q.tenant, everything, view); err != nil {
			return nil, err
		}
	}
}

// dawdle lets the others go on, and now and then hours go by; a few times.
func (q *asking) dawdle() {
	if q.dawdles == maxDawdles {
		return
	}
	switch q.rng.IntN(12) {
	case 0, 1, 2:
		q.dawdles++
		q.others(q.tool)
	case 3:
		q.dawdles++
		q.nowMs += 2 * 3600 * 1000
	}
}

const maxDawdles = 4

// askSources asks the memtables of all machines that run and are not in the middle of something.
func (q *asking) askSources(ctx context.Context) (reading, error) {
	recent := reading{}
	for _, m := range q.machines {
		if m.ing == nil || m.busy {
			continue
		}
		q.seen[m.disk] = true
		sel, err := m.ing.Select(ctx, q.tenant, everything, nil)
		if err == nil {
			err = recent.take(q.tenant, sel)
		}
		if err != nil {
			return nil, fmt.Errorf("select of %s: %w", m.disk, err)
		}
	}
	return recent, nil
}

func (q *asking) readBlocks(ctx context.Context, view *catalog.View, slowly bool) (reading, error) {
	got := reading{}
	for _, p := range view.Partitions {
		for _, e := range byOrder(p.Blocks) {
			if slowly && q.depth < maxDepth {
				q.dawdle()
			}
			masks, err := catalog.BlockMasks(p.Masks(&e))
			if err != nil {
				return nil, err
			}
			sel, err := blocks.Select(ctx, blocks.Stored{Bucket: q.tool.c.Bucket}, e.Meta, &blocks.Query{Range: everything, Masks: masks})
			if err == nil {
				err = got.take(q.tenant, sel)
			}
			if err != nil {
				return nil, fmt.Errorf("read block %s of %s %v: %w", e.ID, p.Tenant, p.Day, err)
			}
		}
	}
	return got, nil
}

// compare checks the answer: all that had been acknowledged when the query began, or something later, and nothing that had been deleted by then.
// What was lost with a disk, deleted or expired meanwhile may be there or not.
func (q *asking) compare(got reading) error {
	for _, k := range q.oracle.sorted() {
		if k.tenant != q.tenant || !q.seen[diskOf(k)] {
			continue
		}
		before, now := q.before[k], q.oracle.writes[k]
		owed := -1
		for n, b := range before {
			if b.acked && now[n].acked && now[n].fate == kept {
				owed = n
			}
		}
		f, found := got[k]
		at := slices.IndexFunc(now, func(x write) bool { return math.Float64bits(x.value) == math.Float64bits(f.value) })
		switch {
		case !found && owed >= 0:
			return fmt.Errorf("%v lost: %v was acknowledged before it began", k, before[owed].value)
		case !found:
		case at < max(owed, 0):
			return fmt.Errorf("%v is %v, %v was acknowledged last before it began", k, f.value, before[max(owed, 0)].value)
		case at < len(before) && before[at].fate == deleted && now[at].fate == deleted: // nobody took it back
			return fmt.Errorf("%v is %v, which was deleted before it began", k, f.value)
		}
	}
	return nil
}

// copyOf are the writes of a tenant as they are now.
func (o *oracle) copyOf(tenant string) map[key][]write {
	c := map[key][]write{}
	for k, ws := range o.writes {
		if k.tenant == tenant {
			c[k] = slices.Clone(ws)
		}
	}
	return c
}
