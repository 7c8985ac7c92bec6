package ingester

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// localBlock is a flushed block of one partition as a file in the data directory, mapped for queries. The
// mapping lives as long as somebody pins it: the generation's list of visible blocks, a selection, an upload.
type localBlock struct {
	meta *blocks.Meta
	path string

	mu      sync.Mutex // guards the fields below
	mapping vfs.Mapping
	pins    int
}

// pin keeps the mapping until unpin. It reports false if it is already gone.
func (b *localBlock) pin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mapping == nil {
		return false
	}
	b.pins++
	return true
}

// unpin lets the mapping go with the last pin.
func (b *localBlock) unpin() error {
	b.mu.Lock()
	b.pins--
	m := b.mapping
	if b.pins > 0 {
		m = nil
	} else {
		b.mapping = nil
	}
	b.mu.Unlock()
	if m == nil {
		return nil
	}
	if err := m.Close(); err != nil {
		return fmt.Errorf("unmap %s: %w", b.path, err)
	}
	return nil
}

// bytes is the whole block. The caller holds a pin.
func (b *localBlock) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mapping.Bytes()
}

// mapBlock maps the block file at name and checks it against what is expected of it: length, checksum of the whole, and footer. The
// result has one pin.
func mapBlock(ctx context.Context, fsys vfs.FS, name string, want *manifestBlock) (_ *localBlock, err error) {
	m, err := fsys.Map(name)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	data := m.Bytes()
	if int64(len(data)) != want.Size || blocks.Checksum(data) != want.CRC {
		return nil, fmt.Errorf("block %s: %d bytes, want %d, or another checksum than its manifest's: %w", name, len(data), want.Size, model.ErrCorrupt)
	}
	meta, err := openBlock(ctx, data, want)
	if err != nil {
		return nil, fmt.Errorf("block %s: %w", name, err)
	}
	return &localBlock{meta: meta, path: name, mapping: m, pins: 1}, nil
}

func openBlock(ctx context.Context, data []byte, want *manifestBlock) (*blocks.Meta, error) {
	meta, err := blocks.Open(ctx, blocks.Bytes(data), blocks.KeyOf(want.Tenant, want.Day, want.ID, blocks.Native), int64(len(data)))
	if err != nil {
		return nil, err
	}
	meta.CRC, meta.Size = want.CRC, want.Size
	if meta.ID != want.ID || meta.Tenant != want.Tenant || meta.Day != want.Day {
		return nil, fmt.Errorf("is block %s of %s %s, want %s of %s %s: %w",
			meta.ID, meta.Tenant, meta.Day, want.ID, want.Tenant, want.Day, model.ErrCorrupt)
	}
	return meta, nil
}

const manifestMagic = "varve-blocks"

// manifest is the state file "manifest" in blocks/<writer>/<generation>/. It is written after all block
// files of the generation are durable; from then on the generation is not replayed but mapped.
type manifest struct {
	Blocks []manifestBlock `json:"blocks"`
}

// manifestBlock is one block file of a manifest.
type manifestBlock struct {
	Tenant  string    `json:"tenant"`
	Day     model.Day `json:"day"`
	ID      string    `json:"id"`
	Attempt uint32    `json:"attempt"`
	Size    int64     `json:"size"`
	CRC     uint32    `json:"crc"`
}

func describe(m *blocks.Meta) manifestBlock {
	return manifestBlock{Tenant: m.Tenant, Day: m.Day, ID: m.ID, Attempt: m.Attempt, Size: m.Size, CRC: m.CRC}
}

func blocksDir(dir, writer string) string { return path.Join(dir, "blocks", writer) }

func generationDir(dir, writer string, gen uint64) string {
	return path.Join(blocksDir(dir, writer), fmt.Sprintf("%010d", gen))
}

func manifestPath(genDir string) string { return path.Join(genDir, "manifest") }

func blockPath(genDir, id string) string { return path.Join(genDir, id+".vb") }

// writeManifest names the blocks of a generation.
func writeManifest(fsys vfs.FS, genDir string, bs []*localBlock) error {
	var m manifest
	for _, b := range bs {
		m.Blocks = append(m.Blocks, describe(b.meta))
	}
	return writeState(fsys, manifestPath(genDir), manifestMagic, &m)
}

// loadBlocks maps the blocks that the manifest of a generation names. ok is false if there is no manifest, or if anything is wrong with it
// or its blocks, which why then says: the log still has everything, so nothing is lost by building them again.
func loadBlocks(ctx context.Context, fsys vfs.FS, genDir string) (bs []*localBlock, ok bool, why error) {
	var m manifest
	err := readState(fsys, manifestPath(genDir), manifestMagic, &m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for i := range m.Blocks {
		b, err := mapBlock(ctx, fsys, blockPath(genDir, m.Blocks[i].ID), &m.Blocks[i])
		if err != nil {
			return nil, false, errors.Join(err, unpinAll(bs))
		}
		bs = append(bs, b)
	}
	return bs, true, nil
}

func unpinAll(bs []*localBlock) error {
	var errs []error
	for _, b := range bs {
		errs = append(errs, b.unpin())
	}
	return errors.Join(errs...)
}
