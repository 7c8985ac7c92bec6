package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/own"
	"github.com/varvedb/varve/tenant"
)

// varveFlags are those of --from varve.
type varveFlags struct{ snapshot string }

func registerVarve(f *pflag.FlagSet, o *backfillOptions) {
	f.StringVar(&o.varve.snapshot, "source-snapshot", "", "varve: snapshot of the source tenant to read, so that all is of one moment")
}

// openVarve opens a tenant of a bucket of ours, which is closed with the source.
func openVarve(ctx context.Context, o *backfillOptions, args []string, skips *migrate.Skips) (migrate.Source, error) {
	if len(args) != 1 {
		return nil, usagef("want the URL of one bucket, got %d", len(args))
	}
	from := o.sourceTenant
	if from == "" {
		from = o.tenant
	}
	if err := tenant.Check(from); err != nil {
		return nil, usagef("--source-tenant: %w", err)
	}
	if !o.dryRun && o.relabel == "" && from == o.tenant {
		to, err := o.forReading()
		if err == nil && strings.TrimSuffix(to, "/") == strings.TrimSuffix(args[0], "/") {
			return nil, usagef("the source is the tenant %s of the same bucket", from)
		}
	}
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	b, err := blob.Open(ctx, args[0], openers(), nil)
	if err != nil {
		return nil, err
	}
	s, err := own.Open(b, catalog.New(b, nil, catalog.Components{}), from, skips, &own.Options{
		Snapshot: o.varve.snapshot, Matchers: cfg.Matchers, Rows: true, TempDir: o.tempDir, SortBytes: o.sortBytes(),
	})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &bucketSource{Source: s, bucket: b}, nil
}

// bucketSource closes the bucket with the source.
type bucketSource struct {
	migrate.Source
	bucket *blob.Bucket
}

// Close implements migrate.Source.
func (s *bucketSource) Close() error { return errors.Join(s.Source.Close(), s.bucket.Close()) }
