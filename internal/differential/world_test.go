package differential

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/cache"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

const (
	// rounds is in how many requests a writer gets the data; between them it flushes now and then.
	rounds = 12
	// writers is how many there are. The last closes after a third of the rounds.
	writers = 3
	closes  = rounds / 3
)

// form is what a world is like.
type form struct {
	copies  int  // of the targets
	merged  bool // lifecycle merges blocks
	parquet bool // lifecycle compacts all that is flushed, twice: in between comes late data
	late    bool // not the second time
	deletes bool // series are deleted now and then
	cached  bool // blocks are read through caches, which are far too small
	// detached says that the writers cannot be reached; they acknowledge when their log is in the bucket, so it holds everything.
	detached bool
}

// world is the same data twice.
type world struct {
	form
	data      *dataset
	reference storage.Queryable
	tsdb      storage.Storage
	candidate *query.Queryable
	bucket    *blob.Bucket
	catalog   *catalog.Store
	cache     *cache.Bucket // nil without one
	// blocks counts the flushes of each writer, recent what has been appended since the last, merges what lifecycle did.
	blocks                      [writers]int
	recent, merges, compactions int
	deletions                   []deletion
	erasures                    int
}

// load is a part of one series' samples that is delivered at one time.
type load struct {
	series  int
	samples []sample
}

// newWorld spreads data drawn from the seed over both sides.
func newWorld(t *testing.T, seed uint64, f form) *world {
	w := &world{form: f, data: newDataset(seed, f.copies), bucket: blob.New(mem.New(), nil)}
	w.tsdb = teststorage.New(t, func(o *tsdb.Options) { o.OutOfOrderTimeWindow = 24 * 60 * minute })
	w.reference = sorted{w.tsdb}
	w.catalog = catalog.New(w.bucket, nil, catalog.Components{})
	var running [writers]*ingester.Ingester
	for i := range running {
		cfg := ingester.Config{SkipProbe: true, FlushParallel: 1, Shipping: ingester.ShippingOff}
		if f.detached {
			cfg.Mode, cfg.ObjectBatch = ingester.ModeObject, -1
		}
		c := ingester.Components{FS: memfs.New(), Dir: "data", Bucket: w.bucket, Catalog: w.catalog}
		ing, err := ingester.Open(t.Context(), cfg, c)
		require.NoError(t, err)
		running[i] = ing
	}
	w.deliver(t, &running)
	t.Cleanup(func() {
		for _, ing := range running[:writers-1] {
			require.NoError(t, ing.Abandon())
		}
		require.NoError(t, w.bucket.Close())
	})
	c := query.Components{Catalog: catalog.New(w.bucket, nil, catalog.Components{}), Blocks: w.reader(t), Logs: w.bucket}
	if !f.detached {
		c.Sources = func(*catalog.Roster) ([]model.Source, []query.Unreachable) {
			return []model.Source{running[0], running[1]}, nil
		}
	}
	q, err := query.New(&query.Config{Detached: f.detached}, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	w.candidate = q
	return w
}

// reader reads blocks straight from the bucket, or through caches that have to let most of it go again.
func (w *world) reader(t *testing.T) blocks.RangeReader {
	if !w.cached {
		return blocks.Stored{Bucket: w.bucket}
	}
	bytes, err := cache.NewBucket(&cache.BucketOptions{MemoryBytes: 64 << 10, Dir: "cache"}, cache.Components{From: w.bucket, FS: memfs.New()})
	require.NoError(t, err)
	parsed, err := cache.NewParsed[any](&cache.Options{MaxBytes: 128 << 10})
	require.NoError(t, err)
	t.Cleanup(func() {
		parsed.Close()
		require.NoError(t, bytes.Close())
	})
	w.cache = bytes
	return blocks.NewCache(bytes, parsed)
}

// idle makes the local copies that are due.
func (w *world) idle(t *testing.T) {
	if w.cache != nil {
		w.cache.Drain(t.Context())
	}
}

// merge merges blocks until there are too few for that.
func (w *world) merge(t *testing.T) {
	if !w.merged && !w.parquet {
		return
	}
	cfg := &lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 1}, Sequential: true}
	cfg.Compact = lifecycle.CompactSettings{
		Off: !w.parquet, Settle: -1, LateBlocks: 1, WaitForWriters: -100 * 365 * 24 * time.Hour, MinOutputBytes: 40 << 10,
	}
	l, err := lifecycle.New(cfg, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog})
	require.NoError(t, err)
	r, err := l.Once(t.Context())
	require.NoError(t, err)
	require.Empty(t, r.Failures)
	require.Empty(t, r.Quarantined)
	w.merges += r.Jobs
	w.compactions += r.Compactions
}

// mixed is how many days have blocks of both formats.
func (w *world) mixed(t *testing.T) (n int) {
	root, err := w.catalog.Root(t.Context(), tenant.Default, nil)
	require.NoError(t, err)
	for _, day := range root.Days {
		p, err := w.catalog.Partition(t.Context(), tenant.Default, day, nil)
		require.NoError(t, err)
		if hot := lifecycle.HotBlocks(p); hot > 0 && hot < len(p.Blocks) {
			n++
		}
	}
	return n
}

// sorted asks for series in order. The engine itself does not care to, and then the TSDB's head answers in the order in which it came to know them; but an
// aggregate of floats depends on the order, and ours is always that of the labels.
type sorted struct{ storage.Queryable }

func (s sorted) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.Queryable.Querier(mint, maxt)
	return sortedQuerier{q}, err
}

type sortedQuerier struct{ storage.Querier }

func (q sortedQuerier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return q.Querier.Select(ctx, true, hints, matchers...)
}

// deliver plays the rounds.
func (w *world) deliver(t *testing.T, running *[writers]*ingester.Ingester) {
	ctx, rng := t.Context(), w.data.rng
	plan := w.plan()
	w.drawDeletions()
	for round := range rounds {
		if round == closes {
			require.NoError(t, running[writers-1].Close(ctx))
			w.blocks[writers-1]++
		}
		if round == rounds/2 {
			w.merge(t)
		}
		w.delete(t, round, running)
		appender := w.tsdb.Appender(ctx)
		for i, ing := range running {
			loads := plan[round][i]
			if len(loads) == 0 {
				continue
			}
			for _, l := range loads {
				w.appendReference(t, appender, round, l)
			}
			w.appendVarve(t, ing, loads)
			w.recent += len(loads)
			// What comes last stays in the memtables.
			if i < writers-1 && round < rounds-2 && (rng.IntN(3) == 0 || round == rounds-3 && w.blocks[i] < 2) {
				require.NoError(t, ing.Flush(ctx))
				w.blocks[i]++
				w.recent = 0
			}
		}
		require.NoError(t, appender.Commit())
	}
	require.NotZero(t, w.recent, "the memtables are empty")
	w.erase(t)
	if !w.late || !w.parquet {
		w.merge(t)
	}
}

// plan says for each round what each writer gets. A series moves from writer to writer, some of it comes rounds too late, and
// some of it comes twice.
func (w *world) plan() (plan [rounds][writers][]load) {
	rng := w.data.rng
	for i := range w.data.series {
		s := &w.data.series[i]
		home := rng.IntN(writers)
		for rest := s.samples; len(rest) > 0; {
			n := min(1+rng.IntN(40), len(rest))
			part := rest[:n]
			rest = rest[n:]
			if rng.IntN(4) == 0 {
				home = rng.IntN(writers)
			}
			late := 0
			if !s.native && rng.IntN(5) == 0 {
				late = rng.IntN(5)
			}
			for _, piece := range w.byRound(part) {
				round := min(roundOf(piece[0].t)+late, rounds-1)
				plan[round][writerAt(home, round)] = append(plan[round][writerAt(home, round)], load{i, piece})
				if rng.IntN(10) == 0 {
					again := min(round+rng.IntN(3), rounds-1)
					if s.native {
						again = round
					}
					other := writerAt(rng.IntN(writers), again)
					plan[again][other] = append(plan[again][other], load{i, piece})
				}
			}
		}
	}
	shuffleLoads(rng, &plan)
	return plan
}

// shuffleLoads lets floats arrive in any order within a round.
func shuffleLoads(rng *rand.Rand, plan *[rounds][writers][]load) {
	for round := range plan {
		for i, loads := range plan[round] {
			if rng.IntN(2) == 0 {
				rng.Shuffle(len(loads), func(a, b int) { loads[a], loads[b] = loads[b], loads[a] })
				slices.SortStableFunc(loads, func(a, b load) int { return a.series - b.series })
			}
			plan[round][i] = loads
		}
	}
}

func roundOf(t int64) int { return min(int((t-dataFrom)*rounds/(dataTo-dataFrom)), rounds-1) }

// writerAt is the writer itself, or another when it has closed.
func writerAt(writer, round int) int {
	if writer == writers-1 && round >= closes {
		return round % (writers - 1)
	}
	return writer
}

// byRound cuts samples where a round ends.
func (*world) byRound(samples []sample) (out [][]sample) {
	for len(samples) > 0 {
		n := 1
		for n < len(samples) && roundOf(samples[n].t) == roundOf(samples[0].t) {
			n++
		}
		out = append(out, samples[:n])
		samples = samples[n:]
	}
	return out
}

func (w *world) appendReference(t *testing.T, a storage.Appender, round int, l load) {
	ls := w.data.series[l.series].labels
	for _, s := range l.samples {
		if w.deleted(round, ls, s.t) {
			continue
		}
		var err error
		if s.h != nil || s.fh != nil {
			_, err = a.AppendHistogram(0, ls, s.t, s.h, s.fh)
		} else {
			_, err = a.Append(0, ls, s.t, s.v)
		}
		require.NoError(t, err, "append %s at %d", ls, s.t)
	}
}

func (w *world) appendVarve(t *testing.T, ing *ingester.Ingester, loads []load) {
	b := model.Batch{Labels: remotewrite.LabelDecoder{}}
	samples := 0
	for _, l := range loads {
		s := model.BatchSeries{
			Key:   remotewrite.AppendKey(nil, w.data.series[l.series].labels),
			First: int32(len(b.Samples)), FirstHistogram: int32(len(b.Histograms)),
		}
		for _, one := range l.samples {
			samples++
			if one.h == nil && one.fh == nil {
				b.Samples = append(b.Samples, model.Sample{T: one.t, V: one.v})
				continue
			}
			b.Histograms = append(b.Histograms, model.HistogramSample{T: one.t, H: encoded(t, one)})
		}
		s.Count, s.HistogramCount = int32(len(b.Samples))-s.First, int32(len(b.Histograms))-s.FirstHistogram
		b.Series = append(b.Series, s)
	}
	got, err := ing.Append(t.Context(), tenant.Default, &b)
	require.NoError(t, err)
	require.Empty(t, got.Rejected)
	require.Equal(t, samples, got.Samples+got.Histograms)
}

func encoded(t *testing.T, s sample) []byte {
	var p prompb.Histogram
	if s.h != nil {
		p = prompb.FromIntHistogram(s.t, s.h)
	} else {
		p = prompb.FromFloatHistogram(s.t, s.fh)
	}
	b, err := p.Marshal()
	require.NoError(t, err)
	return b
}

// at is a time of the data's.
func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
