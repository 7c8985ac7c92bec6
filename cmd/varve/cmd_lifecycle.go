package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

const lifecycleHelp = `Looks after a bucket: merges the small blocks that flushes leave, above 48 a day, into larger ones, so that queries need fewer requests, and makes parquet,
which any program can read, of days that are over, and rollups of them where they are wanted; removes what has expired.

` + "`varve serve`" + ` does the same in the background, unless --lifecycle=false says otherwise. Any number of processes may do it; they keep out of each
other's way. It needs the right to read, write, list and delete, up to 256 MiB of memory, and no disk. Blocks that were merged are deleted an hour later.

With --once it does what is due now, prints what it did, and ends: for cron. Without, it goes on until it is told to end. It may be ended at
any moment; what it was doing is done again by whoever looks next.
`

// lifecycleMemory is the limit that the command gives Go's collector; the program itself comes on top.
const lifecycleMemory = 200 << 20

type lifecycleOptions struct {
	location
	compact    compactFlags
	once, json bool
	interval   *interval
	ages       ageFlags
}

func newLifecycle(e *environment) *cobra.Command {
	o := &lifecycleOptions{}
	cmd := &cobra.Command{
		Use: "lifecycle", Short: "Merge small blocks, compact and roll up days", Long: lifecycleHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.json && !o.once {
				return usagef("--json prints the report of --once")
			}
			if *o.interval < 1 {
				return usagef("--lifecycle-interval must be more than 0")
			}
			if err := o.ages.check(); err != nil {
				return err
			}
			return runLifecycle(cmd.Context(), o, e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	o.compact.register(f)
	f.BoolVar(&o.once, "once", false, "do what is due now, and end")
	f.BoolVar(&o.json, "json", false, "print the report of --once as JSON")
	o.interval = intervalFlag(f, "lifecycle-interval", 2*time.Minute, "time between two looks at the bucket")
	o.ages.register(f)
	return cmd
}

func runLifecycle(ctx context.Context, o *lifecycleOptions, e *environment) (err error) {
	url, err := o.forReading()
	if err != nil {
		return err
	}
	limitHeap(lifecycleMemory)
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	c := lifecycle.Components{Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{})}
	bar := newJobBar(e.err)
	c.Progress = bar.show
	if !o.once {
		c.Logger = slog.New(slog.NewTextHandler(e.err, nil))
	}
	l, err := lifecycle.New(&lifecycle.Config{
		Interval: time.Duration(*o.interval), Retention: lifecycle.Age(*o.ages.raw), Rollups: lifecycle.Age(*o.ages.rollups), Compact: o.compact.settings(),
	}, c)
	if err != nil {
		return err
	}
	if !o.once {
		return l.Run(ctx)
	}
	report, err := l.Once(ctx)
	bar.end()
	if printErr := printLifecycle(e.out, &report, o.json); printErr != nil {
		return errors.Join(err, printErr)
	}
	if err == nil && len(report.Failures) > 0 {
		return fmt.Errorf("%d partitions failed, the first with: %s: %w", len(report.Failures), report.Failures[0], model.ErrUnavailable)
	}
	return err
}

func printLifecycle(w io.Writer, r *lifecycle.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := fmt.Fprintf(w, "%d partitions, %d catalogs read; %d merges, %d compactions and %d roll-ups: %d blocks of %s became %d of %s, %s samples; %d merged blocks of %s deleted\n",
		r.Partitions, r.Read, r.Jobs-r.Compactions-r.Rollups, r.Compactions, r.Rollups, r.InputBlocks, size(r.InputBytes), r.OutputBlocks, size(r.OutputBytes), humanize.Comma(r.Samples), r.Collected, size(r.CollectedBytes))
	if r.Expired+r.Masked > 0 {
		fmt.Fprintf(w, "retention: %d blocks of %s expired, series of %d days are hidden until their blocks are rewritten\n", r.Expired, size(r.ExpiredBytes), r.Masked)
	}
	if r.DeletedObjects > 0 {
		fmt.Fprintf(w, "deleted tenants: %d objects of %s deleted\n", r.DeletedObjects, size(r.DeletedBytes))
	}
	if r.Orphans+r.OrphansKept+r.Segments > 0 {
		fmt.Fprintf(w, "orphans: %d blocks of %s deleted, %d kept (see varve fsck); %d old segments of logs deleted\n", r.Orphans, size(r.OrphanBytes), r.OrphansKept, r.Segments)
	}
	for _, q := range r.Quarantined {
		fmt.Fprintf(w, "quarantined: %s\n", q)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "failed, try again: %s\n", f)
	}
	return err
}

// jobBar shows on a terminal how far the job of the moment is.
type jobBar struct {
	w   *os.File
	job string
	bar *progressbar.ProgressBar
}

func newJobBar(w io.Writer) *jobBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &jobBar{}
	}
	return &jobBar{w: f}
}

// show is lifecycle.Components.Progress.
func (b *jobBar) show(p lifecycle.Progress) {
	if b.w == nil {
		return
	}
	if name := fmt.Sprintf("%s %s %s", p.Tenant, p.Day.Dashed(), p.Job); name != b.job {
		b.end()
		b.job = name
		b.bar = progressbar.NewOptions64(p.Total, progressbar.OptionSetDescription(name), progressbar.OptionSetWriter(b.w),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	_ = b.bar.Set64(p.Done) // a bar that cannot be drawn is no trouble
}

func (b *jobBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
		b.bar, b.job = nil, ""
	}
}
