package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
)

func printTenants(w io.Writer, rows []tenantRow) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	title(t, "Tenants", len(rows), "TENANT\tDAYS\tFIRST\tLAST\tRAW\tROLLUPS\tRULES\tDELETED")
	for _, x := range rows {
		deleted := "-"
		if x.DeletedMs != 0 {
			deleted = clock(x.DeletedMs)
		}
		row(t, x.Tenant, x.Days, orDash(x.FirstDay), orDash(x.LastDay), age(x.Retention.Raw, "-"), age(x.Retention.Rollups, "-"), len(x.Retention.Rules), deleted)
	}
	return t.Flush()
}

// printTenant shows what the root of an inspected tenant says besides its days.
func (p *catalogPart) printTenant(w io.Writer) {
	if p.DeletedMs != 0 {
		fmt.Fprintf(w, "Tenant %s was deleted at %s: its root and catalogs are gravestones\n", p.Tenant, clock(p.DeletedMs))
	}
	for _, s := range p.Snapshots {
		state := "keeps the blocks that it names"
		if !s.Complete {
			state = "is being made: nothing of the tenant is collected until it is finished or deleted"
		}
		fmt.Fprintf(w, "Snapshot %s of tenant %s, of %s, %s\n", s.Name, p.Tenant, clock(s.CreatedMs), state)
	}
	if len(p.Settings) == 0 {
		return
	}
	r, err := lifecycle.RetentionOf(&catalog.Root{Tenant: p.Tenant, Settings: p.Settings})
	if _, ok := p.Settings[lifecycle.RetentionSetting]; ok && err == nil {
		fmt.Fprint(w, describeRetention(p.Tenant, &r))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Settings)) {
		if name != lifecycle.RetentionSetting || err != nil {
			fmt.Fprintf(w, "Setting %s of tenant %s: %s\n", name, p.Tenant, p.Settings[name])
		}
	}
}
