package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const lsHelp = `Lists the objects of a tenant's blocks, as its catalogs name them: those that are live, and those that were replaced or expired and are kept for an hour.

With --sql it prints read_parquet([...]) of exactly the live parquet blocks, to be put into a statement of DuckDB: the folders also hold files that do not
count any more. What lies in hot blocks, which SQL cannot read, is counted on standard error. With --resolution 5m or 1h it prints the rollups instead, which have
other columns. See docs/sql.md.

--start and --end choose days; a moment stands for its UTC day.
`

type lsOptions struct {
	location
	tenant          string
	start, end      string
	resolution      string
	live, sql, json bool
}

func newLs(e *environment) *cobra.Command {
	o := &lsOptions{}
	cmd := &cobra.Command{
		Use: "ls", Short: "List blocks, also for SQL", Long: lsHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.sql && o.json {
				return usagef("--sql and --json are two forms of one list")
			}
			if !slices.Contains([]string{"", "5m", "1h"}, o.resolution) || o.resolution != "" && !o.sql {
				return usagef("--resolution is 5m or 1h, and goes with --sql")
			}
			return runLs(cmd.Context(), o, e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose blocks are listed")
	f.StringVar(&o.start, "start", "", "first day: YYYY-MM-DD, or a moment of it: RFC 3339, seconds since 1970, now-24h (default the first)")
	f.StringVar(&o.end, "end", "", "last day (default the last)")
	f.BoolVar(&o.live, "live", false, "only live blocks")
	f.BoolVar(&o.sql, "sql", false, "print the live parquet blocks as read_parquet([...])")
	f.StringVar(&o.resolution, "resolution", "", "with --sql: print rollups of 5m or 1h in place of samples")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// lsRow is one object.
type lsRow struct {
	URL    string `json:"url"`
	Day    string `json:"day"`
	ID     string `json:"id"`
	Format string `json:"format"`
	// State is live or retired.
	State  string `json:"state"`
	Bytes  int64  `json:"bytes"`
	Series int64  `json:"series,omitempty"`
	// Samples (of rollups: windows), and the times of the first and the last, are known of live blocks.
	Samples int64 `json:"samples,omitempty"`
	MinMs   int64 `json:"min_ms,omitempty"`
	MaxMs   int64 `json:"max_ms,omitempty"`
}

func runLs(ctx context.Context, o *lsOptions, e *environment) (err error) {
	if err := tenant.Check(o.tenant); err != nil {
		return usagef("--tenant: %w", err)
	}
	days, err := o.days(time.Now())
	if err != nil {
		return err
	}
	url, err := o.forReading()
	if err != nil {
		return err
	}
	objects, err := objectURL(url, o.sql)
	if err != nil {
		return err
	}
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	rows, err := listBlocks(ctx, catalog.New(b, nil, catalog.Components{}), o.tenant, days, objects)
	if err != nil {
		return err
	}
	if o.live || o.sql {
		rows = slices.DeleteFunc(rows, func(r lsRow) bool { return r.State != "live" })
	}
	switch {
	case o.sql:
		return printSQL(e, rows, o.resolution)
	case o.json:
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return printBlocks(e.out, rows)
}

// days is the range of days that --start and --end choose.
func (o *lsOptions) days(now time.Time) (r model.TimeRange, err error) {
	r = model.TimeRange{MinMs: -1 << 60, MaxMs: 1 << 60}
	if o.start != "" {
		day, err := parseDay(o.start, now)
		if err != nil {
			return r, usagef("--start: %w", err)
		}
		r.MinMs = day.Range().MinMs
	}
	if o.end != "" {
		day, err := parseDay(o.end, now)
		if err != nil {
			return r, usagef("--end: %w", err)
		}
		r.MaxMs = day.Range().MaxMs
	}
	return r, nil
}

// listBlocks reads the catalogs of the days. A day that is in the root and has no catalog yet has no blocks.
func listBlocks(ctx context.Context, c *catalog.Store, name string, days model.TimeRange, url func(key string) string) ([]lsRow, error) {
	root, err := c.Root(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	rows := []lsRow{}
	for _, day := range root.Days {
		if !day.Range().Overlaps(days) {
			continue
		}
		p, err := c.Partition(ctx, name, day, nil)
		if err != nil {
			return nil, err
		}
		of := func(id string, f blocks.Format, state string, bytes int64) lsRow {
			return lsRow{URL: url(blocks.KeyOf(name, day, id, f)), Day: day.Dashed(), ID: id, Format: formatName(f), State: state, Bytes: bytes}
		}
		for _, b := range p.All() {
			r := of(b.ID, b.Format, "live", b.Size)
			r.Series, r.Samples, r.MinMs, r.MaxMs = b.Series, b.Samples, b.MinT, b.MaxT
			rows = append(rows, r)
		}
		for _, b := range p.Retired {
			rows = append(rows, of(b.ID, b.Format, "retired", b.Size))
		}
	}
	slices.SortStableFunc(rows, func(a, b lsRow) int { return cmp.Compare(a.Day, b.Day) })
	return rows, nil
}

func formatName(f blocks.Format) string {
	switch f {
	case blocks.Parquet:
		return "parquet"
	case blocks.Rollup5m:
		return "rollup 5m"
	case blocks.Rollup1h:
		return "rollup 1h"
	default:
		return "hot"
	}
}

// printSQL prints the files for DuckDB, and says what is missing in them. Resolution is that of rollups, "" prints samples.
func printSQL(e *environment, rows []lsRow, resolution string) error {
	wanted := "parquet"
	if resolution != "" {
		wanted = "rollup " + resolution
	}
	var files []string
	var hot, samples int64
	for _, r := range rows {
		switch {
		case r.Format == wanted:
			files = append(files, "'"+strings.ReplaceAll(r.URL, "'", "''")+"'")
		case r.Format == "hot" && resolution == "":
			hot++
			samples += r.Samples
		}
	}
	if hot > 0 {
		fmt.Fprintf(e.err, "varve: not in the list: %s samples in %d hot blocks, of days that are not compacted or came late\n", humanize.Comma(samples), hot)
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no %s block: %w", wanted, model.ErrNotFound)
	}
	_, err := fmt.Fprintf(e.out, "read_parquet([%s])\n", strings.Join(files, ", "))
	return err
}

func printBlocks(w io.Writer, rows []lsRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tSTATE\tFORMAT\tSIZE\tSERIES\tSAMPLES\tOBJECT")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Day, r.State, r.Format, size(r.Bytes), humanize.Comma(r.Series), humanize.Comma(r.Samples), r.URL)
	}
	return t.Flush()
}
