package query

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// Config are the settings of a Queryable. The zero value is that of a server.
type Config struct {
	// Detached says that no sources are to be had: active writers are answered for by their
	// shipped logs, with a warning each. Default false.
	Detached bool
	// SpeculationBytes is how much one query may fetch on suspicion to save a round
	// trip. Default 4 MiB.
	SpeculationBytes int64
	// MaxParallelBlocks bounds the blocks that one Select reads at a time. Default 256.
	MaxParallelBlocks int
	// CatalogCacheBytes is the memory for decoded catalogs, which are revalidated for every query. Default 64 MiB.
	CatalogCacheBytes int64
	// MaxTailSegments and MaxTailBytes bound what is read of one writer's log, except of one in mode object.
	// Default 64 and 32 MiB.
	MaxTailSegments int
	MaxTailBytes    int64
	// Limits are the budgets of each query. Default none.
	Limits Limits
}

func (c *Config) withDefaults() Config {
	var d Config
	if c != nil {
		d = *c
	}
	setDefault(&d.SpeculationBytes, blocks.DefaultSpeculation)
	setDefault(&d.MaxParallelBlocks, 256)
	setDefault(&d.CatalogCacheBytes, 64<<20)
	setDefault(&d.MaxTailSegments, 64)
	setDefault(&d.MaxTailBytes, 32<<20)
	return d
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Catalog is what query needs of a *catalog.Store.
type Catalog interface {
	View(ctx context.Context, tenant string, r model.TimeRange, prev *catalog.View) (*catalog.View, error)
	Confirm(ctx context.Context, v *catalog.View) (*catalog.View, bool, error)
	Roster(ctx context.Context, prev *catalog.Roster) (*catalog.Roster, error)
	// What follows is for queries at a snapshot.
	Root(ctx context.Context, tenant string, prev *catalog.Root) (*catalog.Root, error)
	OpenSnapshot(ctx context.Context, tenant string, ref catalog.SnapshotRef) (*catalog.Snapshot, error)
	SnapshotView(ctx context.Context, root *catalog.Root, s *catalog.Snapshot, r model.TimeRange, known func(model.Day) *catalog.Partition) (*catalog.View, error)
}

// Logs is what query needs of a *blob.Bucket to read a writer's log.
type Logs interface {
	Get(ctx context.Context, key string) ([]byte, blob.Version, error)
	GetFirst(ctx context.Context, key string, n int64) (data []byte, size int64, err error)
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, error)
}

// Unreachable is a writer whose source cannot be asked.
type Unreachable struct {
	Writer string
	Err    error
}

// Components are what a Queryable works with. Catalog and Blocks are required.
type Components struct {
	Catalog Catalog
	// Blocks reads ranges of block objects: a bucket, or a cache before one (blocks.Cache). If it has a method Forget it is told the keys
	// of blocks that are no longer in their catalog.
	Blocks blocks.RangeReader
	// Logs reads the logs of writers that cannot be reached; nil if that is never to happen.
	Logs Logs
	// Sources gives a source for each active writer of the roster that can be reached, and says why for the
	// others; what it leaves out altogether counts as unreachable. It may add sources of writers that are not in the roster. nil gives none.
	Sources func(roster *catalog.Roster) ([]model.Source, []Unreachable)
	// Memory bounds what all queries hold together; nil for no bound.
	Memory *Gate
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Queryable implements storage.Queryable. Safe for concurrent use.
type Queryable struct {
	cfg     Config
	c       Components
	views   *views
	metrics *metrics
}

// New returns a Queryable. Close it after use.
func New(cfg *Config, c Components) (*Queryable, error) {
	q := &Queryable{cfg: cfg.withDefaults(), c: c, metrics: newMetrics(c.Registerer)}
	parsed, err := cache.NewParsed[any](&cache.Options{MaxBytes: q.cfg.CatalogCacheBytes})
	if err != nil {
		return nil, fmt.Errorf("make catalog cache: %w", err)
	}
	q.views = &views{catalog: c.Catalog, cache: parsed, forget: func(string) {}}
	if f, ok := c.Blocks.(interface{ Forget(key string) }); ok {
		q.views.forget = f.Forget
	}
	if q.c.Sources == nil {
		q.c.Sources = func(*catalog.Roster) ([]model.Source, []Unreachable) { return nil, nil }
	}
	return q, nil
}

// Close lets the caches go.
func (q *Queryable) Close() error {
	q.views.cache.Close()
	return nil
}

// Querier returns a querier of the closed range, in milliseconds. It does not do any I/O.
func (q *Queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	all := model.TimeRange{MinMs: model.MinTimeMs, MaxMs: model.MaxTimeMs}
	return newQuerier(q, model.TimeRange{MinMs: mint, MaxMs: maxt}.Intersect(all)), nil
}

type partialKey struct{}

// WithPartialResponse returns a context whose queries rather answer with what they can reach, and a warning, than fail
// because a writer cannot be reached.
func WithPartialResponse(ctx context.Context) context.Context {
	return context.WithValue(ctx, partialKey{}, true)
}

// PartialResponse reports whether the context is one of WithPartialResponse.
func PartialResponse(ctx context.Context) bool {
	on, _ := ctx.Value(partialKey{}).(bool)
	return on
}
