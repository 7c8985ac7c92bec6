package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/repair"
)

const rebuildHelp = `Makes catalogs that are lost or damaged anew from the blocks of their days, enters days in roots that lack them, and makes a lost or damaged root or
roster anew. Of what it replaces it keeps a copy, KEY.old-TIME; catalogs that can be read it leaves alone; blocks and logs it never changes.

End all servers and workers of the bucket first, look at what --dry-run says, and run ` + "`varve fsck`" + ` afterwards. A damaged root loses settings and the list of
snapshots, which are stored nowhere else: restore it from a backup if you can. With --force and --tenant, healthy catalogs are made anew too: for one
that can be read and is wrong.

Exit code 1 says that something could not be mended, or has to be done by hand; it is printed.
`

type rebuildOptions struct {
	location
	scope
	dryRun, force, json bool
}

func newRebuild(e *environment) *cobra.Command {
	o := &rebuildOptions{}
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Make lost or damaged catalogs anew", Long: rebuildHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRebuild(cmd.Context(), o, e) },
	}
	f := cmd.Flags()
	o.location.register(f)
	o.scope.register(f, "look at", "the roster")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, write nothing")
	f.BoolVar(&o.force, "force", false, "make healthy catalogs of the tenant anew too")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runRebuild(ctx context.Context, o *rebuildOptions, e *environment) (err error) {
	opts, err := o.options()
	if err != nil {
		return err
	}
	if o.force && o.tenant == "" {
		return usagef("--force takes --tenant")
	}
	opts.DryRun, opts.Force = o.dryRun, o.force
	c, closeBucket, err := o.repairComponents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBucket()) }()
	bar := newPartBar(e.err, "rebuild")
	opts.Progress = bar.show
	r, err := repair.Rebuild(ctx, c, opts)
	bar.end()
	if o.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(r))
	} else {
		printRebuild(e.out, r)
	}
	if n := len(r.Problems); err == nil && n > 0 {
		err = fmt.Errorf("%d thing%s left to do", n, plural(n))
	}
	return err
}

func printRebuild(w io.Writer, r *repair.Rebuilt) {
	would := ""
	if r.DryRun {
		would = "would be "
	}
	for _, d := range r.Days {
		fmt.Fprintf(w, "catalog of %s/%s %smade anew: %s\n      %d blocks, %s samples, %d rollups, %d left out, %d deletions\n",
			d.Tenant, d.Day, would, d.Why, d.Blocks, humanize.Comma(d.Samples), d.Rollups, len(d.LeftOut), len(d.Tombstones))
		for _, id := range slices.Sorted(maps.Keys(d.LeftOut)) {
			fmt.Fprintf(w, "      left out %s: %s\n", id, d.LeftOut[id])
		}
		for _, damaged := range d.Damaged {
			fmt.Fprintf(w, "      damaged: %s\n", damaged)
		}
		if d.Copy != "" {
			fmt.Fprintf(w, "      the former one is %s\n", d.Copy)
		}
	}
	for _, root := range r.Roots {
		fmt.Fprintf(w, "root of %s: %d day%s %sentered\n", root.Tenant, len(root.Days), plural(len(root.Days)), would)
	}
	if len(r.Roster) > 0 {
		fmt.Fprintf(w, "roster %smade anew with %d writer%s\n", would, len(r.Roster), plural(len(r.Roster)))
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "to do: %s\n", p)
	}
	fmt.Fprintf(w, "%d healthy catalog%s left alone\n", r.Healthy, plural(r.Healthy))
}
