package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path/filepath"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

var _ blob.PartStore = (*Driver)(nil)

// Begin implements blob.PartStore. The parts are one temporary file beside the object, which List removes some day if the process dies.
func (d *Driver) Begin(ctx context.Context, key string) (blob.Parts, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := d.path(key)
	dir := filepath.Dir(name)
	f, err := d.createTemp(dir)
	if isMissing(err) {
		if err := d.fs.MkdirAll(dir); err != nil {
			return nil, writeError(err)
		}
		f, err = d.createTemp(dir)
	}
	if err != nil {
		return nil, writeError(err)
	}
	return &parts{d: d, key: key, tmp: f.Name(), file: f, sum: sha256.New()}, nil
}

type parts struct {
	d    *Driver
	key  string
	tmp  string
	file vfs.File // nil once it is closed
	n    int      // parts written
	size int64    // of them
	sum  hash.Hash
	// failed is a failure after which it is not known what the file holds.
	failed error
}

// Put implements blob.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case p.failed != nil:
		return writeError(p.failed)
	case n != p.n:
		return fmt.Errorf("part %d after %d: %w", n, p.n, model.ErrInvalid)
	}
	if _, err := p.file.Write(data); err != nil {
		// A part of it may be there. It goes, so that the next try finds its place.
		if _, serr := p.file.Seek(p.size, 0); serr != nil {
			p.failed = errors.Join(err, serr)
		} else if terr := p.file.Truncate(p.size); terr != nil {
			p.failed = errors.Join(err, terr)
		}
		return writeError(err)
	}
	p.n++
	p.size += int64(len(data))
	_, _ = p.sum.Write(data) // never fails
	return nil
}

// Create implements blob.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := p.close(); err != nil {
		return "", writeError(err)
	}
	name := p.d.path(p.key)
	err := p.d.reach(filepath.Dir(name))
	if err == nil {
		err = p.d.check(ctx, p.key, blob.Condition{Absent: true})
	} else {
		err = writeError(err)
	}
	if err != nil {
		return "", p.d.conflict(name, err)
	}
	if err := p.d.create(p.tmp, name); err != nil {
		return "", err
	}
	return blob.Version(hex.EncodeToString(p.sum.Sum(nil)[:16])), nil
}

// close makes the bytes durable, once. After a failed sync nobody knows what the file holds, so all that follow fail.
func (p *parts) close() error {
	if p.failed != nil || p.file == nil {
		return p.failed
	}
	err := p.file.Sync()
	p.failed = errors.Join(err, p.file.Close())
	p.file = nil
	return p.failed
}

// Abort implements blob.Parts.
func (p *parts) Abort(context.Context) error {
	var err error
	if p.file != nil {
		err = p.file.Close()
		p.file = nil
	}
	if p.failed == nil {
		p.failed = fmt.Errorf("given up: %w", model.ErrInvalid)
	}
	if rerr := p.d.fs.Remove(p.tmp); !isMissing(rerr) {
		err = errors.Join(err, rerr)
	}
	return err
}
