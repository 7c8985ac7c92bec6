package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/tenant"
)

const snapshotHelp = `A snapshot is a named list of a tenant's blocks, which are kept as long as it exists: it copies nothing, and costs what
would otherwise have been deleted. Queries ask it with varve query --snapshot NAME, or the parameter snapshot=NAME of the API.

  varve snapshot create NAME            of all that is in the bucket; reachable servers flush first
  varve snapshot list                   those of a tenant, and what they hold
  varve snapshot show NAME              its days
  varve snapshot delete NAME            the blocks that only it kept are deleted by the next worker
  varve snapshot export NAME --to URL   to another bucket, as a tenant of the same name; may be ended and begun again
  varve snapshot restore NAME --yes     makes its blocks live again beside what was written since

create takes what was acknowledged before it began, from every server that can be reached; the others are named. If it is ended half way the
snapshot is listed as being made: nothing of the tenant is collected until it is finished (create NAME --finish) or deleted, which workers do after a day.

export needs a bucket in which the tenant has nothing in the days of the snapshot.

restore copies nothing either. Without --yes it only says what it would do. --exact puts everything else of these days out of use, so that answers are
those of the snapshot and what was written since is lost; servers that can be reached flush first. It refuses when series were deleted since, unless
--undo-deletes says that they may come back. What a retention rule has expired expires again, so change the rule first.
`

type snapshotOptions struct {
	location
	tenant string
	json   bool

	skipHead, finish        bool // create
	to                      string
	start, end              string
	exact, undoDeletes, yes bool
}

// snapshotCommand runs one of the subcommands.
type snapshotCommand func(ctx context.Context, o *snapshotOptions, name string, b *blob.Bucket, e *environment) error

func newSnapshot(e *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Create, list, delete, export and restore snapshots", Long: snapshotHelp,
		Args: func(_ *cobra.Command, args []string) error { return noSubcommand(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	create, o := snapshotSub(e, "create NAME", "Create a snapshot", createSnapshot)
	create.Flags().BoolVar(&o.skipHead, "skip-head", false, "take what is in the bucket, without having servers flush first")
	create.Flags().BoolVar(&o.finish, "finish", false, "finish one whose making was ended half way")
	list, _ := snapshotSub(e, "list", "List snapshots", listSnapshots)
	show, _ := snapshotSub(e, "show NAME", "Show the days of a snapshot", showSnapshot)
	del, _ := snapshotSub(e, "delete NAME", "Delete a snapshot", deleteSnapshot)
	export, o := snapshotSub(e, "export NAME", "Copy a snapshot to another bucket", exportSnapshot)
	export.Flags().StringVar(&o.to, "to", "", "URL of the bucket to copy to")
	restore, o := snapshotSub(e, "restore NAME", "Make the blocks of a snapshot live again", restoreSnapshot)
	restore.Flags().StringVar(&o.start, "start", "", "first day to restore: YYYY-MM-DD, or a moment of it (default the first)")
	restore.Flags().StringVar(&o.end, "end", "", "last day to restore (default the last)")
	restore.Flags().BoolVar(&o.exact, "exact", false, "put what was written since out of use: it is lost")
	restore.Flags().BoolVar(&o.undoDeletes, "undo-deletes", false, "let come back what was deleted since")
	restore.Flags().BoolVar(&o.yes, "yes", false, "do it, and not only say what would be done")
	cmd.AddCommand(create, list, show, del, export, restore)
	return cmd
}

// snapshotSub makes a subcommand with the flags that all have.
func snapshotSub(e *environment, use, short string, do snapshotCommand) (*cobra.Command, *snapshotOptions) {
	o := &snapshotOptions{}
	args := exactly("NAME")
	if use == "list" {
		args = cobra.NoArgs
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Long: snapshotHelp, Args: usageArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
				if err := catalog.CheckSnapshotName(name); err != nil {
					return usagef("%w", err)
				}
			}
			if err := tenant.Check(o.tenant); err != nil {
				return usagef("--tenant: %w", err)
			}
			return o.withBucket(cmd.Context(), func(b *blob.Bucket) error { return do(cmd.Context(), o, name, b, e) })
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose snapshots are meant")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd, o
}
