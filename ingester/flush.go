package ingester

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/model"
)

// FlushStep does one unit of flushing: it builds the blocks of one generation, or commits one
// partition. It reports whether there was anything it could do.
func (i *Ingester) FlushStep(ctx context.Context) (progress bool, err error) {
	progress, buildErr := i.BuildStep(ctx)
	if progress {
		return true, nil
	}
	progress, err = i.commitStep(ctx, 1, true)
	return progress, errors.Join(buildErr, err)
}

// Flush ends the active generation and returns when everything acknowledged before the call is in the catalog. It does the work
// itself, beside Run if that is running. An error means that something may be missing there, and is safe where it was.
func (i *Ingester) Flush(ctx context.Context) error {
	if i.closing.Load() {
		return fmt.Errorf("flush: ingester is closed: %w", model.ErrUnavailable)
	}
	err := i.flush(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, model.ErrCorrupt), errors.Is(err, model.ErrVersion):
		return fmt.Errorf("flush: %w", err)
	}
	// A bucket that is missing or forbids something is not the caller's fault.
	return unavailable("flush", err)
}

func (i *Ingester) flush(ctx context.Context) error {
	if _, err := i.EnterStep(ctx); err != nil {
		return err
	}
	if err := i.Rotate(ctx); err != nil {
		return err
	}
	target := i.current()
	last := i.lastSealed(target)
	for !i.completeThrough(target, last) {
		if _, err := i.BuildStep(ctx); err != nil {
			return err
		}
		if _, err := i.Ship(ctx); err != nil {
			return err
		}
		if _, err := i.commitStep(ctx, i.cfg.FlushParallel, true); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if i.current() != target {
			return errFenced
		}
	}
	_, err := i.ReleaseStep(ctx)
	return err
}

func (i *Ingester) lastSealed(w *writer) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return w.active.number - 1
}

// completeThrough reports whether no generation up to last waits for a commit.
func (i *Ingester) completeThrough(w *writer, last uint64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, g := range w.older {
		if g.number <= last && g.stage != complete {
			return false
		}
	}
	return true
}

// due is a partition that may be committed now.
type due struct {
	g *generation
	p *partition
}

// commitStep uploads and commits up to n partitions at one time. With force, those that failed lately are tried too.
func (i *Ingester) commitStep(ctx context.Context, n int, force bool) (progress bool, err error) {
	if err := i.committing.take(ctx); err != nil {
		return false, err
	}
	defer i.committing.give()
	w := i.current()
	if err := i.mayCommit(w); err != nil {
		return false, err
	}
	todo := i.dueCommits(w, n, force)
	errs := make([]error, len(todo))
	if n == 1 {
		for k, d := range todo {
			errs[k] = i.commitPartition(ctx, w, d)
		}
	} else {
		var wg sync.WaitGroup
		for k, d := range todo {
			wg.Go(func() { errs[k] = i.commitPartition(ctx, w, d) })
		}
		wg.Wait()
	}
	i.mu.Lock()
	for k, d := range todo {
		d.p.retry.note(errs[k], i.nowMs(), i.cfg.RetryFirst, i.cfg.RetryLongest)
		d.p.failure = errs[k]
		progress = progress || errs[k] == nil
	}
	i.mu.Unlock()
	return i.markComplete(w) || progress, errors.Join(errs...)
}

func (i *Ingester) mayCommit(w *writer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case w.fenced:
		return errFenced
	case !i.file.Registered:
		for _, g := range w.older {
			if len(g.partitions) > 0 {
				return fmt.Errorf("commit: writer %s is not in the roster yet: %w", w.id, model.ErrUnavailable)
			}
		}
	}
	return nil
}

// dueCommits returns up to n partitions that may be committed: their generation's end mark is placed, and no earlier generation
// has samples of the same partition still to be committed.
func (i *Ingester) dueCommits(w *writer, n int, force bool) []due {
	i.mu.Lock()
	defer i.mu.Unlock()
	held := map[partitionKey]bool{}
	var todo []due
	for _, g := range commitOrder(w.older) {
		if g.stage < built || !i.endMarkPlaced(w, g) {
			break
		}
		for _, p := range g.partitions {
			switch {
			case p.committed || len(todo) == n:
			case held[p.key]:
			case !force && !p.retry.due(i.nowMs()):
				held[p.key] = true
			default:
				held[p.key] = true
				todo = append(todo, due{g, p})
			}
		}
	}
	return todo
}

// commitOrder is ascending: a catalog that has seen a generation of a writer takes no earlier one.
func commitOrder(older []*generation) []*generation {
	if !planted.On(planted.CommitOutOfOrder) {
		return older
	}
	var reversed []*generation
	for k := len(older) - 1; k >= 0; k-- {
		if older[k].stage >= built {
			reversed = append(reversed, older[k])
		}
	}
	return reversed
}

// endMarkPlaced reports whether nothing can be added to the generation any more, by us or by an adopter's fence within it. A
// sealed generation's end mark is fsynced; if the log is shipped it must be in the bucket too. i.mu is held.
func (i *Ingester) endMarkPlaced(w *writer, g *generation) bool {
	if !w.ships.Load() || planted.On(planted.CommitBeforeEndMark) {
		return true
	}
	return w.located && g.number < w.next.gen
}

// commitPartition uploads one block and commits it, then takes it out of what queries see here.
func (i *Ingester) commitPartition(ctx context.Context, w *writer, d due) error {
	c := i.committer()
	flushed := false
	var err error
	if d.g.recovered {
		if flushed, err = c.flushed(ctx, d.p.key, w.id, d.g.number); err != nil {
			return fmt.Errorf("commit %s %s of generation %d: %w", d.p.key.tenant, d.p.key.day, d.g.number, err)
		}
	}
	if !flushed && !i.deletions.isGone(d.p.key.tenant) {
		b := block{d.p.block.meta, d.p.block.bytes()}
		_, err = c.commit(ctx, b, &d.p.upload, func(ctx context.Context, attempt uint32) (block, error) {
			if err := i.rebuild(ctx, d.g, d.p, attempt); err != nil {
				return block{}, err
			}
			return block{d.p.block.meta, d.p.block.bytes()}, nil
		})
		if err != nil {
			return fmt.Errorf("commit %s %s of generation %d: %w", d.p.key.tenant, d.p.key.day, d.g.number, err)
		}
	}
	i.metrics.committed.Inc()
	i.mu.Lock()
	d.p.committed = true
	i.mu.Unlock()
	i.letGo(d.p.block)
	return nil
}

func (i *Ingester) committer() *committer {
	return &committer{bucket: i.c.Bucket, catalog: i.c.Catalog, nowMs: i.nowMs, deleted: i.deletions.found}
}

// markComplete moves on the generations whose partitions are all committed, and reports whether there was one.
func (i *Ingester) markComplete(w *writer) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	moved := false
	for _, g := range w.older {
		if g.stage != built || !i.endMarkPlaced(w, g) {
			continue
		}
		done := true
		for _, p := range g.partitions {
			done = done && p.committed
		}
		if done || planted.On(planted.ReleaseBeforeCommit) {
			g.stage = complete
			moved = true
		}
	}
	return moved
}
