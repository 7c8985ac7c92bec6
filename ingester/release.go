package ingester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/wal"
)

// ReleaseStep lets go of generations whose blocks are all in their catalogs, with all earlier ones: first in the roster, then the writer
// file's floor, then the local log and block files. Shipped segments whose grace is over are deleted. Each part
// that fails is done by the next call, also after a restart.
func (i *Ingester) ReleaseStep(ctx context.Context) (progress bool, err error) {
	if err := i.releasing.take(ctx); err != nil {
		return false, err
	}
	defer i.releasing.give()
	w := i.current()
	released, err := i.release(ctx, w)
	if err == nil {
		err = i.sweep(w)
	}
	deleted, derr := i.deleteShipped(ctx)
	return released || deleted, errors.Join(err, derr)
}

// release raises the roster's released generation and the floor.
func (i *Ingester) release(ctx context.Context, w *writer) (bool, error) {
	gen := i.completePrefix(w)
	if gen == 0 {
		return false, nil
	}
	roster, err := i.c.Catalog.SetReleased(ctx, w.id, gen)
	if err != nil {
		return false, fmt.Errorf("release generation %d: %w", gen, err)
	}
	// An adopted writer's entry is raised no less truly, but it must move before it acknowledges more.
	if e := roster.Find(w.id); e != nil && e.State == catalog.Adopted {
		i.fencedAt(w, position{})
		return false, errFenced
	}
	waiting := i.waitForGrace(w, gen)
	err = i.changeFile(func(f *writerFile) {
		f.Floor = max(f.Floor, gen+1)
		f.Shipped = append(f.Shipped, waiting...)
	})
	if err != nil {
		return false, fmt.Errorf("release generation %d: %w", gen, err)
	}
	i.mu.Lock()
	for len(w.older) > 0 && w.older[0].number <= gen {
		w.older = w.older[1:]
	}
	i.mu.Unlock()
	i.c.Logger.Debug("generations released", "writer", w.id, "through", gen)
	return true, nil
}

// completePrefix returns the highest generation that is complete with all before it, 0 if there is none.
func (i *Ingester) completePrefix(w *writer) (gen uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, g := range w.older {
		if g.stage != complete {
			break
		}
		gen = g.number
	}
	return gen
}

// waitForGrace lists the shipped generations up to gen that are being released.
func (i *Ingester) waitForGrace(w *writer, gen uint64) []shippedGeneration {
	if !w.ships.Load() {
		return nil
	}
	var out []shippedGeneration
	for _, s := range w.log.Segments() {
		if s.Generation > gen {
			break
		}
		if n := len(out); n == 0 || out[n-1].Generation != s.Generation {
			out = append(out, shippedGeneration{Writer: w.id, Generation: s.Generation, ReleasedMs: i.nowMs()})
		}
		out[len(out)-1].Segments = s.Seq + 1
	}
	return out
}

// sweep removes the log and the block files below the floor.
func (i *Ingester) sweep(w *writer) error {
	i.mu.Lock()
	floor, swept := i.file.Floor, w.swept
	i.mu.Unlock()
	if floor <= swept {
		return nil
	}
	// The log goes first: blocks without a log are removed at the next start, a log without blocks would be replayed.
	if err := w.log.Release(floor - 1); err != nil {
		return fmt.Errorf("release log below generation %d: %w", floor, err)
	}
	if err := i.removeBlocks(w.id, floor); err != nil {
		return fmt.Errorf("remove blocks below generation %d: %w", floor, err)
	}
	i.mu.Lock()
	w.swept = floor
	i.mu.Unlock()
	return nil
}

// removeBlocks removes the block files of the writer's generations below floor.
func (i *Ingester) removeBlocks(writer string, floor uint64) error {
	dir := blocksDir(i.c.Dir, writer)
	entries, err := i.c.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		gen, err := strconv.ParseUint(e.Name(), 10, 64)
		if err != nil || gen >= floor {
			continue
		}
		if err := i.c.FS.RemoveAll(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// deleteShipped deletes the segments of released generations from the bucket once their grace is over: until then a detached reader with an
// older roster may be reading them.
func (i *Ingester) deleteShipped(ctx context.Context) (bool, error) {
	i.mu.Lock()
	waiting := i.file.Shipped
	i.mu.Unlock()
	graceMs := i.cfg.SegmentGrace.Milliseconds()
	n := 0
	for _, s := range waiting {
		if i.nowMs()-s.ReleasedMs < graceMs {
			break
		}
		keys := make([]string, 0, s.Segments)
		for seq := range s.Segments {
			keys = append(keys, wal.SegmentKey(s.Writer, s.Generation, seq))
		}
		if err := i.c.Bucket.Delete(ctx, keys...); err != nil {
			return false, fmt.Errorf("delete shipped segments of generation %d: %w", s.Generation, err)
		}
		n++
	}
	if n == 0 {
		return false, nil
	}
	if err := i.changeFile(func(f *writerFile) { f.Shipped = f.Shipped[n:] }); err != nil {
		return false, fmt.Errorf("forget deleted segments: %w", err)
	}
	return true, nil
}
