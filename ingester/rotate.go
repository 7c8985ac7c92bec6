package ingester

import (
	"context"
	"fmt"
)

// Rotate ends the active generation and begins the next one. A generation that holds nothing and is not broken is left alone.
func (i *Ingester) Rotate(ctx context.Context) error {
	if err := i.rotating.take(ctx); err != nil {
		return err
	}
	defer i.rotating.give()
	return i.rotate()
}

// RotateStep rotates if it is due: the generation is broken, too old, or too big.
func (i *Ingester) RotateStep(ctx context.Context) (progress bool, err error) {
	if err := i.rotating.take(ctx); err != nil {
		return false, err
	}
	defer i.rotating.give()
	if !i.rotationDue() {
		return false, nil
	}
	if err := i.rotate(); err != nil {
		return false, err
	}
	return true, nil
}

// rotationDue looks at the active generation.
func (i *Ingester) rotationDue() bool {
	i.mu.Lock()
	w := i.w
	g, table := w.active, w.active.table
	i.mu.Unlock()
	switch {
	case g.broken.Load():
		return true
	case samplesOf(table) == 0:
		return false
	case i.nowMs()-g.startedMs >= i.cfg.RotateAfter.Milliseconds():
		return true
	case i.large(table):
		return true
	}
	return i.cfg.DetachedReaders && i.detachedDue(w, g.number)
}

// maxDetachedSegments is how many segments of one generation a detached querier should have to fetch.
const maxDetachedSegments = 64

// detachedDue reports whether the log of the generation has become as long as detached queriers read.
func (i *Ingester) detachedDue(w *writer, gen uint64) bool {
	var segments, size int64
	for _, s := range w.log.Segments() {
		if s.Generation == gen {
			segments++
			size += s.Bytes
		}
	}
	return segments >= maxDetachedSegments || size >= i.cfg.GenerationBytes
}

// rotate seals the active generation. The caller has the turn. Requests wait at the gate for the fsyncs of the end mark; queries wait for
// nothing. On an error the generation stays active and takes no more requests, because the log is broken then.
func (i *Ingester) rotate() error {
	i.mu.Lock()
	w := i.w
	g := w.active
	fenced := w.fenced
	i.mu.Unlock()
	if fenced {
		return errFenced
	}

	g.gate.Lock()
	defer g.gate.Unlock()
	if samplesOf(g.table) == 0 && !g.broken.Load() {
		return nil
	}
	if err := w.log.EndGeneration(); err != nil {
		g.broken.Store(true)
		return fmt.Errorf("rotate generation %d: %w", g.number, err)
	}
	g.closed = true
	g.table.Seal()
	i.freshNames(g.table)
	next := i.newGeneration(w.log.Generation())
	i.mu.Lock()
	i.retireLocked(g)
	w.active = next
	if next.number > g.number { // else nothing ever reached its log, and the number is still to be used
		g.stage = sealed
		w.older = append(w.older, g)
	}
	i.mu.Unlock()
	i.metrics.rotations.Inc()
	i.c.Logger.Debug("generation sealed", "writer", w.id, "generation", g.number, "samples", samplesOf(g.table), "bytes", g.table.Bytes())
	i.sealedWake.signal()
	i.shipWake.signal()
	return nil
}
