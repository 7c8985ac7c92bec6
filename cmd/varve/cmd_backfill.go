package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

// backfillMemory is the limit that the command gives Go's collector; mapped files and the program itself come on top.
const backfillMemory = 400 << 20

type backfillOptions struct {
	location
	tenant, from, name     string
	start, end             string
	match                  []string
	relabel, tempDir       string
	dryRun, strict, asJSON bool
	parallel               int
	sortMiB                int

	// sourceTenant is the tenant to read, for kinds whose source has several.
	sourceTenant string
	varve        varveFlags
	bucketed     bucketedFlags
	live         liveFlags
	influx       influxFlags
	csv          csvFlags
	// flags are those of the command, flagKind the kinds that have flags of their own.
	flags    *pflag.FlagSet
	flagKind map[string]string
}

func newBackfill(e *environment) *cobra.Command {
	o := &backfillOptions{}
	cmd := &cobra.Command{
		Use: "backfill --from KIND PATH…", Short: "Bring history in from other databases", Long: backfillHelp(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("want the directory or files to read")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runBackfill(cmd.Context(), o, args, e) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "count, estimate, and write nothing")
	f.StringVar(&o.name, "name", "", "name of the job; under another name the same samples are taken over once more")
	o.register(f)
	cmd.AddCommand(newBackfillVerify(e), newBackfillCutover(e))
	return cmd
}

// register adds the flags that say what is read and where it belongs; verify and cutover have them too. Help shows them in this order, those of kinds last and together.
func (o *backfillOptions) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.from, "from", "", "what is read: "+strings.Join(backfillKindNames(), ", "))
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant of the bucket")
	f.StringVar(&o.start, "start", "", "first time, RFC 3339 or Unix seconds (default everything)")
	f.StringVar(&o.end, "end", "", "last time, RFC 3339 or Unix seconds (default everything)")
	f.StringArrayVar(&o.match, "match", nil, "`selector` of the series to take, by their labels at the source; one, with as many matchers as are needed")
	f.StringVar(&o.relabel, "relabel", "", "YAML file with a list of relabelling rules, as metric_relabel_configs of Prometheus")
	f.StringVar(&o.tempDir, "temp-dir", "", "where samples in no order are sorted (default that of the system)")
	f.BoolVar(&o.strict, "strict", false, "stop at the first thing that cannot be read")
	f.BoolVar(&o.asJSON, "json", false, "print progress and the summary as lines of JSON")
	f.IntVar(&o.parallel, "parallel", 2, "days to work on at one time, about 100 MiB each")
	f.IntVar(&o.sortMiB, "sort-memory", 128, "MiB of samples to sort in memory before the disk is used")
	f.StringVar(&o.sourceTenant, "source-tenant", "", "mimir, cortex, varve: tenant to read (default that of --tenant); thanos: directory of the blocks (default none)")
	o.registerKinds(f)
}

func runBackfill(ctx context.Context, o *backfillOptions, paths []string, e *environment) (err error) {
	cfg, err := o.config()
	if err != nil {
		return err
	}
	limitHeap(backfillMemory)
	skips := migrate.NewSkips(o.strict)
	src, err := o.source(ctx, paths, skips)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	bar := newBackfillBar(e, o.asJSON)
	c := migrate.Components{Now: time.Now, Progress: bar.show}
	if !o.dryRun {
		url, err := o.forReading()
		if err != nil {
			return err
		}
		if c.Bucket, err = blob.Open(ctx, forWriting(url), openers(), nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.Bucket.Close()) }()
		c.Catalog = catalog.New(c.Bucket, nil, catalog.Components{})
	}
	r, err := migrate.Run(ctx, cfg, c, src, skips)
	bar.end()
	if r == nil {
		return err
	}
	if err == nil && r.Days == 0 && len(r.Skipped) > 0 {
		err = fmt.Errorf("backfill: nothing but what was left out is there: is it of --from %s?", o.from)
	}
	if o.asJSON {
		return errors.Join(err, json.NewEncoder(e.out).Encode(map[string]any{"summary": r}))
	}
	printBackfill(e.out, r)
	return err
}

// config are the flags as a job takes them.
func (o *backfillOptions) config() (*migrate.Config, error) {
	if err := tenant.Check(o.tenant); err != nil {
		return nil, usagef("--tenant: %w", err)
	}
	if o.parallel < 1 || o.sortMiB < 1 {
		return nil, usagef("--parallel and --sort-memory must be more than 0")
	}
	cfg := &migrate.Config{
		Tenant: o.tenant, Name: o.name, DryRun: o.dryRun, Refetch: o.live.refetch, Parallel: o.parallel, TempDir: o.tempDir, SortBytes: int64(o.sortMiB) << 20,
		Range: &model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs},
	}
	for _, t := range []struct {
		flag, value string
		to          *int64
	}{{"start", o.start, &cfg.Range.MinMs}, {"end", o.end, &cfg.Range.MaxMs}} {
		if t.value == "" {
			continue
		}
		at, err := parseTime(t.value, time.Now())
		if err != nil {
			return nil, usagef("--%s is %q, want RFC 3339 or Unix seconds", t.flag, t.value)
		}
		*t.to = at.UnixMilli()
	}
	if cfg.Range.Empty() {
		return nil, usagef("--start is after --end")
	}
	if len(o.match) > 1 {
		return nil, usagef("--match is given %d times; one selector may have several matchers", len(o.match))
	}
	for _, m := range o.match {
		ms, err := parser.NewParser(parser.Options{}).ParseMetricSelector(m)
		if err != nil {
			return nil, usagef("--match: %w", err)
		}
		cfg.Matchers = ms
	}
	return cfg, o.readRelabel(cfg)
}

func (o *backfillOptions) readRelabel(cfg *migrate.Config) error {
	if o.relabel == "" {
		return nil
	}
	b, err := os.ReadFile(o.relabel)
	if err != nil {
		return usagef("--relabel: %w", err)
	}
	if err := yaml.Unmarshal(b, &cfg.Relabel); err != nil {
		return usagef("--relabel: %s: %w", o.relabel, err)
	}
	for i, r := range cfg.Relabel {
		if r == nil {
			r = &relabel.Config{}
		}
		if err := r.Validate(commonmodel.UTF8Validation); err != nil {
			return usagef("--relabel: %s: rule %d: %w", o.relabel, i+1, err)
		}
	}
	return nil
}
