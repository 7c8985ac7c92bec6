package main

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/bucketed"
)

// bucketedFlags are those of --from thanos, mimir and cortex.
type bucketedFlags struct {
	replicaLabels []string
	dedup         string
}

func registerBucketed(f *pflag.FlagSet, o *backfillOptions) {
	f.StringArrayVar(&o.bucketed.replicaLabels, "replica-label", nil, "thanos, mimir, cortex: label that tells replicas apart; it is dropped, and of the copies of a series one is made (may be repeated)")
	f.StringVar(&o.bucketed.dedup, "replica-dedup", "penalty", "thanos, mimir, cortex: how one is made of copies: penalty follows one replica and takes another where that one has a gap, chain takes every timestamp of every replica, for those that get the same samples (Thanos Receive)")
}

// openBucketed opens the bucket of a Thanos, Mimir or Cortex, which is closed with the source.
func openBucketed(ctx context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	if len(args) != 1 {
		return nil, usagef("want the URL of one bucket, got %d", len(args))
	}
	opts := &bucketed.Options{
		Name: bucketName(args[0]), Tenant: o.sourceTenant, NoExternalLabels: o.from == "mimir", ReplicaLabels: o.bucketed.replicaLabels,
		TempDir: o.tempDir, Parallel: o.parallel, Estimate: o.dryRun && len(o.match) == 0,
	}
	switch o.bucketed.dedup {
	case "penalty":
	case "chain":
		opts.Dedup = bucketed.Chain
	default:
		return nil, usagef("--replica-dedup is %q, want penalty or chain", o.bucketed.dedup)
	}
	if slices.Contains(opts.ReplicaLabels, "") || slices.Contains(opts.ReplicaLabels, "__name__") {
		return nil, usagef("--replica-label is %q, want the name of a label", opts.ReplicaLabels)
	}
	if o.from != "thanos" {
		opts.Tenant = cmp.Or(o.sourceTenant, o.tenant)
	}
	if opts.Tenant != "" && blob.ValidKey(opts.Tenant) != nil {
		return nil, usagef("--source-tenant is %q: it may hold letters, digits and _.=-/ only", opts.Tenant)
	}
	b, err := blob.Open(ctx, args[0], openers(), nil)
	if err != nil {
		return nil, err
	}
	return bucketed.New(b, skips, opts), nil
}

// bucketName is the URL with its prefix as part of the path and without other parameters.
func bucketName(raw string) string {
	name, _, _ := strings.Cut(blob.Redact(raw), "?")
	if u, err := url.Parse(raw); err == nil && u.Query().Get("prefix") != "" {
		name = strings.TrimSuffix(name, "/") + "/" + strings.Trim(u.Query().Get("prefix"), "/")
	}
	return name
}
