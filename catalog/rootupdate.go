package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// UpdateRoot commits what fn makes of a tenant's root, settings and snapshots in the first place; it creates the root if there is none.
// fn gets a copy that it may change, may be called several times with different states, and must reach its aim from any of them; what it
// does not know it leaves alone. If it leaves the copy as it was, nothing is written. Its error ends the update and is returned.
//
// The root of a deleted tenant is refused with [ErrGravestone]; neither the gravestone nor the set of days is fn's to change.
func (s *Store) UpdateRoot(ctx context.Context, tenantName string, fn func(*Root) error) (*Root, error) {
	if err := tenant.Check(tenantName); err != nil {
		return nil, fmt.Errorf("update root: tenant %w", err)
	}
	out, err := update(ctx, s, rootObject(tenantName), func(r *Root) (bool, error) {
		if r.GravestoneMs != 0 {
			return false, ErrGravestone
		}
		before := r.clone()
		if err := fn(r); err != nil {
			return false, err
		}
		if r.GravestoneMs != 0 || !slices.Equal(before.Days, r.Days) {
			return false, fmt.Errorf("days and gravestone are not set by an update: %w", model.ErrInvalid)
		}
		return !maps.Equal(before.Settings, r.Settings) || !slices.Equal(before.Snapshots, r.Snapshots), nil
	})
	if err != nil {
		return nil, fmt.Errorf("update root of tenant %s: %w", tenantName, err)
	}
	return out.state, nil
}
