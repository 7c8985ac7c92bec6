package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const exportHelp = `Writes what is in the bucket in the forms of others.

  --to tsdb         --out DIR        blocks of Prometheus: for its data directory, promtool, Thanos (with --external-label)
  --to openmetrics  --out FILE       OpenMetrics text: for promtool tsdb create-blocks-from openmetrics
  --to jsonl        --out FILE       lines of JSON: for /api/v1/import of VictoriaMetrics
  --to parquet      --out DIR        a Parquet file a day; a name that ends in .parquet is one file for all

Files of text may be - for standard output, and are compressed where their names end in .gz or .zst. The output must not be there yet, and gets its name when all of it
is written; what is left of an export that was ended has .varve-export- in its name. What a form cannot hold is left out and counted.

What writers hold that is in no block is read from their logs in the bucket; one that does not ship its log is named. With --snapshot all is of one
moment. Docs: docs/export.md.
`

type exportOptions struct {
	// backfillOptions has what both commands have: where, which series, how they are sorted.
	backfillOptions
	to, out, snapshot string
	blockDuration     time.Duration
	externalLabels    []string
}

func newExport(e *environment) *cobra.Command {
	o := &exportOptions{}
	o.parallel = 1
	cmd := &cobra.Command{
		Use: "export --to KIND --out PATH", Short: "Write samples in the forms of other databases", Long: exportHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q: the file or directory to write is named by --out", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return runExport(cmd.Context(), o, e) },
	}
	f := cmd.Flags()
	o.flags = f
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose samples are written")
	f.StringVar(&o.to, "to", "", "what is written: "+strings.Join(export.Kinds(), ", "))
	f.StringVar(&o.out, "out", "", "file or directory to write, or - for standard output")
	f.StringVar(&o.snapshot, "snapshot", "", "snapshot to read in place of the present")
	f.StringVar(&o.start, "start", "", "first time, RFC 3339 or Unix seconds (default everything)")
	f.StringVar(&o.end, "end", "", "last time, RFC 3339 or Unix seconds (default everything)")
	f.StringArrayVar(&o.match, "match", nil, "selector of the series to write")
	f.StringVar(&o.relabel, "relabel", "", "YAML file with a list of relabelling rules, as metric_relabel_configs of Prometheus")
	f.DurationVar(&o.blockDuration, "block-duration", 24*time.Hour, "tsdb: length of a block, an even part of a day")
	f.StringArrayVar(&o.externalLabels, "external-label", nil, "tsdb: NAME=VALUE for the thanos section of meta.json")
	f.StringVar(&o.tempDir, "temp-dir", "", "where openmetrics, logs and relabelled series are sorted (default that of the system)")
	f.IntVar(&o.sortMiB, "sort-memory", 64, "MiB to sort in memory before the disk is used")
	f.BoolVar(&o.dryRun, "dry-run", false, "read and count, and write nothing")
	f.BoolVar(&o.strict, "strict", false, "stop at the first thing that cannot be read")
	f.BoolVar(&o.asJSON, "json", false, "print progress and the summary as lines of JSON")
	return cmd
}

// config are the flags as an export takes them.
func (o *exportOptions) exportConfig() (*export.Config, error) {
	switch {
	case o.to == "":
		return nil, usagef("--to is not given: %s", strings.Join(export.Kinds(), ", "))
	case !slices.Contains(export.Kinds(), o.to):
		return nil, usagef("--to is %q, want one of %s", o.to, strings.Join(export.Kinds(), ", "))
	case o.out == "" && !o.dryRun:
		return nil, usagef("--out is not given")
	case o.sortMiB < 1:
		return nil, usagef("--sort-memory must be more than 0")
	}
	if err := o.foreignExportFlag(); err != nil {
		return nil, err
	}
	cfg := &export.Config{
		To: o.to, Out: o.out, BlockDuration: o.blockDuration, TempDir: o.tempDir, SortBytes: o.sortBytes(), DryRun: o.dryRun,
	}
	for _, l := range o.externalLabels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return nil, usagef("--external-label is %q, want NAME=VALUE", l)
		}
		if cfg.ExternalLabels == nil {
			cfg.ExternalLabels = map[string]string{}
		}
		cfg.ExternalLabels[name] = value
	}
	return cfg, nil
}

// foreignExportFlag is an error if a flag was given that only blocks of Prometheus heed; those of the configuration may be for others.
func (o *exportOptions) foreignExportFlag() error {
	for _, name := range []string{"block-duration", "external-label"} {
		one := o.flags.Lookup(name)
		if _, configured := one.Annotations[configured]; o.to != "tsdb" && one.Changed && !configured {
			return usagef("--%s is of no use with --to %s: it is for --to tsdb", name, o.to)
		}
	}
	return nil
}

func runExport(ctx context.Context, o *exportOptions, e *environment) error {
	cfg, err := o.exportConfig()
	if err != nil {
		return err
	}
	selection, err := o.config()
	if err != nil {
		return err
	}
	limitHeap(backfillMemory)
	skips := migrate.NewSkips(o.strict)
	return o.withBucket(ctx, func(b *blob.Bucket) (err error) {
		src, err := own.Open(b, catalog.New(b, nil, catalog.Components{}), o.tenant, skips, &own.Options{
			Snapshot: o.snapshot, Matchers: selection.Matchers, Rows: true, TempDir: o.tempDir, SortBytes: o.sortBytes(),
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, src.Close()) }()
		// Days that are yet to come are as good as others.
		sel, err := migrate.Select(selection, func() time.Time { return time.UnixMilli(model.MaxTimeMs) }, src, skips)
		if err != nil {
			return err
		}
		return o.export(ctx, cfg, sel, src, skips, e)
	})
}

func (o *exportOptions) export(ctx context.Context, cfg *export.Config, sel *migrate.Selection, src *own.Source, skips *migrate.Skips, e *environment) error {
	said := *e
	if o.out == "-" {
		said.out = e.err // standard output is taken
	}
	bar := newProgressBar(&said, o.asJSON, "export: samples")
	r, err := export.Run(ctx, cfg, export.Components{
		FS: vfs.OS{}, Stdout: e.out, Now: time.Now, Rand: rand.Reader, Progress: bar.show,
		Metadata: func(ctx context.Context) (map[string]model.Metadata, error) { return src.Metadata(ctx, sel.Range()) },
	}, sel, skips)
	bar.end()
	if o.asJSON {
		return errors.Join(err, json.NewEncoder(said.out).Encode(map[string]any{"summary": r}))
	}
	if err == nil {
		printExport(said.out, r)
	}
	return err
}
