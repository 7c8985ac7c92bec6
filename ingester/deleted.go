package ingester

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/model"
)

// deletions is what is known of tenants that were deleted. Their writes are refused, so that senders learn of it; what was taken before
// that was known goes the way of the tenant's other samples, for no catalog takes its blocks. Safe for concurrent use.
//
// Writing waits for no bucket: a tenant is taken for alive until its root was read, within a second of its first write, and every few minutes from then on as long as it writes. A
// commit that meets a gravestone tells at once.
type deletions struct{ tenants sync.Map } // name to *tenantState

type tenantState struct {
	// gone: the tenant was deleted. There is no way back.
	gone atomic.Bool
	// used: it has written since checkedMs.
	used atomic.Bool
	// checkedMs is when its root was read; 0 is never. Only the step of checking uses it.
	checkedMs int64
}

const (
	// checkTenantMs is how often the root of a tenant that writes is read.
	checkTenantMs = 5 * 60_000
	// forgetTenantMs is how long one that does not write is remembered.
	forgetTenantMs = 60 * 60_000
)

// admit refuses the write of a deleted tenant.
func (d *deletions) admit(tenant string) error {
	s := d.state(tenant)
	if s.gone.Load() {
		return fmt.Errorf("tenant %s was deleted, and its name is not given again: %w", tenant, model.ErrNotFound)
	}
	if !s.used.Load() {
		s.used.Store(true)
	}
	return nil
}

func (d *deletions) state(tenant string) *tenantState {
	s, ok := d.tenants.Load(tenant)
	if !ok {
		s, _ = d.tenants.LoadOrStore(tenant, &tenantState{})
	}
	return s.(*tenantState)
}

// isGone reports whether the tenant is known to have been deleted.
func (d *deletions) isGone(tenant string) bool {
	s, ok := d.tenants.Load(tenant)
	return ok && s.(*tenantState).gone.Load()
}

// found notes a gravestone.
func (d *deletions) found(tenant string) { d.state(tenant).gone.Store(true) }

// TenantStep reads the roots of tenants that write, to find out whether they were deleted. It reports no progress.
func (i *Ingester) TenantStep(ctx context.Context) (progress bool, err error) {
	now := i.nowMs()
	i.deletions.tenants.Range(func(key, value any) bool {
		name, s := key.(string), value.(*tenantState)
		switch {
		case s.gone.Load():
			return true
		case !s.used.Load() && now-s.checkedMs >= forgetTenantMs:
			i.deletions.tenants.Delete(name) // one that writes just now is noted again with its next write
			return true
		case s.checkedMs != 0 && (now-s.checkedMs < checkTenantMs || !s.used.Load()):
			return true
		}
		var gone bool
		if gone, err = i.c.Catalog.IsDeleted(ctx, name); err != nil {
			return false
		}
		s.used.Store(false)
		s.checkedMs = now
		if gone {
			i.c.Logger.Warn("a tenant was deleted, its writes are refused from now on", "tenant", name)
			i.deletions.found(name)
		}
		return true
	})
	return false, err
}
