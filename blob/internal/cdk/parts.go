package cdk

import (
	"context"
	"fmt"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

// Parts is blob.Parts with the SDK's own errors. A version of "" is none.
type Parts interface {
	Put(ctx context.Context, n int, data []byte) error
	Create(ctx context.Context) (blob.Version, error)
	Abort(ctx context.Context) error
}

var _ blob.PartStore = (*Driver)(nil)

// Begin implements blob.PartStore.
func (d *Driver) Begin(ctx context.Context, key string) (blob.Parts, error) {
	p, err := d.store.Begin(ctx, key)
	if err != nil {
		return nil, d.fault(ctx, err, writing)
	}
	return &parts{d, p}, nil
}

type parts struct {
	d     *Driver
	inner Parts
}

// Put implements blob.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	if err := p.inner.Put(ctx, n, data); err != nil {
		return p.d.fault(ctx, err, writing)
	}
	return nil
}

// Create implements blob.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	v, err := p.inner.Create(ctx)
	switch {
	case err != nil:
		return "", p.d.fault(ctx, err, writing)
	case v == "":
		return "", fmt.Errorf("the answer to a write names no version: %w", model.ErrUnavailable)
	}
	return v, nil
}

// Abort implements blob.Parts.
func (p *parts) Abort(ctx context.Context) error {
	if err := p.inner.Abort(ctx); err != nil {
		return p.d.fault(ctx, err, writing)
	}
	return nil
}
