package api

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/varvedb/varve/query"
)

// chunkQuerier encodes what the querier selects.
type chunkQuerier struct{ querier }

func (q chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.ChunkSeriesSet {
	set := q.querier.Select(ctx, sorted, hints, matchers...)
	if hints != nil && hints.Func == query.FuncSeries {
		return namedSet{set, chunks.Meta{MinTime: hints.Start, MaxTime: hints.End, Chunk: chunkenc.NewXORChunk()}}
	}
	return storage.NewSeriesSetToChunkSet(set)
}

// namedSet gives each series one chunk with nothing in it, as Prometheus' storage does: a series without chunks is not sent.
type namedSet struct {
	storage.SeriesSet
	empty chunks.Meta
}

// At implements storage.ChunkSeriesSet.
func (s namedSet) At() storage.ChunkSeries {
	return &storage.ChunkSeriesEntry{Lset: s.SeriesSet.At().Labels(), ChunkIteratorFn: func(chunks.Iterator) chunks.Iterator {
		return storage.NewListChunkSeriesIterator(s.empty)
	}}
}
