package ingester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/wal"
)

// recover makes everything in the data directory readable again: generations with a manifest from their block files, the others from
// the log. Whether the catalog has parts of it already is found out when they are committed.
func (i *Ingester) recover(ctx context.Context) error {
	file, err := loadWriterFile(i.c.FS, i.c.Dir, i.c.Rand)
	if err != nil {
		return err
	}
	i.file = file
	// What is left of other ids: a move that did not get to its end begins again, or one that did not quite clean up.
	for _, sub := range []string{"wal", "blocks"} {
		if err := removeOthers(i.c.FS, path.Join(i.c.Dir, sub), file.ID); err != nil {
			return err
		}
	}
	log, err := i.openLog(file.ID)
	if err != nil {
		return err
	}
	w := &writer{id: file.ID, log: log}
	w.ships.Store(file.Shipping)
	i.wantsShipping = i.cfg.ships(i.c.Bucket.Scheme(), file.Shipping)
	i.w = w
	if err := i.recoverWriter(ctx, w); err != nil {
		return errors.Join(err, i.closeWriter(w))
	}
	return nil
}

// openLog opens the log of the current id, or of the next one.
func (i *Ingester) openLog(id string) (*wal.Log, error) {
	first := uint64(1)
	if id == i.file.ID {
		first = i.file.Floor
	}
	return wal.Open(timedFS{i.c.FS, i.c.Now, i.metrics.fsyncSeconds}, i.c.Dir, id, &wal.Options{SegmentBytes: i.cfg.SegmentBytes, FirstGeneration: first})
}

func (i *Ingester) recoverWriter(ctx context.Context, w *writer) error {
	if err := i.sweep(w); err != nil {
		return err
	}
	for _, gen := range generationsOf(w.log) {
		g, err := i.recoverGeneration(ctx, w, gen)
		if err != nil {
			return fmt.Errorf("recover generation %d: %w", gen, err)
		}
		w.older = append(w.older, g)
		if err := i.makeRoom(ctx, w); err != nil {
			return err
		}
	}
	// A generation that was replayed is ended, never appended to: what it holds may be on its way into blocks.
	if !planted.On(planted.AppendToReplayed) {
		if err := w.log.EndGeneration(); err != nil {
			return err
		}
	}
	w.active = i.newGeneration(w.log.Generation())
	return nil
}

// generationsOf lists the generations that have local segments, ascending.
func generationsOf(log *wal.Log) (gens []uint64) {
	for _, s := range log.Segments() {
		if n := len(gens); n == 0 || gens[n-1] != s.Generation {
			gens = append(gens, s.Generation)
		}
	}
	return gens
}

// newGeneration returns an empty generation.
func (i *Ingester) newGeneration(number uint64) *generation {
	return &generation{number: number, stage: active, startedMs: i.nowMs(), table: memtable.New(&i.cfg.Memtable, i.names.Load())}
}

func (i *Ingester) recoverGeneration(ctx context.Context, w *writer, gen uint64) (*generation, error) {
	g := i.newGeneration(gen)
	g.closed, g.recovered = true, true
	bs, ok, why := loadBlocks(ctx, i.c.FS, generationDir(i.c.Dir, w.id, gen))
	if why != nil {
		i.c.Logger.Warn("local blocks cannot be used, replaying the log instead", "generation", gen, "err", why)
	}
	if ok {
		for _, b := range bs {
			g.partitions = append(g.partitions, &partition{key: partitionKey{b.meta.Tenant, b.meta.Day}, block: b})
		}
		g.stage, g.table = built, nil
		return g, nil
	}
	r := newReplayer(g.table)
	err := w.log.Replay(ctx, gen, 0, r.replay)
	if err != nil {
		return nil, err
	}
	r.flush()
	g.table.Seal()
	g.stage = sealed
	i.metrics.replayed.Add(float64(samplesOf(g.table)))
	return g, nil
}

// samplesOf is the number of samples of all kinds that the table took, rows of exemplars and metadata included.
func samplesOf(t *memtable.Table) int64 {
	s := t.Stats()
	return s.Samples + s.Histograms + s.Rows
}

// removeOthers removes everything in dir but the entry keep.
func removeOthers(fsys vfs.FS, dir, keep string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != keep {
			if err := removeChild(fsys, dir, e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeChild removes an entry of dir durably.
func removeChild(fsys vfs.FS, dir, name string) error {
	if _, err := fsys.Stat(path.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := fsys.RemoveAll(path.Join(dir, name)); err != nil {
		return fmt.Errorf("remove %s: %w", path.Join(dir, name), err)
	}
	return fsys.SyncDir(dir)
}
