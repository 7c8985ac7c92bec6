package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Place is a bucket with its catalog.
type Place struct {
	Bucket  *blob.Bucket
	Catalog *catalog.Store
}

// ExportReport is what an export did.
type ExportReport struct {
	Tenant   string `json:"tenant"`
	Snapshot string `json:"snapshot"`
	Days     int    `json:"days"`
	Blocks   int    `json:"blocks"`
	Bytes    int64  `json:"bytes"`
	// Copied are those of the blocks that were not there yet.
	Copied      int   `json:"copied"`
	CopiedBytes int64 `json:"copied_bytes"`
}

// Export copies a snapshot of the tenant to another bucket, as a tenant of the same name, so that a Varve there answers what the snapshot answers. Blocks are streamed
// and their checksums checked; a day becomes visible when all of its blocks are there, in one commit.
//
// It may be ended at any moment and begun again: blocks that are there are not copied again. It refuses, with model.ErrConflict, a tenant there that
// has anything else in a day of the snapshot. progress, if not nil, is called now and then with the bytes that are done, of all.
func Export(ctx context.Context, from, to Place, tenant, name string, progress func(done, total int64)) (r ExportReport, err error) {
	r.Tenant, r.Snapshot = tenant, name
	root, err := from.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		return r, fmt.Errorf("export: %w", err)
	}
	ref, err := root.Snapshot(name)
	if err != nil {
		return r, fmt.Errorf("export: %w", err)
	}
	snap, err := from.Catalog.OpenSnapshot(ctx, tenant, ref)
	if err != nil {
		return r, fmt.Errorf("export: %w", err)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	_, _, total := snap.Total()
	e := &export{from: from, to: to, r: &r, progress: func(done int64) { progress(done, total) }}
	for _, d := range snap.Days {
		if err := e.day(ctx, snap, d.Day); err != nil {
			return r, fmt.Errorf("export %s of snapshot %s: %w", d.Day.Dashed(), name, err)
		}
	}
	return r, nil
}

type export struct {
	from, to Place
	r        *ExportReport
	progress func(done int64)
}

func (e *export) day(ctx context.Context, snap *catalog.Snapshot, day model.Day) error {
	p, err := e.from.Catalog.SnapshotDay(ctx, snap, day)
	if err != nil {
		return err
	}
	// Nothing is copied to where it cannot be committed.
	there, err := e.to.Catalog.Partition(ctx, p.Tenant, day, nil)
	if err != nil {
		return err
	}
	done, err := catalog.Import{Day: p}.Check(there)
	if err != nil {
		return err
	}
	for _, b := range p.All() {
		if !done {
			if err := e.block(ctx, b.Meta); err != nil {
				return fmt.Errorf("block %s: %w", b.ID, err)
			}
		}
		e.r.Blocks++
		e.r.Bytes += b.Size
		e.progress(e.r.Bytes)
	}
	if !done {
		if _, err := e.to.Catalog.Commit(ctx, p.Tenant, day, catalog.Import{Day: p}); err != nil {
			return err
		}
	}
	e.r.Days++
	return nil
}

// block copies a block unless it is there. An object is created whole or not at all, and footers end in a checksum, so length and checksum say whether it is the same one.
func (e *export) block(ctx context.Context, m *blocks.Meta) error {
	key := blocks.Key(m)
	_, size, err := e.to.Bucket.GetFirst(ctx, key, 1)
	switch {
	case errors.Is(err, model.ErrNotFound):
		return e.copy(ctx, m, key)
	case err != nil:
		return err
	}
	have, err := blocks.Open(ctx, blocks.Stored{Bucket: e.to.Bucket}, key, size)
	if err != nil || have.Size != m.Size || have.CRC != m.CRC {
		return fmt.Errorf("something else is there under its name (%v): %w", err, model.ErrConflict)
	}
	return nil
}

func (e *export) copy(ctx context.Context, m *blocks.Meta, key string) error {
	u := e.to.Bucket.NewUpload(ctx, key)
	defer u.Abort()
	if err := blocks.Copy(ctx, blocks.Stored{Bucket: e.from.Bucket}, m, &counted{u, e}); err != nil {
		return err
	}
	if _, err := u.Create(); err != nil && !errors.Is(err, model.ErrConflict) {
		return err
	}
	e.r.Copied++
	e.r.CopiedBytes += m.Size
	return nil
}

// counted tells how much of a block was written.
type counted struct {
	*blob.Upload
	e *export
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Upload.Write(b)
	c.e.progress(c.e.r.Bytes + c.Size())
	return n, err
}
