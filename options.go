package varve

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

// Options are what a DB is made of. Bucket with Openers (or OpenedBucket) and DataDir are required.
type Options struct {
	// Bucket is the URL of the bucket: s3://, gs://, azblob://, file:// or mem://; package blob describes them.
	Bucket string
	// Openers open the schemes of bucket URLs that this process knows.
	Openers map[string]blob.Opener
	// OpenedBucket is used instead of Bucket and Openers, and is not closed by the DB.
	OpenedBucket *blob.Bucket
	// DataDir is the local directory of the log and of blocks on their way to the bucket. It is made if missing, is locked
	// while the DB is open, and is this writer's identity: one directory for each DB.
	DataDir string

	// Ingest are the settings of writing: durability, shipping, memory. The zero value means the defaults.
	Ingest ingester.Config
	// Query are the settings of reading. Detached is set by OpenReader and Open.
	Query query.Config
	// QueryMemoryBytes is what all queries together may hold: a query that finds it used up waits a while if it has not begun, else it fails
	// (query.Gate). Default 0, no limit.
	QueryMemoryBytes int64
	// Engine are the limits of PromQL: timeout, concurrency, samples, lookback.
	Engine query.EngineOptions
	// Cache is what is kept of blocks between queries.
	Cache CacheOptions
	// Peers is how other writers of the bucket are asked for their recent samples.
	Peers wire.ClientOptions

	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Logger gets what happens in the background. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics of all rooms. Default: none.
	Registerer prometheus.Registerer
}

// CacheOptions bound what is kept of blocks and of results, besides catalogs (query.Config.CatalogCacheBytes).
type CacheOptions struct {
	// MemoryBytes is the budget of what lies in memory. Default 64 MiB; negative keeps nothing.
	MemoryBytes int64
	// Dir is where copies of blocks that are read much are made, while Run runs. One process at a time has it; a second one works
	// without. Default none.
	Dir string
	// DiskBytes is the budget of Dir. Default 1 GiB.
	DiskBytes int64
	// ResultBytes is the budget of the results of range queries that are kept (query.ResultCache). Default 16 MiB; negative keeps none. A Reader that reaches no writer
	// keeps none.
	ResultBytes int64
	// Eager copies blocks sooner: for a process that ends soon and calls KeepWarm.
	Eager bool
}

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Cache.MemoryBytes == 0 {
		r.Cache.MemoryBytes = 64 << 20
	}
	if r.Cache.ResultBytes == 0 {
		r.Cache.ResultBytes = 16 << 20
	}
	return r
}

// bucket opens the bucket; owned says that it is ours to close.
func (o *Options) bucket(ctx context.Context) (b *blob.Bucket, owned bool, err error) {
	if o.OpenedBucket != nil {
		return o.OpenedBucket, false, nil
	}
	if o.Bucket == "" {
		return nil, false, fmt.Errorf("no bucket is named: %w", model.ErrInvalid)
	}
	b, err = blob.Open(ctx, o.Bucket, o.Openers, &blob.Options{Registerer: o.Registerer})
	return b, true, err
}
