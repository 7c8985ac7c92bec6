package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/migrate/verify"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// parityOptions are the flags of queries that are asked of both sides.
type parityOptions struct {
	queries     []string
	queriesFile string
	sourceURL   string
	step        *interval
	// queryTolerance is for the last bits of sums, which servers add up in another order.
	queryTolerance float64
}

func (o *parityOptions) register(f *pflag.FlagSet) {
	f.StringArrayVar(&o.queries, "query", nil, "PromQL to ask of both sides; may be repeated")
	f.StringVar(&o.queriesFile, "queries", "", "file with PromQL to ask of both sides, one a line")
	f.StringVar(&o.sourceURL, "source-url", "", "server that answers --query for the source, as http://host:9090 with what --http-config says (default the source itself, read here)")
	f.Float64Var(&o.queryTolerance, "query-tolerance", 1e-9, "by how much values of --query may differ, relative to the larger one; at least as much as --tolerance")
	o.step = intervalFlag(f, "step", 0, "step of --query over the range; 0 is an instant query at its end")
}

// question texts are those of the flags.
func (o *parityOptions) questions() ([]string, error) {
	out := append([]string(nil), o.queries...)
	if o.queriesFile != "" {
		f, err := os.Open(o.queriesFile)
		if err != nil {
			return nil, usagef("--queries: %w", err)
		}
		defer func() { _ = f.Close() }() // it was only read
		in := bufio.NewScanner(f)
		for in.Scan() {
			if line := strings.TrimSpace(in.Text()); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		}
		if err := in.Err(); err != nil {
			return nil, usagef("--queries: %w", err)
		}
	}
	p := query.NewParser()
	for _, q := range out {
		if _, err := p.ParseExpr(q); err != nil {
			return nil, usagef("--query %q: %w", q, err)
		}
	}
	if !(o.queryTolerance >= 0 && o.queryTolerance < 1) {
		return nil, usagef("--query-tolerance is %v, want 0 or more and less than 1", o.queryTolerance)
	}
	if len(out) == 0 && (o.sourceURL != "" || time.Duration(*o.step) > 0) {
		return nil, usagef("--source-url and --step are for --query or --queries, of which there is none")
	}
	return out, nil
}

// when are the times at which questions are asked: of what was compared.
func (o *verifyOptions) when(cfg *verify.Config, r *verify.Report) (verify.Question, error) {
	q := verify.Question{Start: time.UnixMilli(r.MinMs), End: time.UnixMilli(r.MaxMs), Step: time.Duration(*o.step)}
	if o.start != "" {
		q.Start = time.UnixMilli(cfg.Job.Range.MinMs)
	}
	if o.end != "" {
		q.End = time.UnixMilli(cfg.Job.Range.MaxMs)
	}
	if q.Step > 0 && q.End.Sub(q.Start)/q.Step > maxPoints {
		return q, usagef("the range has more than %d steps; use a longer --step, or --start", maxPoints)
	}
	return q, nil
}

// ask asks both sides what is compared by answers.
func (o *verifyOptions) ask(ctx context.Context, texts []string, cfg *verify.Config, s *sides, r *verify.Report) (out []verify.Compared, err error) {
	when, err := o.when(cfg, r)
	if err != nil {
		return nil, err
	}
	var questions []verify.Question
	for _, text := range texts {
		q := when
		q.Query = text
		questions = append(questions, q)
	}
	reader, err := varve.OpenReader(ctx, &varve.Options{
		Bucket: s.url, Openers: openers(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), QueryMemoryBytes: verify.DefaultSelectBytes,
		Engine: query.EngineOptions{MaxConcurrency: 1},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	target := &verify.EngineAsker{Engine: reader.Engine(), Queryable: reader.Queryable()}
	ctx = tenant.NewContext(ctx, o.tenant)
	tolerance := max(o.tolerance, o.queryTolerance)
	if o.sourceURL != "" {
		return o.askServer(ctx, questions, target, tolerance)
	}
	target.Queryable = verify.Limited(target.Queryable, &cfg.Job)
	engine := query.NewEngine(&query.EngineOptions{MaxConcurrency: 1}, query.NewParser(), nil, nil)
	defer func() { err = errors.Join(err, engine.Close()) }()
	source := &verify.EngineAsker{Engine: engine, Queryable: verify.NewSourceQueryable(cfg, s.Components, r, 0)}
	return verify.Parity(ctx, questions, source, target, tolerance, o.show)
}

// askServer has a server answer for the source.
func (o *verifyOptions) askServer(ctx context.Context, questions []verify.Question, target verify.Asker, tolerance float64) ([]verify.Compared, error) {
	client, err := o.live.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	source, err := verify.NewAPIAsker(o.sourceURL, client)
	if err != nil {
		return nil, usagef("--source-url: %w", err)
	}
	out, err := verify.Parity(ctx, questions, source, target, tolerance, o.show)
	noteVersion(ctx, client, o.sourceURL, out)
	return out, err
}

// printParity prints what came of a query.
func printParity(w io.Writer, c *verify.Compared) {
	when := "at " + clock(c.EndMs)
	if c.StepMs > 0 {
		when = fmt.Sprintf("from %s to %s, each %s", clock(c.StartMs), clock(c.EndMs), time.Duration(c.StepMs)*time.Millisecond)
	}
	verdict := "the same"
	switch {
	case !c.Equal:
		verdict = fmt.Sprintf("%d differ", c.Different)
	case c.Points == 0:
		verdict = "both are empty"
	}
	fmt.Fprintf(w, "query %s\n  %s: %d series, %d points: %s\n", c.Query, when, c.Series, c.Points, verdict)
	for i := range c.Differences {
		d := &c.Differences[i]
		fmt.Fprintf(w, "  %s %s: source %s, bucket %s\n", d.Series, clock(d.TimeMs), orNothing(d.Source), orNothing(d.Target))
	}
	for _, n := range c.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
}
