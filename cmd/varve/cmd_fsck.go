package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/repair"
	"github.com/varvedb/varve/tenant"
)

const fsckHelp = `Checks a bucket and changes nothing: roots, catalogs and the roster; that every block is there, is the one that the catalog describes, and
that no others are left over; orders, watermarks, snapshots, shipped logs.

  --quick    names and sizes only: no request per block
  (default)  the footer of each block too: a request or two per block
  --deep     every byte and every sample: reads the whole bucket, and finds samples that lie in two places

It lists the bucket, needs up to 256 MiB and no disk, and may run while everything else does. Each finding names the object, what is wrong, and what to do.
Its severity is "lost" (samples cannot be read), "wrong" (nothing is lost, but something is not as it must be), or "note" (no fault: an orphan, say).

Exit code 0 says that there is nothing but notes, 1 that there are findings or that the check itself failed.
`

type fsckOptions struct {
	location
	scope
	quick, deep, json bool
}

// scope is the part of a bucket that fsck and rebuild look at.
type scope struct{ tenant, day string }

// register takes what the command does with it: "check" or "look at".
func (s *scope) register(f *pflag.FlagSet, verb, all string) {
	f.StringVar(&s.tenant, "tenant", "", verb+" this tenant only (default all, and "+all+")")
	f.StringVar(&s.day, "day", "", verb+" this day only, YYYY-MM-DD")
}

func (s *scope) options() (*repair.Options, error) {
	o := &repair.Options{Tenant: s.tenant}
	if s.tenant != "" {
		if err := tenant.Check(s.tenant); err != nil {
			return nil, usagef("--tenant: %w", err)
		}
	}
	if s.day != "" {
		t, err := time.Parse(time.DateOnly, s.day)
		if err != nil {
			return nil, usagef("--day is %q, want YYYY-MM-DD", s.day)
		}
		day := model.DayOf(t.UnixMilli())
		o.Day = &day
	}
	return o, nil
}

func newFsck(e *environment) *cobra.Command {
	o := &fsckOptions{}
	cmd := &cobra.Command{
		Use: "fsck", Short: "Check a bucket for damage", Long: fsckHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFsck(cmd.Context(), o, e) },
	}
	f := cmd.Flags()
	o.location.register(f)
	o.scope.register(f, "check", "the shipped logs")
	f.BoolVar(&o.quick, "quick", false, "compare names and sizes only")
	f.BoolVar(&o.deep, "deep", false, "read and decode every byte")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func runFsck(ctx context.Context, o *fsckOptions, e *environment) (err error) {
	opts, err := o.options()
	if err != nil {
		return err
	}
	switch {
	case o.quick && o.deep:
		return usagef("--quick and --deep exclude each other")
	case o.quick:
		opts.Depth = repair.Quick
	case o.deep:
		opts.Depth = repair.Deep
	}
	c, closeBucket, err := o.repairComponents(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeBucket()) }()
	bar := newPartBar(e.err, "fsck")
	opts.Progress = bar.show
	r, err := repair.Check(ctx, c, opts)
	bar.end()
	if o.json {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(r))
	} else {
		printFsck(e.out, r)
	}
	if bad := r.Bad(); err == nil && bad > 0 {
		err = fmt.Errorf("%s of this bucket %s wrong or lost", humanize.Comma(int64(bad))+" thing"+plural(bad), isOrAre(bad))
	}
	return err
}

// repairComponents opens the bucket for fsck and rebuild.
func (l *location) repairComponents(ctx context.Context) (c repair.Components, closeBucket func() error, err error) {
	url, err := l.forReading()
	if err != nil {
		return c, nil, err
	}
	limitHeap(lifecycleMemory)
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return c, nil, err
	}
	return repair.Components{
		Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{}), NowMs: func() int64 { return time.Now().UnixMilli() },
	}, b.Close, nil
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func printFsck(w io.Writer, r *repair.Report) {
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s  %s  %s\n      %s\n      do: %s\n", f.Severity, f.Kind, f.Object, f.What, f.Do)
	}
	if r.Untold > 0 {
		fmt.Fprintf(w, "and %s more\n", humanize.Comma(int64(r.Untold)))
	}
	fmt.Fprintf(w, "%d tenant%s, %d day%s, %s blocks of %s, %s samples decoded; %d orphan%s; %d finding%s, %d of them more than notes\n",
		r.Tenants, plural(r.Tenants), r.Partitions, plural(r.Partitions), humanize.Comma(int64(r.Blocks)), size(r.Bytes), humanize.Comma(r.Samples),
		r.Orphans, plural(r.Orphans), len(r.Findings)+r.Untold, plural(len(r.Findings)+r.Untold), r.Bad())
}

// partBar shows on a terminal how many days are done.
type partBar struct {
	w    *os.File
	name string
	bar  *progressbar.ProgressBar
}

func newPartBar(w io.Writer, name string) *partBar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &partBar{}
	}
	return &partBar{w: f, name: name}
}

// show is repair.Options.Progress.
func (b *partBar) show(done, total int) {
	if b.w == nil {
		return
	}
	if b.bar == nil || b.bar.GetMax() != total {
		b.bar = progressbar.NewOptions(total, progressbar.OptionSetDescription(b.name+": days"), progressbar.OptionSetWriter(b.w),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	_ = b.bar.Set(done) // a bar that cannot be drawn is no trouble
}

func (b *partBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
