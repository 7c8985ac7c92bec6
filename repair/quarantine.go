package repair

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Quarantined is a block that merges leave alone, or one that was asked for, and what came of it.
type Quarantined struct {
	Tenant string `json:"tenant"`
	Day    string `json:"day"`
	ID     string `json:"id"`
	Object string `json:"object"`
	// SinceMs and Reason are of the quarantine; 0 and "" for a block that is in none.
	SinceMs int64  `json:"since_ms,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Series and Samples are those that the catalog says it has.
	Series  int64 `json:"series"`
	Samples int64 `json:"samples"`
	// Fault is why it cannot be read now; "" if it can, or if nobody looked.
	Fault string `json:"fault,omitempty"`
	// Done: it was readmitted or discarded.
	Done bool `json:"done"`
}

// ListQuarantined returns the blocks of o.Tenant that are in quarantine, by day.
func ListQuarantined(ctx context.Context, c Components, o *Options) ([]Quarantined, error) {
	q := quarantine{&checker{c: c, o: o.withDefaults()}}
	out, err := q.each(ctx, nil, nil)
	if err != nil {
		return out, fmt.Errorf("list quarantined blocks: %w", err)
	}
	return out, nil
}

// Readmit reads the quarantined blocks of o.Tenant, or those of the ids among them, to the last sample, and ends the quarantine of each that is what it was when it
// was committed: somebody has restored its object. Those that are not stay where they are, with the Fault. An id that is not in quarantine is an error that wraps
// model.ErrNotFound. A bucket that fails ends it; what was done before stays done.
func Readmit(ctx context.Context, c Components, o *Options, ids []string) ([]Quarantined, error) {
	q := quarantine{&checker{c: c, o: o.withDefaults()}}
	out, err := q.each(ctx, ids, func(p *catalog.Partition, e *catalog.Entry, b *Quarantined) (catalog.Operation, error) {
		faults, err := q.faults(ctx, p, e)
		if b.Fault = describe(faults); err != nil || len(faults) > 0 {
			return nil, err
		}
		return catalog.Readmit{IDs: []string{e.ID}}, nil
	})
	if err != nil {
		return out, fmt.Errorf("readmit blocks: %w", err)
	}
	return out, nil
}

// Discard takes blocks of o.Tenant out of the catalog whose samples are lost, so that queries of their days succeed again without them. Each is read before, and one that can be
// read is refused with model.ErrConflict: nothing is lost by a slip. The blocks need not be in quarantine. It is for good: the writer or merge that made them never adds them
// again. An id that is of no live block is an error that wraps model.ErrNotFound.
func Discard(ctx context.Context, c Components, o *Options, ids []string) ([]Quarantined, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("discard blocks: no block is named: %w", model.ErrInvalid)
	}
	q := quarantine{&checker{c: c, o: o.withDefaults()}}
	out, err := q.each(ctx, ids, func(p *catalog.Partition, e *catalog.Entry, b *Quarantined) (catalog.Operation, error) {
		faults, err := q.faults(ctx, p, e)
		b.Fault = describe(faults)
		switch {
		case err != nil:
			return nil, err
		case len(faults) == 0:
			return nil, fmt.Errorf("block %s can be read to its last sample; delete series instead: %w", b.Object, model.ErrConflict)
		case slices.ContainsFunc(faults, func(f Finding) bool { return f.Kind == KindVersion }):
			return nil, fmt.Errorf("block %s is of a later version, not damaged: %w", b.Object, model.ErrConflict)
		}
		return catalog.Retire{IDs: []string{e.ID}}, nil
	})
	if err != nil {
		return out, fmt.Errorf("discard blocks: %w", err)
	}
	return out, nil
}

// quarantine goes over the days of a tenant.
type quarantine struct{ *checker }

// each calls do, if it is not nil, for the blocks of the ids, or, without any, for all that are in quarantine, and commits what it returns.
func (q quarantine) each(
	ctx context.Context, ids []string, do func(*catalog.Partition, *catalog.Entry, *Quarantined) (catalog.Operation, error),
) (out []Quarantined, err error) {
	root, err := q.c.Catalog.Root(ctx, q.o.Tenant, nil)
	if err != nil {
		return nil, err
	}
	met := map[string]bool{}
	for n, day := range root.Days {
		if q.o.Day != nil && day != *q.o.Day {
			continue
		}
		p, err := q.c.Catalog.Partition(ctx, q.o.Tenant, day, nil)
		if err != nil {
			return out, err
		}
		for _, e := range p.All() {
			b, wanted := quarantinedOf(p, &e), slices.Contains(ids, e.ID)
			if !wanted && (len(ids) > 0 || b.SinceMs == 0) {
				continue
			}
			met[e.ID] = true
			var op catalog.Operation
			if do != nil {
				op, err = do(p, &e, &b)
			}
			if err == nil && op != nil {
				_, err = q.c.Catalog.Commit(ctx, q.o.Tenant, day, op)
				b.Done = err == nil
			}
			out = append(out, b)
			if err != nil {
				return out, err
			}
		}
		if q.o.Progress != nil {
			q.o.Progress(n+1, len(root.Days))
		}
	}
	for _, id := range ids {
		if !met[id] {
			return out, fmt.Errorf("tenant %s has no live block %s: %w", q.o.Tenant, id, model.ErrNotFound)
		}
	}
	return out, nil
}

// quarantinedOf says what the catalog has of a live block.
func quarantinedOf(p *catalog.Partition, e *catalog.Entry) Quarantined {
	b := Quarantined{Tenant: p.Tenant, Day: p.Day.Dashed(), ID: e.ID, Object: blocks.Key(e.Meta), Series: e.Series, Samples: e.Samples}
	if q := p.QuarantineOf(e.ID); q != nil {
		b.SinceMs, b.Reason = q.AtMs, q.Reason
	}
	return b
}

// faults reads all of a block and says why it cannot be read; nothing if it can. The error is one of the bucket.
func (q quarantine) faults(ctx context.Context, p *catalog.Partition, e *catalog.Entry) ([]Finding, error) {
	k := &checker{c: q.c, o: q.o}
	at := place{p.Tenant, p.Day, catalogKey(p.Tenant, p.Day)}
	where := at.block(e.ID, e.Format)
	if k.footer(ctx, where, e) && k.checksum(ctx, where, e) {
		k.decode(ctx, at, p, []catalog.Entry{*e})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(k.report().Findings, func(f Finding) bool { return f.Severity == Note })
	for _, f := range found {
		if f.Kind == KindRefused {
			return nil, fmt.Errorf("read block %s: %s: %w", where.object, f.What, model.ErrUnavailable)
		}
	}
	return found, nil
}

func describe(faults []Finding) string {
	var what []string
	for _, f := range faults {
		what = append(what, f.What)
	}
	return strings.Join(what, "; ")
}
