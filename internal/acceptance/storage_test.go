package acceptance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// path is where the samples lie when they are read.
type path string

const (
	memtablePath path = "memtable" // an ingester that never flushes
	flushedPath  path = "flushed"  // the same, flushing after every transaction
	coldPath     path = "cold"     // closed after every transaction, and read by a new queryable without sources
	lambdaPath   path = "lambda"   // as varve-lambda reads: half of the transactions in blocks, half in the log in the bucket, and no source to ask
	httpPath     path = "http"     // a memtable, asked over the HTTP API as well
	parquetPath  path = "parquet"  // as cold, with the blocks of each day merged into one of parquet, so that each transaction is late data
)

// closes reports whether the ingester is closed after every transaction.
func (p path) closes() bool { return p == coldPath || p == parquetPath }

// store is a storage.Storage of one ingester and one queryable over a bucket in memory.
type store struct {
	t         testing.TB
	path      path
	ing       *ingester.Ingester
	open      func() (*ingester.Ingester, error)
	queryable *query.Queryable
	catalog   *catalog.Store
	bucket    *blob.Bucket
	appended  int
}

func newStore(t testing.TB, p path) (*store, error) {
	ctx := context.Background()
	s := &store{t: t, path: p, bucket: blob.New(mem.New(), nil)}
	s.catalog = catalog.New(s.bucket, nil, catalog.Components{})
	fs := memfs.New()
	s.open = func() (*ingester.Ingester, error) {
		cfg := ingester.Config{SkipProbe: true, FlushParallel: 1}
		if p == lambdaPath {
			cfg.Mode, cfg.ObjectBatch = ingester.ModeObject, -1
		}
		return ingester.Open(ctx, cfg, ingester.Components{FS: fs, Dir: "data", Bucket: s.bucket, Catalog: s.catalog})
	}
	var err error
	if !p.closes() {
		if s.ing, err = s.open(); err != nil {
			return nil, err
		}
	}
	return s, s.renew()
}

// renew makes a queryable that has seen nothing yet.
func (s *store) renew() (err error) {
	if s.queryable != nil {
		err = s.queryable.Close()
	}
	c := query.Components{Catalog: s.catalog, Blocks: blocks.Stored{Bucket: s.bucket}}
	switch {
	case s.path == lambdaPath:
		c.Logs = s.bucket
	case !s.path.closes():
		c.Sources = func(*catalog.Roster) ([]model.Source, []query.Unreachable) {
			return []model.Source{s.ing}, nil
		}
	}
	q, newErr := query.New(&query.Config{CatalogCacheBytes: 1 << 20, Detached: s.path == lambdaPath}, c)
	s.queryable = q
	return errors.Join(err, newErr)
}

// append appends the batch and brings it to where it is to be read from.
func (s *store) append(b *model.Batch) (err error) {
	ctx := context.Background()
	if s.path.closes() {
		if s.ing, err = s.open(); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, s.ing.Close(ctx))
			s.ing = nil
			if s.path == parquetPath {
				err = errors.Join(err, s.compact(ctx))
			}
			err = errors.Join(err, s.renew())
		}()
	}
	got, err := s.ing.Append(ctx, tenant.Default, b)
	if err != nil {
		return err
	}
	if got.RejectedSamples > 0 || len(got.Rejected) > 0 {
		return fmt.Errorf("%d samples rejected: %v", got.RejectedSamples, got.Rejected)
	}
	if s.appended++; s.path == flushedPath || s.path == lambdaPath && s.appended%2 == 1 {
		return s.ing.Flush(ctx)
	}
	return nil
}

// compact lets lifecycle compact each day that has a hot block.
func (s *store) compact(ctx context.Context) error {
	l, err := lifecycle.New(&lifecycle.Config{
		Compact: lifecycle.CompactSettings{Settle: -1, LateBlocks: 1, WaitForWriters: -1}, Sequential: true,
	}, lifecycle.Components{Bucket: s.bucket, Catalog: s.catalog})
	if err != nil {
		return err
	}
	root, err := s.catalog.Root(ctx, tenant.Default, nil)
	if err != nil {
		return err
	}
	for _, day := range root.Days {
		for {
			did, err := l.Step(ctx, tenant.Default, day)
			if err != nil {
				return err
			}
			if !did {
				break
			}
		}
		p, err := s.catalog.Partition(ctx, tenant.Default, day, nil)
		if err != nil {
			return err
		}
		if n := lifecycle.HotBlocks(p); n > 0 {
			return fmt.Errorf("%d blocks of %s are hot after the compaction", n, day)
		}
	}
	return nil
}

// Close implements storage.Storage.
func (s *store) Close() error {
	err := s.queryable.Close()
	if s.ing != nil {
		err = errors.Join(err, s.ing.Abandon())
	}
	return errors.Join(err, s.bucket.Close())
}

// Querier implements storage.Queryable.
func (s *store) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.queryable.Querier(mint, maxt)
}

var errUnused = errors.New("the suite does not use this")

// ChunkQuerier, Appender and StartTime are not called by the suite.
func (s *store) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) { return nil, errUnused }

func (s *store) Appender(context.Context) storage.Appender { panic(errUnused) }

func (s *store) StartTime() (int64, error) { return 0, errUnused }

// AppenderV2 implements storage.AppendableV2.
func (s *store) AppenderV2(context.Context) storage.AppenderV2 {
	return &appender{store: s, batch: model.Batch{Labels: keyDecoder{}}}
}

// appender gathers one transaction in one batch.
type appender struct {
	store *store
	batch model.Batch
}

func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	b := &a.batch
	s := model.BatchSeries{Key: appendKey(nil, ls), First: int32(len(b.Samples)), FirstHistogram: int32(len(b.Histograms))}
	switch {
	case h == nil && fh == nil && st == 0:
		b.Samples = append(b.Samples, model.Sample{T: t, V: v})
		s.Count = 1
	case h == nil && fh == nil:
		b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: model.FloatWithStart(st, v)})
		s.HistogramCount = 1
	default:
		p := prompb.FromFloatHistogram(t, fh)
		if h != nil {
			p = prompb.FromIntHistogram(t, h)
		}
		bytes, err := p.Marshal()
		if err != nil {
			return 0, err
		}
		if st != 0 {
			bytes = model.HistogramWithStart(st, bytes)
		}
		b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: bytes})
		s.HistogramCount = 1
	}
	b.Series = append(b.Series, s)
	return 1, nil
}

func (a *appender) Commit() error {
	if len(a.batch.Series) == 0 {
		return nil
	}
	return a.store.append(&a.batch)
}

func (a *appender) Rollback() error { return nil }

// keyDecoder decodes keys of length-prefixed names and values.
type keyDecoder struct{}

func appendKey(b []byte, ls labels.Labels) []byte {
	ls.Range(func(l labels.Label) {
		for _, s := range []string{l.Name, l.Value} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	})
	return b
}

func (keyDecoder) Name() string { return "acceptance" }

func (keyDecoder) Decode(key []byte, b *labels.ScratchBuilder) error {
	next := func() string {
		n, k := binary.Uvarint(key)
		s := string(key[k : k+int(n)])
		key = key[k+int(n):]
		return s
	}
	for len(key) > 0 {
		name := next()
		b.Add(name, next())
	}
	return nil
}
