package faultblob

import (
	"context"
	"errors"

	"github.com/varvedb/varve/blob"
)

// The operations on objects of parts, as Call names them. The Create of the parts is an OpPut.
const (
	OpBegin = "begin"
	OpPart  = "part"
	OpAbort = "abort"
)

// errNoParts is a fault of the test: the store below makes no objects of parts.
var errNoParts = errors.New("faultblob: the driver is no PartStore")

var _ blob.PartStore = (*Driver)(nil)

// Begin implements blob.PartStore. The wrapped driver must be one.
func (d *Driver) Begin(ctx context.Context, key string) (blob.Parts, error) {
	store, ok := d.inner.(blob.PartStore)
	if !ok {
		return nil, errNoParts
	}
	var inner blob.Parts
	err := d.call(ctx, OpBegin, key, blob.Condition{}, func() (err error) {
		inner, err = store.Begin(ctx, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &parts{d: d, key: key, inner: inner}, nil
}

// call makes a call that cannot be torn: it does nothing then.
func (d *Driver) call(ctx context.Context, op, key string, cond blob.Condition, do func() error) error {
	a, err := d.begin(ctx, op, key, cond)
	if err != nil {
		return err
	}
	if a.Kind == Tear {
		return torn()
	}
	return d.end(a, do())
}

type parts struct {
	d     *Driver
	key   string
	inner blob.Parts
}

// Put implements blob.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	return p.d.call(ctx, OpPart, p.key, blob.Condition{}, func() error { return p.inner.Put(ctx, n, data) })
}

// Create implements blob.Parts.
func (p *parts) Create(ctx context.Context) (v blob.Version, err error) {
	err = p.d.call(ctx, OpPut, p.key, blob.Condition{Absent: true}, func() (err error) {
		v, err = p.inner.Create(ctx)
		return err
	})
	return v, err
}

// Abort implements blob.Parts.
func (p *parts) Abort(ctx context.Context) error {
	return p.d.call(ctx, OpAbort, p.key, blob.Condition{}, func() error { return p.inner.Abort(ctx) })
}
