package ingester

import (
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// relogger turns the records of one generation back into batches, for who logs them again before they go into a table. It reuses its memory
// and is for one goroutine. No limit applies.
type relogger struct {
	refs refs

	// One record, resolved.
	batch model.Batch
	known []uint32 // of batch.Series
	res   memtable.Resolved
}

func newRelogger(t *memtable.Table) *relogger { return &relogger{refs: refs{table: t}} }

// resolve takes over a record and finds or makes its series.
func (r *relogger) resolve(rec *wal.Record) error {
	if err := r.refs.define(rec); err != nil {
		return err
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
	r.refs.table.ResolveKnown(rec.Tenant, b, r.known, &r.res)
	return nil
}

// begin starts a series of the batch.
func (r *relogger) begin(ref uint32, rec *wal.Record) error {
	found, ok := r.refs.find(ref)
	if !ok {
		return undefined(rec, ref)
	}
	r.known = append(r.known, found)
	r.batch.Series = append(r.batch.Series, model.BatchSeries{
		First: int32(len(r.batch.Samples)), FirstHistogram: int32(len(r.batch.Histograms)),
	})
	return nil
}

// empty reports whether the record held no samples.
func (r *relogger) empty() bool { return len(r.batch.Series) == 0 }

// apply appends the samples of the record to the table.
func (r *relogger) apply() { r.refs.table.Append(&r.batch, &r.res) }
