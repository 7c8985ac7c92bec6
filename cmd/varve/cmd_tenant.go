package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const tenantHelp = `Lists tenants, and deletes one.

  varve tenant list
  varve tenant delete NAME [--wait]

Deleting makes gravestones of the tenant's root and catalogs, at once and for good: queries answer 404 from then on; writes do so as soon as a
server notices, within five minutes; what was written meanwhile is dropped. An hour later a worker (varve serve, varve lifecycle) deletes the objects of its blocks; with
--wait this command stays until it has deleted them itself. Shipped logs with samples of the tenant go as they always do, an hour after
their generation was flushed.

The name is never given again: a writer that was switched off for a year may still hold samples of the deleted tenant, and must not mix them into
another one's. A tenant with snapshots is not deleted, delete them first. Deleting a deleted tenant finishes what was begun.
`

type tenantOptions struct {
	location
	json, wait bool
}

// tenantReport is what the deletion of a tenant came to.
type tenantReport struct {
	Tenant    string `json:"tenant"`
	DeletedMs int64  `json:"deleted_ms"`
	Days      int    `json:"days"`
	// Objects and Bytes are what this command deleted, with Done if it waited for that.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Done    bool  `json:"done"`
}

func newTenant(e *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tenant", Short: "List and delete tenants", Long: tenantHelp,
		Args: func(_ *cobra.Command, args []string) error { return noSubcommand(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &tenantOptions{}
	l := &cobra.Command{
		Use: "list", Short: "List tenants", Long: tenantHelp, Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list.withBucket(cmd.Context(), func(b *blob.Bucket) error { return listTenants(cmd.Context(), list, e, b) })
		},
	}
	list.location.register(l.Flags())
	l.Flags().BoolVar(&list.json, "json", false, "print JSON")
	del := &tenantOptions{}
	d := &cobra.Command{
		Use: "delete NAME", Short: "Delete a tenant with all its data, for good", Long: tenantHelp, Args: usageArgs(exactly("NAME")),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tenant.Check(args[0]); err != nil {
				return usagef("tenant: %w", err)
			}
			return del.withBucket(cmd.Context(), func(b *blob.Bucket) error { return deleteTenant(cmd.Context(), del, args[0], e, b) })
		},
	}
	del.location.register(d.Flags())
	d.Flags().BoolVar(&del.json, "json", false, "print the report as JSON")
	d.Flags().BoolVar(&del.wait, "wait", false, "stay until the objects are deleted, an hour later; it may be ended and called again")
	cmd.AddCommand(l, d)
	return cmd
}

// tenantRow is a tenant in the list.
type tenantRow struct {
	Tenant    string              `json:"tenant"`
	Days      int                 `json:"days"`
	FirstDay  string              `json:"first_day,omitempty"`
	LastDay   string              `json:"last_day,omitempty"`
	Retention lifecycle.Retention `json:"retention"`
	DeletedMs int64               `json:"deleted_ms,omitempty"`
}

func listTenants(ctx context.Context, o *tenantOptions, e *environment, b *blob.Bucket) error {
	c := catalog.New(b, nil, catalog.Components{})
	rows := []tenantRow{}
	for obj, err := range b.List(ctx, catalog.KeyPrefix) {
		if err != nil {
			return err
		}
		name, ok := catalog.ParseRootKey(obj.Key)
		if !ok {
			continue
		}
		root, err := c.Root(ctx, name, nil)
		if err != nil {
			return err
		}
		row := tenantRow{Tenant: name, Days: len(root.Days), DeletedMs: root.GravestoneMs}
		if row.Retention, err = lifecycle.RetentionOf(root); err != nil {
			return err
		}
		if n := len(root.Days); n > 0 {
			row.FirstDay, row.LastDay = root.Days[0].Dashed(), root.Days[n-1].Dashed()
		}
		rows = append(rows, row)
	}
	if o.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return printTenants(e.out, rows)
}

// deletionPoll is how often a waiting command looks whether the grace is over.
const deletionPoll = time.Minute

func deleteTenant(ctx context.Context, o *tenantOptions, name string, e *environment, b *blob.Bucket) error {
	c := catalog.New(b, nil, catalog.Components{})
	root, err := c.DeleteTenant(ctx, name)
	if err != nil {
		return err
	}
	r := &tenantReport{Tenant: name, DeletedMs: root.GravestoneMs, Days: len(root.Days)}
	last := root.GravestoneMs
	for _, day := range root.Days {
		p, err := c.Bury(ctx, root, day)
		if err != nil {
			return fmt.Errorf("%w (the deletion has begun; a worker goes on with it, or this command when it is called again)", err)
		}
		last = max(last, p.GravestoneMs)
	}
	if o.wait {
		done := spin(e.err, "waiting until no query goes by older catalogs, then deleting")
		defer done()
		for due := time.UnixMilli(last).Add(lifecycle.DefaultGrace); time.Now().Before(due); {
			if err := (blob.SystemClock{}).Sleep(ctx, min(deletionPoll, time.Until(due))); err != nil {
				return fmt.Errorf("tenant %s is deleted, its objects are not yet: %w: %w", name, err, model.ErrUnavailable)
			}
		}
		if r.Objects, r.Bytes, err = lifecycle.DeleteObjects(ctx, b, root); err != nil {
			return err
		}
		r.Done = true
	}
	if o.json {
		return json.NewEncoder(e.out).Encode(r)
	}
	fmt.Fprintf(e.out, "tenant %s was deleted at %s: %d days are closed\n", name, clock(r.DeletedMs), r.Days)
	if r.Done {
		_, err = fmt.Fprintf(e.out, "%d objects of %s are deleted\n", r.Objects, size(r.Bytes))
	} else {
		_, err = fmt.Fprintln(e.out, "its objects go an hour later, by any worker (varve serve, varve lifecycle), or with --wait by this command")
	}
	return err
}
