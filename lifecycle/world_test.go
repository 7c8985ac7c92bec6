package lifecycle

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/model"
)

// world is a bucket in memory with flushed blocks, and the clock of its workers.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	store *mem.Driver
	nowMs int64
	// own is an undisturbed way to the bucket.
	own     *blob.Bucket
	catalog *catalog.Store
	gen     uint64
}

func newWorld(t *testing.T) *world {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), nowMs: testDay.Range().MinMs}
	w.store = mem.NewAt(w.now)
	w.own = blob.New(w.store, &blob.Options{Retries: -1})
	w.catalog = catalog.New(w.own, nil, catalog.Components{Now: w.now, Sleep: w.sleep})
	return w
}

func (w *world) now() time.Time { return time.UnixMilli(w.nowMs) }

func (w *world) sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// worker is a new one with a way to the bucket of its own.
func (w *world) worker(cfg *Config) (*Lifecycle, *faultblob.Driver) {
	d := faultblob.Wrap(w.store)
	b := blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1, PartBytes: 700})
	l, err := New(cfg, Components{
		Bucket: b, Now: w.now, Sleep: w.sleep,
		Catalog: catalog.New(b, &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.now, Sleep: w.sleep}),
	})
	require.NoError(w.t, err)
	return l, d
}

// small are settings under which a handful of blocks is too many.
func small() *Config {
	return &Config{Merge: MergeSettings{MaxBlocks: 3}, Compact: CompactSettings{Off: true}, Sequential: true}
}

// flush adds a block of random series and samples, some for the second time, and returns its key.
func (w *world) flush() *blocks.Meta {
	var in []blocks.BuildSeries
	for i := range 12 {
		if w.rng.IntN(4) == 0 && len(in) > 0 {
			continue
		}
		c := &model.Columns{}
		at := testDay.Range().MinMs + int64(w.rng.IntN(50))*1000
		for range 1 + w.rng.IntN(30) {
			at += 1000 * int64(1+w.rng.IntN(3))
			switch w.rng.IntN(8) {
			case 0:
				c.AppendHistogram(at, fmt.Appendf(nil, "histogram %d", w.rng.IntN(1000)))
			case 1:
				c.Append(at, math.Float64frombits(0x7ff0000000000002))
			case 2:
				c.Append(at, math.Float64frombits(0x7ff8000000000000|uint64(w.rng.IntN(1000))))
			default:
				c.Append(at, float64(w.rng.IntN(1000)))
			}
		}
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i)), Columns: c})
	}
	return w.add(in)
}

// add makes a block of the series, as the writer's next generation.
func (w *world) add(in []blocks.BuildSeries) *blocks.Meta {
	slices.SortFunc(in, func(a, b blocks.BuildSeries) int {
		return index.Compare(a.Labels, b.Labels)
	})
	w.gen++
	var b bytes.Buffer
	m, err := blocks.Build(context.Background(), &blocks.Params{Tenant: "t", Day: testDay, Writer: "w", Generation: w.gen, CreatedMs: w.nowMs}, seqOf(in), &b)
	require.NoError(w.t, err)
	_, err = w.own.PutIfAbsent(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	_, err = w.catalog.Commit(context.Background(), "t", testDay, catalog.Add{Writer: "w", Generation: w.gen, Meta: m})
	require.NoError(w.t, err)
	return m
}

func seqOf(in []blocks.BuildSeries) iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		for _, s := range in {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func (w *world) flushes(n int) (all []*blocks.Meta) {
	for range n {
		all = append(all, w.flush())
	}
	return all
}

func (w *world) partition() *catalog.Partition {
	p, err := w.catalog.Partition(context.Background(), "t", testDay, nil)
	require.NoError(w.t, err)
	return p
}

// read is everything that the live blocks hold, as a query sees it: the higher order wins, then the higher id.
func (w *world) read() map[string]string {
	out := map[string]string{}
	for _, e := range w.partition().Blocks {
		sel, err := blocks.Select(context.Background(), blocks.Stored{Bucket: w.own}, e.Meta, &blocks.Query{Range: testDay.Range()})
		require.NoError(w.t, err)
		w.take(out, sel)
	}
	return out
}

// take adds what a block has to say, over what those before it said.
func (w *world) take(out map[string]string, sel *model.Selection) {
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		require.NoError(w.t, s.Samples(&c, testDay.Range()))
		for i, at := range c.T {
			v := fmt.Sprintf("%x", math.Float64bits(c.V[i]))
			if c.H != nil && c.H[i] != nil {
				v = string(c.H[i])
			}
			out[fmt.Sprint(s.Labels(), at)] = v
		}
	}
}

// once runs the worker and demands that nothing went wrong.
func (w *world) once(l *Lifecycle) Report {
	r, err := l.Once(context.Background())
	require.NoError(w.t, err)
	require.Empty(w.t, r.Failures)
	return r
}
