package ingester

import (
	"fmt"

	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// replayer puts the records of one generation into a table, in the order of the log. They are all there after flush. It reuses its memory
// and is for one goroutine. No limit applies: what is in the log was acknowledged.
type replayer struct {
	refs refs
	bulk *memtable.Bulk
}

func newReplayer(t *memtable.Table) *replayer {
	return &replayer{refs: refs{table: t}, bulk: memtable.NewBulk(t)}
}

// replay takes over one record.
func (r *replayer) replay(rec wal.Record) error {
	if err := r.refs.define(&rec); err != nil {
		return err
	}
	r.bulk.Tenant(rec.Tenant)
	for _, x := range rec.Samples {
		ref, ok := r.refs.find(x.Ref)
		if !ok {
			return undefined(&rec, x.Ref)
		}
		r.bulk.Float(ref, x.T, x.V)
	}
	for _, x := range rec.Histograms {
		ref, ok := r.refs.find(x.Ref)
		if !ok {
			return undefined(&rec, x.Ref)
		}
		r.bulk.Histogram(ref, x.T, x.H)
	}
	return nil
}

// flush puts what was taken over into the table.
func (r *replayer) flush() { r.bulk.Flush() }

// refs leads from the refs of a log to those of a table.
type refs struct {
	table *memtable.Table
	known []uint32 // of the table plus 1, by ref of the log; 0 is not defined
}

// maxRef bounds the refs of a log: they are dense, so a higher one is damage, and not worth its memory.
const maxRef = 1 << 30

// define finds or makes the series that a record defines.
func (r *refs) define(rec *wal.Record) error {
	for _, d := range rec.Defs {
		ref, err := r.table.Define(rec.Tenant, d.Labels)
		if err != nil {
			return fmt.Errorf("replay: series %s of tenant %s: %w", d.Labels, rec.Tenant, err)
		}
		if d.Ref >= maxRef {
			return fmt.Errorf("replay: ref %d of segment %d: %w", d.Ref, rec.Seq, model.ErrCorrupt)
		}
		if n := int(d.Ref) + 1; n > len(r.known) {
			r.known = append(r.known, make([]uint32, n-len(r.known))...)
		}
		r.known[d.Ref] = ref + 1
	}
	return nil
}

// find returns the table's ref; false if the log did not define it.
func (r *refs) find(ref uint32) (uint32, bool) {
	if int(ref) >= len(r.known) || r.known[ref] == 0 {
		return 0, false
	}
	return r.known[ref] - 1, true
}

func undefined(rec *wal.Record, ref uint32) error {
	return fmt.Errorf("replay: ref %d is used in segment %d and not defined before: %w", ref, rec.Seq, model.ErrCorrupt)
}
