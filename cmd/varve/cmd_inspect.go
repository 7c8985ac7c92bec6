package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/tenant"
)

const inspectHelp = `Shows what lies in a bucket and in a data directory, without changing anything and without listing the bucket.

  roster    the writers: id, state, address, durability, what they have released
  catalog   the days of a tenant: blocks, samples, bytes, who flushed up to which generation
  blocks    the blocks of a tenant
  wal       the segments of the log, in the data directory and as shipped to the bucket
  all       everything (the default)

What is damaged or missing is named, the rest is shown all the same.
`

type inspectOptions struct {
	location
	tenant string
	json   bool
}

// inspectParts are what inspect can show.
var inspectParts = []string{"roster", "catalog", "blocks", "wal", "all"}

func newInspect(e *environment) *cobra.Command {
	o := &inspectOptions{}
	cmd := &cobra.Command{
		Use: "inspect [roster|catalog|blocks|wal|all]", Short: "Show roster, catalogs, blocks and logs", Long: inspectHelp,
		ValidArgs: inspectParts, Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && !slices.Contains(inspectParts, args[0]) {
				return fmt.Errorf("%q is not one of %s", strings.Join(args, " "), strings.Join(inspectParts, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "all"
			if len(args) == 1 {
				what = args[0]
			}
			return runInspect(cmd.Context(), o, what, e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose catalogs and blocks are shown")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runInspect(ctx context.Context, o *inspectOptions, what string, e *environment) (err error) {
	if err := tenant.Check(o.tenant); err != nil {
		return usagef("--tenant: %w", err)
	}
	url, err := o.forReading()
	if err != nil {
		return err
	}
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	i := &inspector{bucket: b, catalog: catalog.New(b, nil, catalog.Components{}), tenant: o.tenant, dataDir: o.dataDir}
	r, damage := i.inspect(ctx, what)
	if o.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = r.print(e.out)
	}
	return errors.Join(damage, err)
}
