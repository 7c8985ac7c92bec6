package countblob

import (
	"context"
	"errors"

	"github.com/varvedb/varve/blob"
)

// OpPart is a request on an object of parts, as Stats names it: its beginning, a part, its end.
const OpPart = "part"

var _ blob.PartStore = (*Driver)(nil)

// errNoParts is a fault of the test: the store below makes no objects of parts.
var errNoParts = errors.New("countblob: the driver is no PartStore")

// Begin implements blob.PartStore. The wrapped driver must be one.
func (d *Driver) Begin(ctx context.Context, key string) (blob.Parts, error) {
	store, ok := d.inner.(blob.PartStore)
	if !ok {
		return nil, errNoParts
	}
	var inner blob.Parts
	err := d.part(ctx, 0, func() (err error) {
		inner, err = store.Begin(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &parts{d, inner}, nil
}

func (d *Driver) part(ctx context.Context, written int, call func() error) error {
	end, err := d.begin(ctx, OpPart, "")
	if err != nil {
		return err
	}
	err = call()
	end(func(s *Stats) { s.WrittenBytes += int64(written) })
	return err
}

type parts struct {
	d     *Driver
	inner blob.Parts
}

// Put implements blob.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	return p.d.part(ctx, len(data), func() error { return p.inner.Put(ctx, n, data) })
}

// Create implements blob.Parts.
func (p *parts) Create(ctx context.Context) (v blob.Version, err error) {
	err = p.d.part(ctx, 0, func() (err error) {
		v, err = p.inner.Create(ctx)
		return err
	})
	return v, err
}

// Abort implements blob.Parts.
func (p *parts) Abort(ctx context.Context) error {
	return p.d.part(ctx, 0, func() error { return p.inner.Abort(ctx) })
}
