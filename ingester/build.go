package ingester

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime/debug"

	"github.com/varvedb/varve/blocks"
)

// BuildStep writes the blocks of the oldest sealed generation into the data directory and frees its memory. It needs no bucket, so
// that an outage costs disk, not memory. On an error, such as a full disk, the memtable stays, and the next call goes on behind the
// blocks that are done.
func (i *Ingester) BuildStep(ctx context.Context) (progress bool, err error) {
	if err := i.building.take(ctx); err != nil {
		return false, err
	}
	defer i.building.give()
	w, g := i.oldest(sealed)
	if g == nil {
		return false, nil
	}
	if err := i.build(ctx, w, g); err != nil {
		return false, fmt.Errorf("build blocks of generation %d: %w", g.number, err)
	}
	return true, nil
}

// oldest returns the oldest generation at the stage, or nil.
func (i *Ingester) oldest(s stage) (*writer, *generation) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, g := range i.w.older {
		if g.stage == s {
			return i.w, g
		}
	}
	return i.w, nil
}

// build makes and maps the blocks of a sealed generation, then lets the memtable go.
func (i *Ingester) build(ctx context.Context, w *writer, g *generation) error {
	dir := generationDir(i.c.Dir, w.id, g.number)
	if len(g.done) == 0 {
		// What an earlier process left without a manifest is of no use.
		if err := i.c.FS.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := i.c.FS.MkdirAll(dir); err != nil {
		return err
	}
	keys := tablePartitions(g.table)
	for _, key := range keys[len(g.done):] {
		b, err := i.buildBlock(ctx, dir, &blocks.Params{
			Tenant: key.tenant, Day: key.day, Writer: w.id, Generation: g.number, CreatedMs: i.nowMs(),
		}, tableSeries(g.table, key))
		if err != nil {
			return err
		}
		g.done = append(g.done, b)
	}
	if err := writeManifest(i.c.FS, dir, g.done); err != nil {
		return err
	}
	freed := g.table.Bytes()
	i.replaceTable(g, keys)
	giveBack(freed)
	i.builtWake.signal()
	return nil
}

// giveBack returns the memory of a table to the system at once if it was large. A generation is hours long, or ends because memory is
// short, and what it held would otherwise stay with the process until the collector runs, beside what the next one takes.
func giveBack(freed int64) {
	const large = 16 << 20
	if freed >= large {
		debug.FreeOSMemory()
	}
}

// replaceTable makes the blocks visible in place of the memtable, in one step.
func (i *Ingester) replaceTable(g *generation, keys []partitionKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, b := range g.done {
		g.partitions = append(g.partitions, &partition{key: keys[n], block: b})
	}
	g.stage, g.table, g.done = built, nil, nil
}

// buildBlock writes a block file durably and maps it. The result has one pin.
func (i *Ingester) buildBlock(ctx context.Context, dir string, p *blocks.Params, series iter.Seq2[blocks.BuildSeries, error]) (*localBlock, error) {
	name := blockPath(dir, blocks.ID(p.Writer, p.Generation, p.Tenant, p.Day, p.Attempt))
	var meta *blocks.Meta
	err := writeFile(i.c.FS, name, func(w io.Writer) (err error) {
		meta, err = blocks.Build(ctx, p, series, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	m, err := i.c.FS.Map(name)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	i.metrics.builtBytes.Add(float64(meta.Size))
	return &localBlock{meta: meta, path: name, mapping: m, pins: 1}, nil
}

// rebuild makes the block of a partition again under another attempt number, from its own file, and has the manifest name it. The old
// block goes when nobody reads it any more.
func (i *Ingester) rebuild(ctx context.Context, g *generation, p *partition, attempt uint32) error {
	old := p.block
	data := old.bytes()
	dir := generationDir(i.c.Dir, old.meta.Writer, g.number)
	b, err := i.buildBlock(ctx, dir, nextAttempt(old.meta, attempt, i.nowMs()), blockSeries(ctx, old.meta, data))
	if err != nil {
		return err
	}
	i.rebuilding.Lock()
	defer i.rebuilding.Unlock()
	all := make([]*localBlock, 0, len(g.partitions))
	for _, q := range g.partitions {
		if q == p {
			all = append(all, b)
		} else {
			all = append(all, q.block)
		}
	}
	if err := writeManifest(i.c.FS, dir, all); err != nil {
		i.letGo(b)
		return err
	}
	i.mu.Lock()
	p.block = b
	i.mu.Unlock()
	i.letGo(old)
	return i.c.FS.Remove(old.path)
}

// letGo ends a pin. A mapping that cannot be unmapped costs address space and nothing else.
func (i *Ingester) letGo(b *localBlock) {
	if err := b.unpin(); err != nil {
		i.c.Logger.Warn("local block stays mapped", "err", err)
	}
}
