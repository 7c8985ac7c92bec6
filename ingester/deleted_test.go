package ingester

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// deleteTenant makes a tenant a gravestone; its catalogs are left to others.
func (w *world) deleteTenant(p *process, name string) {
	w.t.Helper()
	if _, err := p.c.Catalog.DeleteTenant(context.Background(), name); err != nil {
		w.t.Fatal(err)
	}
}

// TestWritesOfDeletedTenant: a writer learns of the deletion by itself, refuses, and lets go of what it held.
func TestWritesOfDeletedTenant(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	p := w.process(memfs.New())
	i := w.open(p, config())
	write := func(tenant string) error { _, err := i.Append(ctx, tenant, one("s", w.nowMs, 1)); return err }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(tenant string) {
		t.Helper()
		if err := write(tenant); !errors.Is(err, model.ErrNotFound) || !strings.Contains(err.Error(), "tenant "+tenant+" was deleted") {
			t.Fatalf("%v, want a refusal of %s", err, tenant)
		}
	}
	for _, tenant := range []string{"a", "b", "c"} {
		must(write(tenant))
	}
	must(i.Flush(ctx))
	_, err := i.TenantStep(ctx)
	must(err)
	must(write("a"))
	must(write("b"))
	w.deleteTenant(p, "a")
	_, err = i.TenantStep(ctx)
	must(err)
	must(write("a")) // not known yet
	w.nowMs += checkTenantMs
	_, err = i.TenantStep(ctx)
	must(err)
	refused("a")
	must(write("b"))

	// A commit tells too: on a day that the root does not have.
	must(i.Flush(ctx))
	w.deleteTenant(p, "b")
	w.nowMs += model.MsPerDay
	must(write("b"))
	must(write("c"))
	must(i.Flush(ctx))
	refused("b")
	must(write("c"))
	if s := i.Status(); len(s.Generations) > 1 {
		t.Fatalf("the generation with samples of a deleted tenant is not released: %+v", s.Generations)
	}
	calls := p.faults.Calls()
	w.nowMs++
	_, err = i.TenantStep(ctx)
	must(err)
	if p.faults.Calls()-calls > 1 {
		t.Fatal("roots are read too often")
	}
	must(i.Close(ctx))

	// A restart asks anew, and forgets who does not write.
	i = w.open(p, config())
	w.nowMs += 1
	must(write("a"))
	_, err = i.TenantStep(ctx)
	must(err)
	refused("a")
	must(write("c"))
	_, err = i.TenantStep(ctx)
	must(err)
	w.nowMs += 2 * forgetTenantMs
	_, err = i.TenantStep(ctx)
	must(err)
	w.nowMs += 2 * forgetTenantMs
	_, err = i.TenantStep(ctx)
	must(err)
	if _, ok := i.deletions.tenants.Load("c"); ok {
		t.Fatal("c was not forgotten")
	}
	must(i.Close(ctx))
}
