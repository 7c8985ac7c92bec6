package ingester

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
	"github.com/varvedb/varve/wal"
)

// maxBatchBytes bounds one request, well below the largest record that the log takes.
const maxBatchBytes = 32 << 20

// Append implements model.Appender.
func (i *Ingester) Append(ctx context.Context, tenantName string, b *model.Batch) (model.AppendResult, error) {
	began := i.c.Now()
	r, err := i.append(ctx, tenantName, b)
	if err != nil {
		err = fmt.Errorf("append: %w", err)
	}
	i.metrics.appended(&r, err, i.c.Now().Sub(began))
	return r, err
}

func (i *Ingester) append(ctx context.Context, tenantName string, b *model.Batch) (model.AppendResult, error) {
	if err := tenant.Check(tenantName); err != nil {
		return model.AppendResult{}, fmt.Errorf("tenant %w", err)
	}
	if err := i.deletions.admit(tenantName); err != nil {
		return model.AppendResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return model.AppendResult{}, err
	}
	size := batchBytes(b)
	if err := i.admit(size); err != nil {
		return model.AppendResult{}, err
	}
	defer i.inFlight.Add(-size)

	res, _ := i.resolved.Get().(*resolved)
	if res == nil {
		res = new(resolved)
	}
	defer func() {
		res.rows.Reset() // it refers to the batch
		i.resolved.Put(res)
	}()
	w, r, err := i.logAndApply(tenantName, b, res)
	i.changes.note(tenantName, b) // after an error too: some of it may be there
	if err != nil || res.empty() {
		return r, err
	}
	if i.cfg.modeObject() {
		if err := i.awaitShipped(ctx, w); err != nil {
			return model.AppendResult{}, err
		}
	}
	return r, nil
}

// logAndApply makes the batch part of one generation: of its log, durably, and then of its memtable. It holds the generation's
// gate shared meanwhile, as any number of other requests do, so that they share their fsyncs.
func (i *Ingester) logAndApply(tenantName string, b *model.Batch, res *resolved) (*writer, model.AppendResult, error) {
	w, g, err := i.hold()
	if err != nil {
		return nil, model.AppendResult{}, err
	}
	defer g.gate.RUnlock()
	if err := res.resolve(g.table, tenantName, b, i.nowMs()); err != nil {
		return nil, model.AppendResult{}, err
	}
	r := res.result()
	if res.empty() {
		return w, r, nil
	}
	err = w.log.Append(func(e *wal.Encoder) {
		if e.Generation() != g.number {
			panic(fmt.Sprintf("bug: ingester: generation %d of the memtable is %d in the log", g.number, e.Generation()))
		}
		e.Begin(tenantName)
		encodeBatch(e, b, g.table, &res.samples)
		if !res.rows.Empty() {
			encodeBatch(e, &res.rows.Batch, g.table, &res.rows.Resolved)
		}
	})
	if err != nil {
		// Definitions may have been lost with it, so nothing more may go into this generation.
		g.broken.Store(true)
		i.sealedWake.signal()
		return nil, model.AppendResult{}, unavailable("log", err)
	}
	g.table.Append(b, &res.samples)
	if !res.rows.Empty() {
		g.table.Append(&res.rows.Batch, &res.rows.Resolved)
	}
	i.wakeIfLarge(w, g, &r)
	return w, r, nil
}

// resolved is a batch with its series, and what it says beside samples, found or made.
type resolved struct {
	samples memtable.Resolved
	rows    memtable.Rows
}

func (r *resolved) resolve(t *memtable.Table, tenantName string, b *model.Batch, nowMs int64) error {
	if err := t.Resolve(tenantName, b, &r.samples); err != nil {
		return err
	}
	if len(b.Exemplars)+len(b.Metadata) == 0 {
		r.rows.Reset()
		return nil
	}
	return t.ResolveRows(tenantName, b, nowMs, &r.rows)
}

// empty reports whether there is nothing to log.
func (r *resolved) empty() bool { return r.samples.Samples+r.samples.Histograms == 0 && r.rows.Empty() }

func (r *resolved) result() model.AppendResult {
	s := &r.samples
	return model.AppendResult{
		Samples: s.Samples, Histograms: s.Histograms, Rejected: s.Rejected, RejectedSamples: s.RejectedSamples, Reasons: s.Reasons,
		Exemplars: r.rows.Exemplars, DroppedExemplars: r.rows.DroppedExemplars, DroppedMetadata: r.rows.DroppedMetadata,
	}
}

// hold returns the active generation with its gate held shared.
func (i *Ingester) hold() (*writer, *generation, error) {
	for {
		i.mu.Lock()
		w, g, err := i.w, i.w.active, i.readyLocked()
		i.mu.Unlock()
		if err != nil {
			return nil, nil, err
		}
		g.gate.RLock()
		if !g.closed && !g.broken.Load() {
			return w, g, nil
		}
		g.gate.RUnlock()
		if g.broken.Load() {
			return nil, nil, fmt.Errorf("the log is being put right after a failure: %w", model.ErrUnavailable)
		}
		// Rotated, or fenced: both are visible under i.mu by now or in a moment.
	}
}

// encodeBatch writes the batch to the record that has begun, with the definitions that the log of this generation lacks. It runs under the
// encoder's mutex, which is what makes "defined before used" true in the order of the log.
func encodeBatch(e *wal.Encoder, b *model.Batch, table *memtable.Table, res *memtable.Resolved) {
	for k, ref := range res.Refs {
		if ref == memtable.NoSeries {
			continue
		}
		if table.LogOnce(ref) {
			e.Define(ref, table.Labels(ref))
		}
		bs := &b.Series[k]
		for _, x := range b.Samples[bs.First : bs.First+bs.Count] {
			e.Sample(ref, x.T, x.V)
		}
		for _, h := range b.Histograms[bs.FirstHistogram : bs.FirstHistogram+bs.HistogramCount] {
			e.Histogram(ref, h.T, h.H)
		}
	}
}

// wakeIfLarge has the generation rotated, or the log shipped, before their time if they have grown large.
func (i *Ingester) wakeIfLarge(w *writer, g *generation, r *model.AppendResult) {
	if i.large(g.table) {
		i.sealedWake.signal()
	}
	const loggedBytes = 8 // per sample, about
	if w.ships.Load() && w.unshipped.Add(int64(r.Samples+r.Histograms)*loggedBytes) >= i.cfg.SegmentBytes {
		i.shipWake.signal()
	}
}
