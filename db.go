package varve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/model"
)

// DB is one writer of a bucket and a reader of the whole of it: its own recent samples, those of other writers that it can reach, and
// everything in the bucket. Safe for concurrent use.
type DB struct {
	*Reader
	ingester *ingester.Ingester
	sources  *sources
	checked  bucketCheck
}

var (
	_ model.Appender = (*DB)(nil)
	_ model.Source   = (*DB)(nil)
)

// Open opens the data directory, replays its log, and enters the bucket's roster. It starts no goroutine: call Run.
//
// A bucket that cannot be reached is no error: Ready and CheckBucket tell, and Run goes on trying. A bucket that ignores conditional writes, a data
// directory in use, and a damaged log are.
func Open(ctx context.Context, opts *Options) (*DB, error) {
	o := opts.withDefaults()
	o.Query.Detached = false
	if o.DataDir == "" {
		return nil, fmt.Errorf("open: no data directory is named: %w", model.ErrInvalid)
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	r, err := openReader(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	i, err := ingester.Open(ctx, o.Ingest, ingester.Components{
		FS: vfs.OS{}, Dir: dir, Bucket: r.bucket, Catalog: r.catalog, Now: o.Now, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", errors.Join(err, r.closeBucket()))
	}
	// A peer that hangs has to be given up while there is still time to say so, or to answer without it.
	if o.Peers.Timeout <= 0 && o.Engine.Timeout > 0 {
		o.Peers.Timeout = min(longestPeerTimeout, o.Engine.Timeout/2)
	}
	db := &DB{Reader: r, ingester: i, sources: newSources(i, o.Peers), checked: bucketCheck{catalog: r.catalog, now: o.Now}}
	if err := r.wire(&o, db.sources); err != nil {
		return nil, fmt.Errorf("open: %w", errors.Join(err, i.Abandon(), r.closeBucket()))
	}
	return db, nil
}

// longestPeerTimeout is how long a query waits for another writer's answer, unless Options.Peers says otherwise.
const longestPeerTimeout = 30 * time.Second

// Run ships, flushes, commits and fills the cache directory in the background until ctx ends, and returns when everything it started has ended. Call it once.
func (db *DB) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var copying sync.WaitGroup
	copying.Go(func() { db.Reader.Run(ctx) })
	defer copying.Wait()
	defer cancel()
	return db.ingester.Run(ctx)
}

// Append implements model.Appender: the good part of the batch is durable when it returns nil.
func (db *DB) Append(ctx context.Context, tenantName string, b *model.Batch) (model.AppendResult, error) {
	return db.ingester.Append(ctx, tenantName, b)
}

// Writer implements model.Source: the id of this data directory in the roster.
func (db *DB) Writer() string { return db.ingester.Writer() }

// Select implements model.Source with what this writer holds that is not in the catalog. For queries use Query, Engine or Queryable.
func (db *DB) Select(ctx context.Context, tenantName string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	return db.ingester.Select(ctx, tenantName, r, matchers)
}

// Flush returns when everything acknowledged before the call is committed to the bucket.
func (db *DB) Flush(ctx context.Context) error { return db.ingester.Flush(ctx) }

// Ready returns nil while writes are accepted: the log was replayed, the roster names this writer, and the last fsync was good.
func (db *DB) Ready() error { return db.ingester.Ready() }

// CheckBucket returns nil if the bucket answers. The answer is kept for some seconds.
func (db *DB) CheckBucket(ctx context.Context) error { return db.checked.run(ctx) }

// Close flushes, marks the writer as cleanly gone in the roster, and lets everything go. Run must have returned, and queries
// and appends must have ended. After an error everything acknowledged is still safe in the data directory.
func (db *DB) Close(ctx context.Context) error {
	err := db.ingester.Close(ctx)
	db.sources.close()
	return errors.Join(err, db.Reader.Close())
}

// bucketCheckKept is how long an answer of the bucket stands for the next ones, so that probes cost next to nothing.
const bucketCheckKept = 15 * time.Second

// bucketCheck asks the bucket for the roster, which every query needs.
type bucketCheck struct {
	catalog *catalog.Store
	now     func() time.Time

	mu     sync.Mutex // guards the fields below
	roster *catalog.Roster
	at     time.Time
}

func (c *bucketCheck) run(ctx context.Context) error {
	now := c.now()
	c.mu.Lock()
	prev, at := c.roster, c.at
	c.mu.Unlock()
	if now.Sub(at) < bucketCheckKept {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	roster, err := c.catalog.Roster(ctx, prev)
	if err != nil {
		return fmt.Errorf("reach bucket: %w", err)
	}
	c.mu.Lock()
	c.roster, c.at = roster, now
	c.mu.Unlock()
	return nil
}
