package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/cobra"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

const queryHelp = `Evaluates PromQL straight from a bucket, with no server running.

Without times it evaluates at this moment; with --time at that one; with --start, --end and --step over a range. Times are seconds since 1970, RFC 3339,
now, or now-1h.

A writer that is alive holds samples that are not in the bucket yet. What it has shipped of its log is read too, and a warning on
standard error says up to when.

With --snapshot it asks a snapshot of the tenant instead, and no writer.

With --resolution it says from which samples: raw ones only, rollups of 5m or 1h where all is in them, or auto, which takes the coarsest that the range and
the step are made for. Without it, rollups answer for days of which raw samples have expired. Standard error says when they did.

With --explain the query is made all the same, and the answer is what it took: dependent stages of requests, GETs by kind, LISTs, bytes
fetched and bytes needed, and what the requests cost at the list price of S3. A query that fails is accounted for as far as it came.
`

type queryOptions struct {
	location
	tenant, time, start, end string
	snapshot, resolution     string
	step, timeout, lookback  *interval
	stepGiven                bool
	maxSamples               int
	limits                   queryLimits
	caches                   cacheFlags
	json, explain            bool
}

func newQuery(e *environment) *cobra.Command {
	o := &queryOptions{}
	cmd := &cobra.Command{
		Use: "query PROMQL", Short: "Evaluate PromQL straight from a bucket", Long: queryHelp, Args: exactly("PROMQL"),
		Example: "  varve query --bucket s3://metrics?region=eu-west-1 'sum by (job) (rate(http_requests_total[5m]))'\n" +
			"  varve query --start now-6h --end now --step 5m --json up",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.stepGiven = cmd.Flags().Changed("step")
			return runQuery(cmd.Context(), o, args[0], e)
		},
	}
	f := cmd.Flags()
	o.location.register(f)
	f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose data is asked")
	f.StringVar(&o.time, "time", "", "moment of an instant query (default now)")
	f.StringVar(&o.start, "start", "", "begin of a range query")
	f.StringVar(&o.end, "end", "", "end of a range query (default now)")
	f.StringVar(&o.snapshot, "snapshot", "", "name of the snapshot to ask (default the present)")
	f.StringVar(&o.resolution, "resolution", "", "auto, raw, 5m or 1h (default raw, and rollups where raw samples have expired)")
	o.step = intervalFlag(f, "step", time.Minute, "step of a range query")
	o.timeout = intervalFlag(f, "timeout", 2*time.Minute, "longest time of the query")
	o.lookback = intervalFlag(f, "query-lookback", 5*time.Minute, "how old the last sample of a series may be to count as its value")
	f.IntVar(&o.maxSamples, "query-max-samples", 50_000_000, "samples that the query may hold in memory")
	o.limits.register(f)
	o.caches.registerOnce(f)
	f.BoolVar(&o.explain, "explain", false, "print what the query did at the bucket instead of its result: requests, bytes, cost")
	f.BoolVar(&o.json, "json", false, "print the JSON that Prometheus' API answers")
	return cmd
}

// moments are the times of a query; step is 0 for an instant one.
type moments struct {
	start, end time.Time
	step       time.Duration
}

// maxPoints of a range query, as Prometheus has it.
const maxPoints = 11_000

func (o *queryOptions) moments(now time.Time) (m moments, err error) {
	if o.start == "" {
		switch {
		case o.end != "":
			return m, usagef("--end needs --start")
		case o.stepGiven:
			return m, usagef("--step needs --start")
		}
		m.start = now
		if o.time != "" {
			m.start, err = parseTime(o.time, now)
		}
		return m, err
	}
	if o.time != "" {
		return m, usagef("--time is for instant queries, --start for ranges: give one")
	}
	if m.start, err = parseTime(o.start, now); err != nil {
		return m, err
	}
	m.end, m.step = now, time.Duration(*o.step)
	if o.end != "" {
		if m.end, err = parseTime(o.end, now); err != nil {
			return m, err
		}
	}
	switch {
	case m.step < time.Millisecond:
		return m, usagef("--step is %s, want at least 1ms", m.step)
	case m.end.Before(m.start):
		return m, usagef("--end is before --start")
	case m.end.Sub(m.start)/m.step > maxPoints:
		return m, usagef("the range has more than %d steps; use a longer --step", maxPoints)
	}
	return m, nil
}

func (o *queryOptions) check() error {
	if err := o.limits.check(); err != nil {
		return err
	}
	if o.snapshot != "" {
		if err := catalog.CheckSnapshotName(o.snapshot); err != nil {
			return usagef("--snapshot: %w", err)
		}
	}
	return checkNumbers(
		flagNumber{"timeout", int64(*o.timeout), 1},
		flagNumber{"query-lookback", int64(*o.lookback), 1},
		flagNumber{"query-max-samples", int64(o.maxSamples), 1},
	)
}

func runQuery(ctx context.Context, o *queryOptions, expr string, e *environment) error {
	if err := o.check(); err != nil {
		return err
	}
	m, err := o.moments(time.Now())
	if err != nil {
		return err
	}
	resolution, err := query.ParseResolution(o.resolution)
	if err != nil {
		return usagef("--resolution: %w", err)
	}
	bucket, err := o.forReading()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*o.timeout))
	defer cancel()
	r, err := varve.OpenReader(ctx, &varve.Options{
		Bucket: bucket, Openers: openers(), Query: query.Config{Limits: o.limits.limits()}, Cache: o.caches.once(bucket),
		Logger: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Engine: query.EngineOptions{
			Timeout: time.Duration(*o.timeout), Lookback: time.Duration(*o.lookback), MaxSamples: o.maxSamples, MaxConcurrency: 1,
		},
	})
	if err != nil {
		return err
	}
	ctx, account := query.WithAccount(ctx)
	if o.snapshot != "" {
		ctx = query.WithSnapshot(ctx, o.snapshot)
	}
	ctx = query.WithResolution(ctx, resolution)
	result, err := evaluate(ctx, r, o.tenant, expr, m)
	if err == nil {
		err = result.Err
	}
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("query: no answer within --timeout %s: %w", time.Duration(*o.timeout), context.DeadlineExceeded)
		}
		switch {
		case o.explain:
			err = errors.Join(err, printExplain(e.out, account.Explain(), err, o.json))
		case o.json:
			err = errors.Join(err, printErrorJSON(e.out, err))
		}
		return errors.Join(err, r.Close())
	}
	warn(e, result, expr)
	if o.explain {
		err = printExplain(e.out, account.Explain(), nil, o.json)
	} else if o.json {
		err = printResultJSON(e.out, result, expr)
	} else {
		if isEmpty(result.Value) {
			fmt.Fprintln(e.err, "the result is empty")
		}
		err = printResult(e.out, result.Value)
	}
	r.KeepWarm(ctx)
	return errors.Join(err, r.Close())
}

func evaluate(ctx context.Context, r *varve.Reader, tenantName, expr string, m moments) (*promql.Result, error) {
	if m.step == 0 {
		return r.Query(ctx, tenantName, expr, m.start)
	}
	return r.QueryRange(ctx, tenantName, expr, m.start, m.end, m.step)
}

func warn(e *environment, r *promql.Result, expr string) {
	warnings, infos := annotations(r, expr)
	for _, w := range warnings {
		fmt.Fprintln(e.err, "warning: "+strings.TrimPrefix(strings.TrimSpace(w), "PromQL warning: "))
	}
	for _, i := range infos {
		fmt.Fprintln(e.err, "info: "+strings.TrimPrefix(strings.TrimSpace(i), "PromQL info: "))
	}
}

// annotations are the warnings and infos of a result, each sorted.
func annotations(r *promql.Result, expr string) (warnings, infos []string) {
	warnings, infos = r.Warnings.AsStrings(expr, 0, 0)
	slices.Sort(warnings)
	slices.Sort(infos)
	return warnings, infos
}

func isEmpty(v parser.Value) bool {
	switch v := v.(type) {
	case promql.Vector:
		return len(v) == 0
	case promql.Matrix:
		return len(v) == 0
	}
	return false
}
