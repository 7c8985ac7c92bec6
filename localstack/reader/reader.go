// Package reader opens a bucket the way a reader of it does, bucket, catalogs and
// queryable, in the process of a check or a benchmark: to see what no HTTP
// answer shows, such as staleness markers, the bits of a NaN, what each block holds, or how many
// requests a query takes.
//
// A Reader is safe for concurrent use. Whoever opened it closes it.
package reader

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/azure"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/blob/gcs"
	"github.com/varvedb/varve/blob/s3"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// Latency is added to each request, so that requests made side by side overlap and stages can be counted.
const Latency = 10 * time.Millisecond

// Reader is an open bucket. It knows no source but the bucket: a query fails while the
// roster has an active writer.
type Reader struct {
	Bucket    *blob.Bucket
	Catalog   *catalog.Store
	Queryable *query.Queryable
	counts    *countblob.Driver
}

// Open opens the bucket at a URL. Nothing is cached yet.
func Open(ctx context.Context, rawURL string) (*Reader, error) {
	r := &Reader{}
	openers := map[string]blob.Opener{}
	for scheme, open := range map[string]blob.Opener{"s3": s3.Open, "gs": gcs.Open, "azblob": azure.Open, "file": dir.Open} {
		openers[scheme] = func(ctx context.Context, u *url.URL) (blob.Driver, error) {
			d, err := open(ctx, u)
			if err != nil {
				return nil, err
			}
			r.counts = countblob.Wrap(d, &countblob.Options{Latency: Latency})
			return r.counts, nil
		}
	}
	var err error
	if r.Bucket, err = blob.Open(ctx, rawURL, openers, nil); err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	r.Catalog = catalog.New(r.Bucket, nil, catalog.Components{})
	r.Queryable, err = query.New(nil, query.Components{Catalog: r.Catalog, Blocks: blocks.Stored{Bucket: r.Bucket}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open reader: %w", err), r.Bucket.Close())
	}
	return r, nil
}

// Close lets the bucket go.
func (r *Reader) Close() error { return errors.Join(r.Queryable.Close(), r.Bucket.Close()) }

// Counts returns what has been asked of the bucket since Open or the last ResetCounts.
func (r *Reader) Counts() countblob.Stats { return r.counts.Stats() }

// ResetCounts begins to count anew.
func (r *Reader) ResetCounts() { r.counts.Reset() }

// Partitions returns the catalogs of all days of a tenant.
func (r *Reader) Partitions(ctx context.Context, tenant string) ([]*catalog.Partition, error) {
	root, err := r.Catalog.Root(ctx, tenant, nil)
	if err != nil {
		return nil, fmt.Errorf("read root: %w", err)
	}
	var out []*catalog.Partition
	for _, day := range root.Days {
		p, err := r.Catalog.Partition(ctx, tenant, day, nil)
		if err != nil {
			return nil, fmt.Errorf("read catalog of %s: %w", day, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// All is every time that Varve keeps.
func All() model.TimeRange { return model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs} }
