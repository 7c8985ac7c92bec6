package ingester

import (
	"fmt"

	"github.com/varvedb/varve/model"
)

// admit reserves room for a request, or says why there is none. The caller gives size back to inFlight.
func (i *Ingester) admit(size int64) error {
	if size > maxBatchBytes {
		return fmt.Errorf("request of %d bytes, at most %d, send smaller batches: %w", size, maxBatchBytes, model.ErrInvalid)
	}
	if n := i.inFlight.Add(size); n > i.cfg.MaxInFlightBytes && n > size {
		i.inFlight.Add(-size)
		return fmt.Errorf("%d bytes of requests are being written, at most %d: %w", n-size, i.cfg.MaxInFlightBytes, model.ErrUnavailable)
	}
	err := i.roomFor()
	if err != nil {
		i.inFlight.Add(-size)
	}
	return err
}

// roomFor looks at the memory of all memtables and at what waits for the bucket.
func (i *Ingester) roomFor() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.readyLocked(); err != nil {
		return err
	}
	if held := i.w.memoryLocked(); held >= i.cfg.MemoryBytes {
		i.sealedWake.signal()
		return fmt.Errorf("memtables hold %d bytes, at most %d, until a flush has made room: %w", held, i.cfg.MemoryBytes, model.ErrUnavailable)
	}
	return i.waitingLocked()
}

// waitingLocked refuses while more waits for the bucket than may: on the disk, and in object mode of the log. Ingester.mu is held.
func (i *Ingester) waitingLocked() error {
	if limit := i.cfg.DiskBytes; limit > 0 {
		if held := i.w.diskLocked(); held >= limit {
			i.builtWake.signal()
			return fmt.Errorf("log and blocks in the data directory hold %d bytes, at most %d, until the bucket has taken them: %w",
				held, limit, model.ErrUnavailable)
		}
	}
	if i.cfg.modeObject() {
		if waiting := i.w.unshipped.Load(); waiting >= i.cfg.MaxUnshippedBytes {
			i.shipWake.signal()
			return fmt.Errorf("%d bytes of log wait for the bucket, at most %d: %w", waiting, i.cfg.MaxUnshippedBytes, model.ErrUnavailable)
		}
	}
	return nil
}

// memoryLocked is what the memtables hold, the names that they share counted once. Ingester.mu is held.
func (w *writer) memoryLocked() int64 {
	names := w.active.table.Names()
	held := names.Bytes() + w.active.table.Bytes()
	for _, g := range w.older {
		if g.table == nil {
			continue
		}
		held += g.table.Bytes()
		if n := g.table.Names(); n != names {
			names = n
			held += n.Bytes()
		}
	}
	return held
}

// diskLocked is what the log and the blocks of generations that are not released take on the disk. Ingester.mu is held.
func (w *writer) diskLocked() int64 {
	held := w.log.Bytes()
	for _, g := range w.older {
		for _, p := range g.partitions {
			held += p.block.meta.Size
		}
	}
	return held
}

// batchBytes is about the memory that a request takes on its way.
func batchBytes(b *model.Batch) int64 {
	n := int64(len(b.Samples)) * 16
	for k := range b.Series {
		n += int64(len(b.Series[k].Key)) + 16
	}
	for k := range b.Histograms {
		n += int64(len(b.Histograms[k].H)) + 32
	}
	for k := range b.Exemplars {
		n += int64(len(b.Exemplars[k].Row)) + 64
	}
	for k := range b.Metadata {
		n += int64(len(b.Metadata[k].Row)) + 64
	}
	return n
}
