package query

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/tenant"
)

// ResultCache keeps what range queries came to, in stretches of an hour or a day that are cut at the same places whatever is asked, so that a dashboard which
// asks again computes the steps that are new. What is kept is used only if it is certain that nothing it depends on has changed: the same blocks are live in its range
// with the same tombstones (see standing), and no writer has taken a sample since that could reach it. So the answers are those of an evaluation, to the bit.
//
// Queries that are not made of independent steps (@, start(), end(), range()) pass it by, as do those that may read rollups, and those that a writer answers for
// who cannot tell what is new, as one in another process. Safe for concurrent use.
type ResultCache struct {
	queryable *Queryable
	kept      *cache.Parsed[*stretch]
	maxBytes  int64
	seed      maphash.Seed
	steps     *prometheus.CounterVec
}

// NewResultCache returns a cache of at most maxBytes for queries over q. Close it after use. reg may be nil.
func NewResultCache(q *Queryable, maxBytes int64, reg prometheus.Registerer) (*ResultCache, error) {
	kept, err := cache.NewParsed[*stretch](&cache.Options{MaxBytes: maxBytes, TypicalBytes: 16 << 10})
	if err != nil {
		return nil, fmt.Errorf("make cache of results: %w", err)
	}
	c := &ResultCache{queryable: q, kept: kept, maxBytes: maxBytes, seed: maphash.MakeSeed(), steps: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "varve_query_result_steps_total", Help: "Steps of range queries by where their results came from.",
	}, []string{"from"})}
	for _, from := range []string{"cache", "evaluation"} {
		c.steps.WithLabelValues(from)
	}
	if reg != nil {
		reg.MustRegister(c.steps)
	}
	return c, nil
}

// Close lets everything go.
func (c *ResultCache) Close() { c.kept.Close() }

// wrap returns a query that looks into the cache, or nil for one that had better be evaluated as a whole. The engine is the one below the cache.
func (c *ResultCache) wrap(e promql.QueryEngine, lookback time.Duration, q storage.Queryable, opts promql.QueryOpts, parsed parser.Expr, text string, g grid) promql.Query {
	if opts == nil {
		opts = promql.NewPrometheusQueryOpts(false, 0, nil)
	}
	if opts.EnablePerStepStats() || g.step <= 0 || g.step > dayMs || g.count() < 2 || g.isLong() {
		return nil
	}
	reach, ok := reachOf(parsed, opts.LookbackDelta(), lookback)
	if !ok {
		return nil
	}
	return &keptQuery{cache: c, engine: e, storage: q, opts: opts, expr: parsed, text: text, grid: g, reach: reach}
}

// key names a stretch: all that its result depends on but for the data.
func (k *keptQuery) key(ctx context.Context, begin int64) string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%d\x00%d\x00%d\x00%s", tenant.FromContext(ctx), SnapshotOf(ctx), ResolutionOf(ctx), k.grid.step, k.grid.phase(), begin, k.opts.LookbackDelta(), k.text)
}

// put keeps a stretch unless it is so large that little else would fit.
func (c *ResultCache) put(key string, s *stretch) {
	if n := s.size(); n <= c.maxBytes/8 {
		c.kept.Put(key, s, n)
	}
}

// notesOfKind are the annotations of a result if they depend on the data alone, and so can be kept with it.
func notesOfKind(a annotations.Annotations) (notes []error, ok bool) {
	for _, err := range a {
		if !errors.Is(err, annotations.PromQLInfo) && !errors.Is(err, annotations.PromQLWarning) {
			return nil, false
		}
		notes = append(notes, ownNote(err))
	}
	return notes, true
}

// ownNote is a copy of an annotation. Whoever shows one enters the text of the query into it, and whoever adds it to others may add them to it; then it
// is not the one any more that a later one would be found to be the same as.
func ownNote(err error) error {
	if _, ok := err.(interface{ SetQuery(text string) }); !ok {
		return err
	}
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return err
	}
	c := reflect.New(v.Type().Elem())
	c.Elem().Set(v.Elem())
	own, ok := c.Interface().(error)
	if !ok {
		panic("query: bug: the copy of an error is none")
	}
	return own
}
