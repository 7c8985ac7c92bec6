package ingester

import (
	"fmt"

	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// replayer puts the records of one generation into a table, in the order of the log. It reuses its memory and is for one
// goroutine. No limit applies: what is in the log was acknowledged.
type replayer struct {
	table *memtable.Table
	refs  []uint32 // of the table plus 1, by ref of the log; 0 is not defined

	// One record, resolved.
	batch model.Batch
	known []uint32 // of batch.Series
	res   memtable.Resolved
}

func newReplayer(t *memtable.Table) *replayer { return &replayer{table: t} }

// maxRef bounds the refs of a log: they are dense, so a higher one is damage, and not worth its memory.
const maxRef = 1 << 30

// replay puts one record into the table.
func (r *replayer) replay(rec wal.Record) error {
	if err := r.resolve(&rec); err != nil {
		return err
	}
	r.apply()
	return nil
}

// resolve takes over a record and finds or makes its series.
func (r *replayer) resolve(rec *wal.Record) error {
	for _, d := range rec.Defs {
		ref, err := r.table.Define(rec.Tenant, d.Labels)
		if err != nil {
			return fmt.Errorf("replay: series %s of tenant %s: %w", d.Labels, rec.Tenant, err)
		}
		if d.Ref >= maxRef {
			return fmt.Errorf("replay: ref %d of segment %d: %w", d.Ref, rec.Seq, model.ErrCorrupt)
		}
		if n := int(d.Ref) + 1; n > len(r.refs) {
			r.refs = append(r.refs, make([]uint32, n-len(r.refs))...)
		}
		r.refs[d.Ref] = ref + 1
	}
	b := &r.batch
	b.Samples, b.Histograms, b.Series, r.known = b.Samples[:0], b.Histograms[:0], b.Series[:0], r.known[:0]
	last := int64(-1)
	for _, x := range rec.Samples {
		if int64(x.Ref) == last {
			b.Series[len(b.Series)-1].Count++
		} else if err := r.begin(x.Ref, rec); err != nil {
			return err
		} else {
			b.Series[len(b.Series)-1].Count = 1
		}
		last = int64(x.Ref)
		b.Samples = append(b.Samples, model.Sample{T: x.T, V: x.V})
	}
	for _, x := range rec.Histograms {
		if err := r.begin(x.Ref, rec); err != nil {
			return err
		}
		b.Series[len(b.Series)-1].HistogramCount = 1
		b.Histograms = append(b.Histograms, model.HistogramSample{T: x.T, H: x.H})
	}
	r.table.ResolveKnown(rec.Tenant, b, r.known, &r.res)
	return nil
}

// begin starts a series of the batch.
func (r *replayer) begin(ref uint32, rec *wal.Record) error {
	if int(ref) >= len(r.refs) || r.refs[ref] == 0 {
		return fmt.Errorf("replay: ref %d is used in segment %d and not defined before: %w", ref, rec.Seq, model.ErrCorrupt)
	}
	r.known = append(r.known, r.refs[ref]-1)
	r.batch.Series = append(r.batch.Series, model.BatchSeries{
		First: int32(len(r.batch.Samples)), FirstHistogram: int32(len(r.batch.Histograms)),
	})
	return nil
}

// empty reports whether the record held no samples.
func (r *replayer) empty() bool { return len(r.batch.Series) == 0 }

// apply appends the samples of the record to the table.
func (r *replayer) apply() {
	if !r.empty() {
		r.table.Append(&r.batch, &r.res)
	}
}
