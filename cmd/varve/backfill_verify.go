package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/migrate/verify"
	"github.com/varvedb/varve/model"
)

const verifyHelp = `Compares what is in the bucket with the source that was taken over, sample by sample: give it the flags and arguments of the backfill. Nothing is written.

It tells by day how many series and samples there are on both sides, and names what is missing in the bucket or has another value, with labels, time and both values. What the bucket has more
is told, and is no failure without --exact: live writes go there too. What a backfill leaves out of the source is named, and is not missing.

Values are compared to the last bit. With --tolerance 1e-9 they may differ by as much, relative to the larger one: for sources that hand out rounded numbers.

With --query, which may be repeated, or --queries FILE (one a line; lines that begin with # are none) PromQL is asked of both sides too: at --end or the last sample of the source, or with --step over
the range. The source's answer comes from the files themselves, or with --source-url from a server that speaks Prometheus' API.

Exit codes: 0 equal; 1 differences, or nothing to compare; 2 wrong usage, or what --strict stopped at; 3 one of the sides could not be read to its end, which says nothing about the rest. Docs: docs/migration.md.
`

// verifyOptions are flags of verify and cutover.
type verifyOptions struct {
	backfillOptions
	parityOptions
	tolerance float64
	exact     bool
	show      int
}

func newBackfillVerify(e *environment) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use: "verify --from KIND PATH…", Short: "Compare the bucket with a source that was taken over", Long: verifyHelp, Args: usageArgs(wantSource),
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), o, args, e) },
	}
	o.registerVerify(cmd)
	return cmd
}

func (o *verifyOptions) registerVerify(cmd *cobra.Command) {
	f := cmd.Flags()
	o.backfillOptions.register(f)
	o.parityOptions.register(f)
	f.Float64Var(&o.tolerance, "tolerance", 0, "by how much values may differ, relative to the larger one")
	f.BoolVar(&o.exact, "exact", false, "what the bucket has more is a difference too")
	f.IntVar(&o.show, "show", 20, "differences to name; all are counted")
}

// wantSource checks the arguments of commands that read a source.
func wantSource(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("want the directory or files to read")
	}
	return nil
}

// differentError is the outcome of a comparison that worked: exit code 1.
type differentError struct{ what string }

func (e *differentError) Error() string { return e.what }

// incompleteError is a comparison that did not come to its end: exit code 3, whatever was the matter.
type incompleteError struct{ error }

func (e *incompleteError) Unwrap() error { return e.error }

// incomplete is the error of a comparison. What the caller did wrong stays that.
func incomplete(err error) error {
	if err == nil || errors.Is(err, model.ErrInvalid) {
		return err
	}
	return &incompleteError{err}
}

// sides are a source and the bucket, opened for a comparison.
type sides struct {
	verify.Components
	bucket *blob.Bucket
	url    string
}

// openSides opens both. What was opened is closed again after an error.
func (o *verifyOptions) openSides(ctx context.Context, cfg *migrate.Config, args []string) (s *sides, err error) {
	s = &sides{Components: verify.Components{Skips: migrate.NewSkips(o.strict), TargetSkips: migrate.NewSkips(false), Now: time.Now}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.url, err = o.forReading(); err != nil {
		return s, err
	}
	if s.Source, err = o.source(ctx, args, s.Skips); err != nil {
		return s, err
	}
	if s.bucket, err = blob.Open(ctx, s.url, openers(), nil); err != nil {
		return s, incomplete(err)
	}
	// What a backfill has made are blocks; logs are the live path's.
	target := &own.Options{Rows: true, NoLogs: true, TempDir: o.tempDir, SortBytes: o.sortBytes()}
	if o.relabel == "" {
		target.Matchers = cfg.Matchers
	}
	s.Target, err = own.Open(s.bucket, catalog.New(s.bucket, nil, catalog.Components{}), o.tenant, s.TargetSkips, target)
	return s, err
}

func (s *sides) close() error {
	var errs []error
	for _, src := range []migrate.Source{s.Source, s.Target} {
		if src != nil {
			errs = append(errs, src.Close())
		}
	}
	if s.bucket != nil {
		errs = append(errs, s.bucket.Close())
	}
	return errors.Join(errs...)
}

// verifyConfig are the flags as a comparison takes them.
func (o *verifyOptions) verifyConfig() (*verify.Config, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	if !(o.tolerance >= 0 && o.tolerance < 1) {
		return nil, usagef("--tolerance is %v, want 0 or more and less than 1", o.tolerance)
	}
	if o.show < 1 {
		return nil, usagef("--show must be more than 0")
	}
	limitHeap(backfillMemory)
	return &verify.Config{Job: *cfg, Tolerance: o.tolerance, Exact: o.exact, MaxNamed: o.show}, nil
}

func runVerify(ctx context.Context, o *verifyOptions, args []string, e *environment) (err error) {
	cfg, err := o.verifyConfig()
	if err != nil {
		return err
	}
	questions, err := o.questions()
	if err != nil {
		return err
	}
	s, err := o.openSides(ctx, &cfg.Job, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	bar := newBackfillBar(e, o.asJSON)
	s.Progress = bar.show
	r, err := verify.Run(ctx, cfg, s.Components)
	bar.end()
	if r == nil {
		return err
	}
	if err == nil && len(questions) > 0 {
		err = r.Ask(func() ([]verify.Compared, error) { return o.ask(ctx, questions, cfg, s, r) })
	}
	if o.asJSON {
		err = errors.Join(incomplete(err), json.NewEncoder(e.out).Encode(map[string]any{"summary": r}))
	} else {
		printVerify(e.out, r)
		err = incomplete(err)
	}
	if err == nil && !r.Equal {
		return &differentError{verdict(r)}
	}
	return err
}

// verdict is the outcome in a sentence.
func verdict(r *verify.Report) string {
	t := &r.Total
	var what []string
	for _, c := range []struct {
		n    int64
		text string
	}{
		{t.MissingSamples, "samples are missing"},
		{t.DifferentValues, "values differ"},
		{t.DifferentHistograms, "native histograms differ"},
		{t.DifferentTypes, "samples are of another type"},
	} {
		if c.n > 0 {
			what = append(what, fmt.Sprintf("%d %s", c.n, c.text))
		}
	}
	if r.Exact && t.ExtraSamples > 0 {
		what = append(what, fmt.Sprintf("%d samples are extra", t.ExtraSamples))
	}
	if n := verify.Different(r.Queries); n > 0 {
		what = append(what, fmt.Sprintf("%d of %d queries have another answer", n, len(r.Queries)))
	}
	switch {
	case t.SourceSamples == 0 && len(what) == 0:
		return "nothing was compared: the source has no samples that were asked for"
	case len(what) == 0 && len(r.Skipped) > 0:
		return "equal, apart from what is left out"
	case len(what) == 0:
		return "equal"
	}
	return "different: " + strings.Join(what, ", ")
}
