package varve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// Reader answers PromQL over one bucket. Safe for concurrent use.
type Reader struct {
	bucket    *blob.Bucket
	owned     bool
	catalog   *catalog.Store
	parser    parser.Parser
	engine    *query.Engine
	queryable *query.Queryable
	caches    *caches
	memory    *query.Gate
	results   *query.ResultCache // nil without one
}

// OpenReader opens a bucket for reading, without a data directory and without reaching any writer: for an active one it reads the
// log that the writer has shipped, and the answer carries a warning. Close it after use.
func OpenReader(ctx context.Context, opts *Options) (*Reader, error) {
	o := opts.withDefaults()
	o.Query.Detached = true
	r, err := openReader(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("open reader: %w", err)
	}
	if err := r.wire(&o, nil); err != nil {
		return nil, fmt.Errorf("open reader: %w", errors.Join(err, r.closeBucket()))
	}
	return r, nil
}

// openReader opens bucket and catalog; wire completes it.
func openReader(ctx context.Context, o *Options) (*Reader, error) {
	b, owned, err := o.bucket(ctx)
	if err != nil {
		return nil, err
	}
	return &Reader{bucket: b, owned: owned, catalog: catalog.New(b, nil, catalog.Components{Now: o.Now, Registerer: o.Registerer})}, nil
}

// wire makes the engine and what it reads from. sources may be nil.
func (r *Reader) wire(o *Options, s *sources) (err error) {
	if r.caches, err = openCaches(o, r.bucket); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.caches.close())
		}
	}()
	r.memory = query.NewGate(o.QueryMemoryBytes, o.Registerer)
	c := query.Components{Catalog: r.catalog, Blocks: r.caches.reader(), Logs: r.bucket, Memory: r.memory, Registerer: o.Registerer}
	if s != nil {
		c.Sources = s.of
	}
	if r.queryable, err = query.New(&o.Query, c); err != nil {
		return err
	}
	r.parser = query.NewParser()
	engine := o.Engine
	// Who reads logs instead of asking writers cannot tell what is new, and would keep results in vain.
	if o.Cache.ResultBytes > 0 && !o.Query.Detached {
		if r.results, err = query.NewResultCache(r.queryable, o.Cache.ResultBytes, o.Registerer); err != nil {
			return errors.Join(err, r.queryable.Close())
		}
		engine.Results = r.results
	}
	r.engine = query.NewEngine(&engine, r.parser, o.Logger, o.Registerer)
	return nil
}

// Close lets go of the bucket and the caches. Queries must have ended.
func (r *Reader) Close() error {
	if r.results != nil {
		r.results.Close()
	}
	return errors.Join(r.engine.Close(), r.queryable.Close(), r.caches.close(), r.closeBucket())
}

func (r *Reader) closeBucket() error {
	if !r.owned {
		return nil
	}
	return r.bucket.Close()
}

// Bucket is the bucket that is read.
func (r *Reader) Bucket() *blob.Bucket { return r.bucket }

// Catalog is the bucket's catalog.
func (r *Reader) Catalog() *catalog.Store { return r.catalog }

// Queryable is the storage behind Prometheus' interfaces. The tenant of a call is in its context (tenant.NewContext).
func (r *Reader) Queryable() *query.Queryable { return r.queryable }

// QueryMemory is what bounds the memory of queries, for who sends their answers; nil without Options.QueryMemoryBytes.
func (r *Reader) QueryMemory() *query.Gate { return r.memory }

// Engine is Prometheus' engine with our limits, whose heavy parts are evaluated column-wise; Parser is the parser that it uses.
func (r *Reader) Engine() *query.Engine { return r.engine }

// Parser is the parser that Engine uses.
func (r *Reader) Parser() parser.Parser { return r.parser }

// Query evaluates a PromQL expression at one time for a tenant. Warnings are in the result, an error in its Err. What is asked for beside the expression is in the
// context: query.WithResolution, query.WithSnapshot, query.WithPartialResponse, query.WithAccount.
func (r *Reader) Query(ctx context.Context, tenantName, expr string, at time.Time) (*promql.Result, error) {
	if err := tenant.Check(tenantName); err != nil {
		return nil, fmt.Errorf("query: tenant %w", err)
	}
	ctx = tenant.NewContext(ctx, tenantName)
	q, err := r.engine.NewInstantQuery(ctx, r.queryable, nil, expr, at)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return q.Exec(ctx), nil
}

// QueryRange evaluates a PromQL expression at each step from start to end for a tenant.
func (r *Reader) QueryRange(ctx context.Context, tenantName, expr string, start, end time.Time, step time.Duration) (*promql.Result, error) {
	if err := tenant.Check(tenantName); err != nil {
		return nil, fmt.Errorf("query: tenant %w", err)
	}
	ctx = tenant.NewContext(ctx, tenantName)
	q, err := r.engine.NewRangeQuery(ctx, r.queryable, nil, expr, start, end, step)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	return q.Exec(ctx), nil
}
