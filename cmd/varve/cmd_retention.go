package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const retentionHelp = `Shows and sets how long the samples of a tenant are kept. It is stored in the bucket; every worker (varve serve, varve lifecycle)
obeys it from its next look on, without a restart.

  varve retention get
  varve retention set --raw 90d --rule '{env="dev"} raw=7d' --rule '{job="bill"} raw=forever'
  varve retention remove

Ages are durations (30d, 2y) or "forever". The first rule that matches a series counts; where none does, or it does not say, --raw and --rollups of the tenant;
where these do not say, the worker's --retention and --rollups. Put exceptions above what they are exceptions to.

Rollups are coarser samples of the windows of 5 minutes and of an hour: count, sum, min, max, last and increase. They are made of days that are over for a
tenant for whom anybody says an age of rollups, be it in one rule, and for no other. Raw samples do not expire before rollups have them. Series without an age of
rollups lose theirs with their raw samples.

Days go as a whole, in UTC: a sample is gone at most a day, and a look, after its age, and never before. What has expired cannot be brought back,
also not by a longer age: its blocks are deleted an hour later.
`

type retentionOptions struct {
	location
	tenant       string
	json         bool
	raw, rollups string
	rules        []string
}

func newRetention(e *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "retention", Short: "Show and set how long samples are kept", Long: retentionHelp,
		Args: func(_ *cobra.Command, args []string) error { return noSubcommand(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(use, short string, run func(ctx context.Context, o *retentionOptions, s *catalog.Store) (*catalog.Root, error), flags func(o *retentionOptions, f *pflag.FlagSet)) {
		o := &retentionOptions{}
		sub := &cobra.Command{
			Use: use, Short: short, Long: retentionHelp, Args: usageArgs(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error { return runRetention(cmd.Context(), o, e, run) },
		}
		f := sub.Flags()
		o.location.register(f)
		f.StringVar(&o.tenant, "tenant", tenant.Default, "tenant whose retention it is")
		f.BoolVar(&o.json, "json", false, "print JSON")
		if flags != nil {
			flags(o, f)
		}
		cmd.AddCommand(sub)
	}
	add("get", "Show how long samples are kept", func(ctx context.Context, o *retentionOptions, s *catalog.Store) (*catalog.Root, error) {
		return s.Root(ctx, o.tenant, nil)
	}, nil)
	add("set", "Set how long samples are kept, in place of what was set before", setRetention, func(o *retentionOptions, f *pflag.FlagSet) {
		f.StringVar(&o.raw, "raw", "", "age of samples that no rule is about, such as 90d, or forever")
		f.StringVar(&o.rollups, "rollups", "", "the same for rollups, which are made if it is given here or in a rule")
		f.StringArrayVar(&o.rules, "rule", nil, `ages of the series that match, such as '{env="dev"} raw=7d rollups=90d'; may be repeated`)
	})
	add("remove", "Go back to the worker's --retention", func(ctx context.Context, o *retentionOptions, s *catalog.Store) (*catalog.Root, error) {
		return updateRetention(ctx, o, s, nil)
	}, nil)
	return cmd
}

// noSubcommand complains of arguments where a subcommand is wanted.
func noSubcommand(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is no command", args[0])
	}
	return nil
}

func setRetention(ctx context.Context, o *retentionOptions, s *catalog.Store) (*catalog.Root, error) {
	r := &lifecycle.Retention{Raw: lifecycle.Age(o.raw), Rollups: lifecycle.Age(o.rollups)}
	for _, text := range o.rules {
		rule, err := parseRule(text)
		if err != nil {
			return nil, err
		}
		r.Rules = append(r.Rules, rule)
	}
	if r.Raw == "" && r.Rollups == "" && len(r.Rules) == 0 {
		return nil, usagef("nothing is set; give --raw, --rollups or --rule, or use varve retention remove")
	}
	if err := r.Check(); err != nil {
		return nil, &usageError{err}
	}
	return updateRetention(ctx, o, s, r)
}

// parseRule reads SELECTOR raw=AGE rollups=AGE.
func parseRule(text string) (r lifecycle.RetentionRule, err error) {
	rest := strings.TrimSpace(text)
	for {
		at := strings.LastIndexAny(rest, " \t")
		name, value, ok := strings.Cut(rest[at+1:], "=")
		switch {
		case ok && name == "raw" && r.Raw == "":
			r.Raw = lifecycle.Age(value)
		case ok && name == "rollups" && r.Rollups == "":
			r.Rollups = lifecycle.Age(value)
		default:
			r.Matchers = rest
			if r.Raw == "" && r.Rollups == "" {
				return r, usagef("--rule %q does not end with raw=AGE or rollups=AGE", text)
			}
			return r, nil
		}
		if at < 0 {
			return r, usagef("--rule %q has no selector", text)
		}
		rest = strings.TrimSpace(rest[:at])
	}
}

func updateRetention(ctx context.Context, o *retentionOptions, s *catalog.Store, r *lifecycle.Retention) (*catalog.Root, error) {
	if r == nil {
		// Not to make a root only to take something out of it.
		root, err := s.Root(ctx, o.tenant, nil)
		if err != nil || root.Missing {
			return root, err
		}
	}
	return s.UpdateRoot(ctx, o.tenant, func(root *catalog.Root) error { return lifecycle.SetRetention(root, r) })
}

func runRetention(ctx context.Context, o *retentionOptions, e *environment, run func(ctx context.Context, o *retentionOptions, s *catalog.Store) (*catalog.Root, error)) error {
	if err := tenant.Check(o.tenant); err != nil {
		return usagef("--tenant: %w", err)
	}
	return o.withBucket(ctx, func(b *blob.Bucket) error {
		root, err := run(ctx, o, catalog.New(b, nil, catalog.Components{}))
		if err != nil {
			return err
		}
		if root.GravestoneMs != 0 {
			return fmt.Errorf("tenant %s was deleted: %w", o.tenant, model.ErrNotFound)
		}
		r, err := lifecycle.RetentionOf(root)
		if err != nil {
			return err
		}
		return printRetention(e.out, o, &r)
	})
}

// ageFlags are the --retention and --rollups of a worker.
type ageFlags struct{ raw, rollups *string }

func (a *ageFlags) register(f *pflag.FlagSet) {
	a.raw = f.String("retention", string(lifecycle.Forever), "how long samples are kept of tenants whose settings do not say (varve retention set): 90d, 2y, or forever")
	a.rollups = f.String("rollups", "", "the same for rollups, which are made of the days of all tenants then; by default only of those whose settings say an age for them")
}

func (a *ageFlags) check() error {
	if _, err := lifecycle.ParseAge(*a.raw); err != nil {
		return usagef("--retention: %w", err)
	}
	if _, err := lifecycle.ParseAge(*a.rollups); err != nil {
		return usagef("--rollups: %w", err)
	}
	return nil
}

// withBucket opens the bucket for a command.
func (l *location) withBucket(ctx context.Context, do func(*blob.Bucket) error) (err error) {
	url, err := l.forReading()
	if err != nil {
		return err
	}
	b, err := blob.Open(ctx, url, openers(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return do(b)
}

// printRetention shows what is stored; what it does not say is up to the workers.
func printRetention(w io.Writer, o *retentionOptions, r *lifecycle.Retention) error {
	if o.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Tenant string `json:"tenant"`
			*lifecycle.Retention
		}{o.tenant, r})
	}
	_, err := fmt.Fprint(w, describeRetention(o.tenant, r))
	return err
}

func describeRetention(name string, r *lifecycle.Retention) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Retention of tenant %s: raw %s, rollups %s\n", name, age(r.Raw, "by default"), age(r.Rollups, "by default"))
	for i, rule := range r.Rules {
		fmt.Fprintf(&b, "  %d. %s: raw %s, rollups %s\n", i+1, rule.Matchers, age(rule.Raw, "as the tenant"), age(rule.Rollups, "as the tenant"))
	}
	return b.String()
}

// age is an age in words.
func age(a lifecycle.Age, unsaid string) string {
	if a == "" {
		return unsaid
	}
	return string(a)
}
