package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/live"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/migrate/verify"
)

const cutoverHelp = `Tells whether the old database may be switched off: whether its history is in the bucket, as verify does, and whether the live path, such as remote write into Varve, has covered everything since.

Each series that had samples in the hour before the end of the source is followed in the bucket until now. It must go on without a gap of more than three of its scrape intervals, at the interval that it
had, and still arrive. A series that ended with a stale marker is well. The end is the last sample of the source, or --since
for a source that went on after the backfill; what it has behind that is not looked at.

What servers have not flushed yet is asked of --url, a Varve on the bucket. Without it the logs that writers ship to the bucket are read, and what cannot be seen that way is said. With --skip-verify the history
is not compared once more.

Exit codes: 0 ready; 1 not ready, with the reasons; 2 wrong usage, or what --strict stopped at; 3 something could not be read to its end, which says nothing about the rest. Docs: docs/migration.md.
`

type cutoverOptions struct {
	verifyOptions
	url, urlConfig, since string
	window                *interval
	intervals             int
	skipVerify            bool
}

func newBackfillCutover(e *environment) *cobra.Command {
	o := &cutoverOptions{}
	cmd := &cobra.Command{
		Use: "cutover --from KIND PATH…", Short: "Check whether the database that was taken over may be switched off", Long: cutoverHelp, Args: usageArgs(wantSource),
		RunE: func(cmd *cobra.Command, args []string) error { return runCutover(cmd.Context(), o, args, e) },
	}
	o.registerVerify(cmd)
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "Varve server on the bucket, as http://host:9009, to ask for what is not flushed yet")
	f.StringVar(&o.urlConfig, "url-http-config", "", "YAML file with credentials, certificates, headers and proxies for --url, as http_config of Prometheus")
	f.StringVar(&o.since, "since", "", "end of the backfill, RFC 3339 or Unix seconds (default the last sample of the source)")
	o.window = intervalFlag(f, "alive", time.Hour, "how long before the end a series must have had a sample to be expected to go on")
	f.IntVar(&o.intervals, "gap-intervals", 3, "scrape intervals without a sample that make a gap")
	f.BoolVar(&o.skipVerify, "skip-verify", false, "do not compare the history")
	return cmd
}

// tenantTransport names the tenant in each request.
type tenantTransport struct {
	tenant string
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *tenantTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Scope-OrgID", t.tenant)
	return t.next.RoundTrip(r)
}

// openLivePath opens what the bucket has of the time since: by the server, or the bucket with the logs in it.
func (o *cutoverOptions) openLivePath(ctx context.Context, cfg *migrate.Config, s *sides, skips *migrate.Skips) (migrate.Source, error) {
	matchers := cfg.Matchers
	if o.relabel != "" {
		matchers = nil
	}
	if o.url == "" {
		return own.Open(s.bucket, catalog.New(s.bucket, nil, catalog.Components{}), o.tenant, skips, &own.Options{Matchers: matchers, TempDir: o.tempDir, SortBytes: o.sortBytes()})
	}
	if !isServer(o.url) {
		return nil, usagef("--url is not of the form http://HOST:PORT")
	}
	flags := liveFlags{httpConfig: o.urlConfig}
	client, err := flags.client()
	if err != nil {
		return nil, err
	}
	client.Transport = &tenantTransport{o.tenant, client.Transport}
	if err := wantVarve(ctx, client, o.url); err != nil {
		return nil, err
	}
	return live.NewRemoteRead(o.url, skips, &live.Options{TempDir: o.tempDir, SortBytes: o.sortBytes(), Days: 1, Matchers: matchers, Tries: 4}, live.Components{
		Client: client, Now: time.Now, Sleep: blob.SystemClock{}.Sleep, Rand: rand.Float64,
	})
}

func (o *cutoverOptions) cutoverConfig() (*verify.CutoverConfig, error) {
	v, err := o.verifyConfig()
	if err != nil {
		return nil, err
	}
	if err := checkNumbers(flagNumber{"gap-intervals", int64(o.intervals), 1}, flagNumber{"alive", int64(*o.window), int64(time.Second)}); err != nil {
		return nil, err
	}
	cfg := &verify.CutoverConfig{Config: *v, Window: time.Duration(*o.window), Intervals: o.intervals, SkipVerify: o.skipVerify}
	if o.since != "" {
		at, err := parseTime(o.since, time.Now())
		if err != nil {
			return nil, usagef("--since is %q, want RFC 3339 or Unix seconds", o.since)
		}
		cfg.SinceMs = at.UnixMilli()
	}
	return cfg, nil
}

func runCutover(ctx context.Context, o *cutoverOptions, args []string, e *environment) (err error) {
	cfg, err := o.cutoverConfig()
	if err != nil {
		return err
	}
	questions, err := o.questions()
	if err != nil {
		return err
	}
	if len(questions) > 0 && o.skipVerify {
		return usagef("--query is part of what --skip-verify leaves out")
	}
	s, err := o.openSides(ctx, &cfg.Job, args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	c := verify.CutoverComponents{Components: s.Components, LiveSkips: migrate.NewSkips(false)}
	if c.Live, err = o.openLivePath(ctx, &cfg.Job, s, c.LiveSkips); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Live.Close()) }()
	bar := newBackfillBar(e, o.asJSON)
	c.Progress = bar.show
	if len(questions) > 0 {
		c.Ask = func(ctx context.Context, r *verify.Report) ([]verify.Compared, error) {
			return o.ask(ctx, questions, &cfg.Config, s, r)
		}
	}
	r, err := verify.Cutover(ctx, cfg, c)
	bar.end()
	if r == nil {
		return err
	}
	if o.asJSON {
		err = errors.Join(incomplete(err), json.NewEncoder(e.out).Encode(map[string]any{"summary": r}))
	} else {
		printCutover(e.out, r, err == nil)
		err = incomplete(err)
	}
	if err == nil && !r.Ready {
		return &differentError{"not ready: " + strings.Join(r.Reasons, "; ")}
	}
	return err
}

// printCutover prints what came of a check.
func printCutover(w io.Writer, r *verify.CutoverReport, complete bool) {
	if r.History != nil {
		printVerify(w, r.History)
		fmt.Fprintln(w)
	}
	if !complete {
		fmt.Fprintln(w, "NOT READY: the check did not come to its end")
		return
	}
	fmt.Fprintf(w, "end of the source: %s; live path seen until %s\n", clock(r.EndMs), clock(r.NowMs))
	fmt.Fprintf(w, "%s series were alive at the end; %s go on", humanize.Comma(r.Expected), humanize.Comma(r.Covered))
	if r.EndedSince > 0 {
		fmt.Fprintf(w, ", of which %s ended since with a stale marker", humanize.Comma(r.EndedSince))
	}
	if r.EndedAtSource > 0 {
		fmt.Fprintf(w, "; %s had ended before", humanize.Comma(r.EndedAtSource))
	}
	fmt.Fprintf(w, "\nlongest time from the last sample of the source to the next: %s; longest gap since: %s\n", span(r.LongestHandoverMs), span(r.LongestGapMs))
	for i := range r.Problems {
		printProblem(w, &r.Problems[i])
	}
	if n := wrong(r) - int64(len(r.Problems)); n > 0 {
		fmt.Fprintf(w, "and %s more series\n", humanize.Comma(n))
	}
	for i := range r.Unseen {
		fmt.Fprintf(w, "could not be seen: %s\n", r.Unseen[i].String())
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if r.Ready {
		fmt.Fprintln(w, "READY")
		return
	}
	fmt.Fprintln(w, "NOT READY")
	for _, reason := range r.Reasons {
		fmt.Fprintf(w, "  %s\n", reason)
	}
}

func wrong(r *verify.CutoverReport) (n int64) {
	for _, k := range r.Wrong {
		n += k
	}
	return n
}

func span(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func printProblem(w io.Writer, p *verify.Problem) {
	fmt.Fprintf(w, "%s: %s\n  ", p.Kind, p.Series)
	switch p.Kind {
	case verify.MissingLive:
		fmt.Fprintf(w, "last sample of the source %s, nothing since\n", clock(p.SourceLastMs))
	case verify.Silent:
		fmt.Fprintf(w, "last sample %s, at intervals of %s before\n", clock(p.LastMs), span(max(p.IntervalMs, p.SourceIntervalMs)))
	case verify.HandoverGap:
		fmt.Fprintf(w, "nothing from %s to %s: %s, at intervals of %s before\n", clock(p.SourceLastMs), clock(p.FirstMs), span(p.GapMs), span(p.SourceIntervalMs))
	case verify.LiveGap:
		fmt.Fprintf(w, "%d gaps, the longest from %s: %s\n", p.Gaps, clock(p.GapAtMs), span(p.GapMs))
	case verify.Slower:
		fmt.Fprintf(w, "each %s at the source, each %s since\n", span(p.SourceIntervalMs), span(p.IntervalMs))
	}
}
