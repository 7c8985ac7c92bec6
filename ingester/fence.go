package ingester

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// FenceStep moves a fenced writer to a new id: what lies before the fence is flushed under the old id, by the adopter or by us; what
// lies behind it is logged again under the new one, whatever the catalogs say was flushed of the old. Until it has succeeded no write is accepted,
// and queries see what they saw before. It can be repeated after any failure, also by the next process.
func (i *Ingester) FenceStep(ctx context.Context) (progress bool, err error) {
	i.mu.Lock()
	fenced := i.w.fenced
	i.mu.Unlock()
	if !fenced {
		return false, nil
	}
	turns := []turn{i.control, i.rotating, i.shipping, i.building, i.committing, i.releasing}
	for n, t := range turns {
		if err := t.take(ctx); err != nil {
			for _, t := range turns[:n] {
				t.give()
			}
			return false, err
		}
	}
	defer func() {
		for _, t := range turns {
			t.give()
		}
	}()
	i.mu.Lock()
	old := i.w
	fenced = old.fenced
	i.mu.Unlock()
	if !fenced {
		return false, nil
	}
	if err := i.move(ctx, old); err != nil {
		return false, fmt.Errorf("move from adopted writer %s: %w", old.id, err)
	}
	return true, nil
}

// move does the work of FenceStep. The caller has all turns, so only requests, which it drains, and queries are under way.
func (i *Ingester) move(ctx context.Context, old *writer) error {
	old.active.gate.Lock()
	old.active.closed = true
	old.active.gate.Unlock()

	fence, err := i.findFence(ctx, old)
	if err != nil {
		return err
	}
	id, err := i.chooseNext()
	if err != nil {
		return err
	}
	// The new id is in the roster before the old one can be marked as adopted, so that queries never miss us.
	if err := i.register(ctx, id, true); err != nil {
		if errors.Is(err, model.ErrConflict) {
			// Somebody adopted the new id before it was ours: nothing that counts was logged under it, so the next try takes another.
			err = errors.Join(err, i.changeFile(func(f *writerFile) { f.Next = "" }))
		}
		return err
	}
	// And whoever finds the old one adopted can find out who has what its adopter did not. A delete goes by that.
	if err := i.c.Catalog.PutMoved(ctx, old.id, id); err != nil {
		return err
	}
	if _, err := adopt(ctx, old.id, id, i.c); err != nil {
		return err
	}
	w, err := i.reingest(ctx, old, fence, id)
	if err != nil {
		return err
	}
	if err := i.changeFile(func(f *writerFile) {
		f.ID, f.Next, f.Registered, f.Shipping, f.Floor = id, "", true, true, 1
	}); err != nil {
		// The file may say either id now, so the new log stays until chooseNext has written the file again.
		return errors.Join(err, i.closeWriter(w))
	}
	i.swap(w)
	i.c.Logger.Info("moved to a new writer id", "old", old.id, "new", id, "generation", fence.gen, "seq", fence.seq)
	if err := i.discard(old); err != nil {
		// The next start removes what is left.
		i.c.Logger.Warn("log of the old writer id is not quite removed", "writer", old.id, "err", err)
	}
	return nil
}

// findFence returns the position of the fence: of the last one at or behind the local log. Nothing is put behind a fence, but before it there may be others, left by
// adopters that stood still while this adoption was finished and what lies before its fence was collected, and then took the gap for the end of the log. So the
// search begins at the end, and goes no further down than to a fence that was met by shipping, which may be one of those.
func (i *Ingester) findFence(ctx context.Context, w *writer) (position, error) {
	i.mu.Lock()
	met := w.fence
	i.mu.Unlock()
	places := append(localPositions(w.log), i.behindLog(w))
	for n := len(places) - 1; n >= 0 && met.before(places[n]); n-- {
		there, err := i.isFence(ctx, w, places[n])
		if err != nil {
			return position{}, fmt.Errorf("look for the fence: %w", err)
		}
		if there {
			met = places[n]
			break
		}
	}
	if met == (position{}) {
		return position{}, fmt.Errorf("the roster says that it was adopted, but no fence lies at or behind its local log: "+
			"is the data directory an old copy?: %w", model.ErrCorrupt)
	}
	i.mu.Lock()
	w.fence = met
	i.mu.Unlock()
	return met, nil
}

// isFence reports whether a fence lies there. Segments before it may have been collected.
func (i *Ingester) isFence(ctx context.Context, w *writer, p position) (bool, error) {
	key := wal.SegmentKey(w.id, p.gen, p.seq)
	data, _, err := i.c.Bucket.Get(ctx, key)
	if errors.Is(err, model.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := wal.ParseSegment(data, nil)
	if err != nil {
		return false, fmt.Errorf("%s: %w", key, err)
	}
	return s.Fence, nil
}

// chooseNext makes the next id durable before anything is written under it, and reuses the one of an earlier try. It writes the
// file in any case: if an earlier try failed while switching the file, only this makes sure that a crash finds the old id, and the move not yet made.
func (i *Ingester) chooseNext() (string, error) {
	i.mu.Lock()
	id := i.file.Next
	i.mu.Unlock()
	if id == "" {
		var err error
		if id, err = newWriterID(i.c.Rand); err != nil {
			return "", err
		}
	}
	return id, i.changeFile(func(f *writerFile) { f.Next = id })
}

// reingest logs everything from the fence on under the new id, one generation for one, and builds the memtables or blocks of it.
func (i *Ingester) reingest(ctx context.Context, old *writer, fence position, id string) (w *writer, err error) {
	if err := removeWriter(i.c.FS, i.c.Dir, id); err != nil {
		return nil, err
	}
	log, err := i.openLog(id)
	if err != nil {
		return nil, err
	}
	w = &writer{id: id, log: log, located: true, next: position{1, 0}}
	w.ships.Store(true)
	defer func() {
		if err != nil {
			err = errors.Join(err, i.closeWriter(w))
		}
	}()
	for _, gen := range generationsOf(old.log) {
		if gen < fence.gen {
			continue
		}
		if err := i.reingestGeneration(ctx, old, fence, gen, w); err != nil {
			return w, fmt.Errorf("generation %d: %w", gen, err)
		}
	}
	w.active = i.newGeneration(w.log.Generation())
	return w, nil
}

func (i *Ingester) reingestGeneration(ctx context.Context, old *writer, fence position, gen uint64, w *writer) error {
	g := i.newGeneration(w.log.Generation())
	r := newRelogger(g.table)
	from := position{gen, 0}
	if gen == fence.gen {
		from = fence
	}
	err := old.log.Replay(ctx, gen, from.seq, func(rec wal.Record) error {
		if err := r.resolve(&rec); err != nil || r.empty() {
			return err
		}
		if err := w.log.Append(func(e *wal.Encoder) {
			e.Begin(rec.Tenant)
			encodeBatch(e, &r.batch, g.table, &r.res)
		}); err != nil {
			return err
		}
		r.apply()
		return nil
	})
	if err != nil || samplesOf(g.table) == 0 {
		return err
	}
	if err := w.log.EndGeneration(); err != nil {
		return err
	}
	g.closed = true
	g.table.Seal()
	g.stage = sealed
	w.older = append(w.older, g)
	return i.makeRoom(ctx, w)
}

// makeRoom builds the blocks of sealed generations while their memtables hold more than a third of the memory.
func (i *Ingester) makeRoom(ctx context.Context, w *writer) error {
	var held int64
	for _, g := range w.older {
		if g.table != nil {
			held += g.table.Bytes()
		}
	}
	for _, g := range w.older {
		if held <= i.cfg.MemoryBytes/3 {
			return nil
		}
		if g.table == nil {
			continue
		}
		held -= g.table.Bytes()
		if err := i.build(ctx, w, g); err != nil {
			return fmt.Errorf("build blocks of generation %d: %w", g.number, err)
		}
	}
	return nil
}

// swap puts the new writer in place of the old one for writes and queries at once.
func (i *Ingester) swap(w *writer) {
	i.mu.Lock()
	i.retireLocked(i.w.active)
	i.w, i.entered = w, true
	i.mu.Unlock()
	i.sealedWake.signal()
	i.shipWake.signal()
}

// discard removes the files of a writer that is no longer the current one.
func (i *Ingester) discard(w *writer) error {
	return errors.Join(i.closeWriter(w), removeWriter(i.c.FS, i.c.Dir, w.id))
}

// closeWriter lets go of a writer's open and mapped files.
func (i *Ingester) closeWriter(w *writer) error {
	i.mu.Lock()
	var pinned []*localBlock
	for _, g := range w.older {
		pinned = append(pinned, g.done...)
		for _, p := range g.partitions {
			if !p.committed {
				pinned = append(pinned, p.block)
			}
		}
		g.partitions, g.done = nil, nil
	}
	i.mu.Unlock()
	return errors.Join(unpinAll(pinned), w.log.Close())
}

// removeWriter removes all local files of a writer id.
func removeWriter(fsys vfs.FS, dir, id string) error {
	for _, sub := range []string{path.Join(dir, "wal"), path.Join(dir, "blocks")} {
		if err := removeChild(fsys, sub, id); err != nil {
			return err
		}
	}
	return nil
}
