package mem

import (
	"context"
	"fmt"
	"slices"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

var _ blob.PartStore = (*Driver)(nil)

// Begin implements blob.PartStore.
func (d *Driver) Begin(ctx context.Context, key string) (blob.Parts, error) {
	return &parts{d: d, key: key}, ctx.Err()
}

type parts struct {
	d    *Driver
	key  string
	data [][]byte
}

// Put implements blob.Parts.
func (p *parts) Put(ctx context.Context, n int, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case n > len(p.data):
		return fmt.Errorf("part %d after %d: %w", n, len(p.data), model.ErrInvalid)
	case n == len(p.data):
		p.data = append(p.data, nil)
	}
	p.data[n] = slices.Clone(data)
	return nil
}

// Create implements blob.Parts.
func (p *parts) Create(ctx context.Context) (blob.Version, error) {
	return p.d.Put(ctx, p.key, slices.Concat(p.data...), blob.Condition{Absent: true})
}

// Abort implements blob.Parts.
func (p *parts) Abort(context.Context) error {
	p.data = nil
	return nil
}
