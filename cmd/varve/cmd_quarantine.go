package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/repair"
	"github.com/varvedb/varve/tenant"
)

const quarantineHelp = `Blocks that could not be read when they were to be merged are put aside, with the reason. Queries that need them fail and name them.

  varve quarantine list
  varve quarantine readmit [ID…]     after their objects were restored from a backup or an earlier version
  varve quarantine discard ID…       when that is not to be had: their samples are lost

readmit reads each block to its last sample, and ends the quarantine of those that are what they were; the next merge takes them. discard takes blocks out of the
catalog, so that queries of their days succeed without them; it refuses a block that can be read, and it is for good. It also takes blocks that are in no quarantine, which
varve fsck has named as lost. The key of an object does for an ID.
`

type quarantineOptions struct {
	location
	scope
	json bool
}

func newQuarantine(e *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "quarantine", Short: "Look after damaged blocks", Long: quarantineHelp,
		Args: func(_ *cobra.Command, args []string) error { return noSubcommand(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(use, short string, args cobra.PositionalArgs, verb string, do quarantineDo) {
		o := &quarantineOptions{}
		c := &cobra.Command{
			Use: use, Short: short, Long: quarantineHelp, Args: usageArgs(args),
			RunE: func(cmd *cobra.Command, ids []string) error { return runQuarantine(cmd.Context(), o, ids, verb, do, e) },
		}
		o.location.register(c.Flags())
		c.Flags().StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose blocks they are")
		c.Flags().StringVar(&o.day, "day", "", "look at this day only, YYYY-MM-DD")
		c.Flags().BoolVar(&o.json, "json", false, "print JSON")
		cmd.AddCommand(c)
	}
	add("list", "List blocks that were put aside", cobra.NoArgs, "", func(ctx context.Context, c repair.Components, o *repair.Options, _ []string) ([]repair.Quarantined, error) {
		return repair.ListQuarantined(ctx, c, o)
	})
	add("readmit [ID…]", "Take restored blocks back", cobra.ArbitraryArgs, "readmitted", repair.Readmit)
	add("discard ID…", "Give blocks up that cannot be read, for good", cobra.MinimumNArgs(1), "discarded", repair.Discard)
	return cmd
}

type quarantineDo func(context.Context, repair.Components, *repair.Options, []string) ([]repair.Quarantined, error)

// runQuarantine does it and prints each block that was looked at; verb is what becomes of them, "" for a list.
func runQuarantine(ctx context.Context, o *quarantineOptions, ids []string, verb string, do quarantineDo, e *environment) (err error) {
	opts, err := o.options()
	if err != nil {
		return err
	}
	c, closeBucket, err := o.repairComponents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBucket()) }()
	for i, id := range ids {
		if _, _, of, _, ok := blocks.ParseKey(id); ok {
			ids[i] = of // the key of the object does as well
		}
	}
	bar := newPartBar(e.err, "quarantine")
	opts.Progress = bar.show
	found, err := do(ctx, c, opts, ids)
	bar.end()
	if o.json {
		if found == nil {
			found = []repair.Quarantined{}
		}
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(found))
	} else if err == nil || len(found) > 0 {
		err = errors.Join(err, printQuarantine(e.out, found, verb))
	}
	left := 0
	for i := range found {
		if verb != "" && !found[i].Done {
			left++
		}
	}
	if err == nil && left > 0 {
		err = fmt.Errorf("%d block%s could not be read: restore the object%s, or discard what is lost", left, plural(left), plural(left))
	}
	return err
}

func printQuarantine(w io.Writer, found []repair.Quarantined, verb string) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "no block is in quarantine")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range found {
		b := &found[i]
		state, why := "since "+clock(b.SinceMs), b.Reason
		switch {
		case b.Done:
			state, why = verb, ""
		case verb != "":
			state, why = "left", b.Fault
		}
		fmt.Fprintf(t, "%s\t%s\t%s samples\t%s\t%s\n", b.Day, b.Object, humanize.Comma(b.Samples), state, why)
	}
	return t.Flush()
}
