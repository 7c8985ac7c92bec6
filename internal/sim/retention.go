package sim

import (
	"context"
	"errors"
	"strings"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

// The tenants whose series expire, and which is deleted in the end.
const (
	expiringTenant = "b"
	doomedTenant   = "a"
	expiringSeries = "s5_"
)

// retain gives a tenant a retention, once in an episode: some series two days, which those of three days ago have reached, and everything two months. Workers meet
// it in the middle of merges, and late samples come all the time.
func (w *world) retain() {
	if w.retained {
		return
	}
	w.setRetention(&lifecycle.Retention{Raw: "60d", Rollups: w.rollups, Rules: []lifecycle.RetentionRule{
		{Matchers: `{__name__=~"` + expiringSeries + `.*"}`, Raw: "2d"},
	}})
	w.retained = true
	w.counts["retain"]++
	w.aged()
}

// aged notes what may have expired by now.
func (w *world) aged() {
	for k, ws := range w.oracle.writes {
		if w.mayExpire(k) {
			for n := range ws {
				ws[n].fate = max(ws[n].fate, unsure)
			}
		}
	}
}

func (w *world) setRetention(r *lifecycle.Retention) {
	c, _ := w.components(nil, 0)
	_, err := c.Catalog.UpdateRoot(context.Background(), expiringTenant, func(root *catalog.Root) error { return lifecycle.SetRetention(root, r) })
	w.note("retention of %s: %v", expiringTenant, err)
	if err != nil {
		w.broken("set retention: %w", err)
	}
}

// mayExpire reports whether workers may let the sample go by now.
func (w *world) mayExpire(k key) bool {
	return w.retained && k.tenant == expiringTenant && strings.HasPrefix(k.series, expiringSeries) && w.age(k) >= model.MsPerDay
}

// age is that of the sample's day.
func (w *world) age(k key) int64 { return w.nowMs - model.DayOf(k.t).Range().MaxMs - 1 }

// expire says that what matches must be gone.
func (o *oracle) expire(matches func(key) bool) {
	for k, ws := range o.writes {
		if matches(k) {
			for n := range ws {
				ws[n].fate = deleted
			}
		}
	}
}

// checkRetention lets workers go over everything when it is old, series first and then all of it.
func (w *world) checkRetention() {
	if w.violation != nil {
		return
	}
	if !w.retained {
		w.retain()
	}
	w.oracle.expire(func(k key) bool { return w.mayExpire(k) && w.age(k) >= 2*model.MsPerDay })
	w.tidyAll()
	w.checkCatalogs("series expired")
	w.checkThinned()
	w.appendLate()
	w.nowMs += 3600 * 1000 // by any clock they came before
	w.tidyAll()
	w.checkCatalogs("late samples of expired series")
	w.checkThinned()
	w.nowMs += 63 * model.MsPerDay // and some were sent for tomorrow
	w.tidyAll()
	w.oracle.expire(func(k key) bool { return k.tenant == expiringTenant })
	w.checkCatalogs("everything expired")
	w.checkThinned()
	w.nowMs += 63 * model.MsPerDay // rollups too
	w.tidyAll()
	w.nowMs += 2 * 3600 * 1000
	w.tidyAll()
	w.checkNone(expiringTenant)
}

// appendLate writes samples beside those that have expired, which have nowhere to go but into the rollups.
func (w *world) appendLate() {
	for _, m := range w.machines {
		var keys []key
		for _, k := range m.keys {
			late := key{k.tenant, k.series, k.t + 1 + int64(w.rng.IntN(400_000))}
			if w.mayExpire(k) && w.mayExpire(late) && w.oracle.writes[late] == nil && w.rng.IntN(3) == 0 {
				keys = append(keys, late)
			}
		}
		if len(keys) > 0 && w.violation == nil {
			w.send(m, expiringTenant, keys)
			w.finish(m)
		}
	}
}

// checkDeletion deletes a tenant while machines write to it, perhaps not to the end, and demands that workers leave none of it.
func (w *world) checkDeletion() {
	if w.violation != nil {
		return
	}
	w.setRetention(nil)
	w.retained = false
	ctx := context.Background()
	c, _ := w.components(nil, 0)
	root, err := c.Catalog.DeleteTenant(ctx, doomedTenant)
	if errors.Is(err, model.ErrNotFound) {
		return // nobody wrote to it
	}
	if err != nil {
		w.broken("delete tenant: %w", err)
		return
	}
	w.oracle.expire(func(k key) bool { return k.tenant == doomedTenant })
	for _, day := range root.Days {
		if w.rng.IntN(2) == 0 {
			w.counts["buried"]++
			if _, err := c.Catalog.Bury(ctx, root, day); err != nil {
				w.broken("bury: %w", err)
			}
		}
	}
	for _, m := range w.machines {
		// It does not know yet, or learns by the commit that is refused.
		w.append(m)
		if err := m.ing.Flush(ctx); err != nil {
			w.broken("%s: flush of a deleted tenant: %w", m.disk, err)
		}
	}
	w.oracle.expire(func(k key) bool { return k.tenant == doomedTenant })
	w.tidyAll()
	w.nowMs += 2 * 3600 * 1000
	w.tidyAll()
	w.checkCatalogs("tenant deleted")
	w.checkNone(doomedTenant)
}

// checkNone demands that the bucket holds no block of the tenant.
func (w *world) checkNone(tenant string) {
	if w.violation != nil {
		return
	}
	for _, o := range w.stored(tenant) {
		w.broken("%s is left", o.Key)
	}
}
