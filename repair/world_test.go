package repair

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/index"
	"github.com/varvedb/varve/lifecycle"
	"github.com/varvedb/varve/model"
)

const testDay = model.Day(20_000)

// world is a bucket in memory with the blocks of a few writers.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	nowMs   int64
	store   *mem.Driver
	bucket  *blob.Bucket
	catalog *catalog.Store
	gens    map[string]uint64
}

func newWorld(t *testing.T) *world {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), nowMs: testDay.Range().MinMs, gens: map[string]uint64{}}
	w.store = mem.NewAt(w.now)
	w.bucket = blob.New(w.store, &blob.Options{Retries: -1})
	w.catalog = catalog.New(w.bucket, nil, catalog.Components{Now: w.now, Sleep: w.sleep})
	for _, id := range []string{"w1", "w2"} {
		require.NoError(t, w.catalog.PutWriterID(t.Context(), id))
		_, err := w.catalog.Register(t.Context(), catalog.Writer{ID: id, Mode: "fsync"})
		require.NoError(t, err)
	}
	return w
}

func (w *world) now() time.Time { return time.UnixMilli(w.nowMs) }

func (w *world) sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func (w *world) components() Components {
	return Components{Bucket: w.bucket, Catalog: w.catalog, NowMs: func() int64 { return w.nowMs }}
}

// build makes a block of random samples, of which others have some too.
func (w *world) build(tenant string, day model.Day, writer string, gen uint64) (*blocks.Meta, []byte) {
	var in []blocks.BuildSeries
	for i := range 8 {
		c := &model.Columns{}
		at := day.Range().MinMs + int64(w.rng.IntN(50))*1000
		for range 1 + w.rng.IntN(20) {
			at += 1000 * int64(1+w.rng.IntN(3))
			c.Append(at, float64(w.rng.IntN(1000)))
		}
		in = append(in, blocks.BuildSeries{Labels: labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "i", fmt.Sprint(i)), Columns: c})
	}
	slices.SortFunc(in, func(a, b blocks.BuildSeries) int {
		return index.Compare(a.Labels, b.Labels)
	})
	return w.buildOf(tenant, day, writer, gen, in)
}

func (w *world) buildOf(tenant string, day model.Day, writer string, gen uint64, in []blocks.BuildSeries) (*blocks.Meta, []byte) {
	var b bytes.Buffer
	m, err := blocks.Build(w.t.Context(), &blocks.Params{Tenant: tenant, Day: day, Writer: writer, Generation: gen, CreatedMs: w.nowMs}, seqOf(in), &b)
	require.NoError(w.t, err)
	_, err = w.bucket.PutIfAbsent(w.t.Context(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	return m, b.Bytes()
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

// flush adds a block and releases its generation now and then.
func (w *world) flush(tenant string, day model.Day) *blocks.Meta {
	writer := []string{"w1", "w2"}[w.rng.IntN(2)]
	w.gens[writer]++
	w.nowMs += 1000
	m, _ := w.build(tenant, day, writer, w.gens[writer])
	_, err := w.catalog.Commit(w.t.Context(), tenant, day, catalog.Add{Writer: writer, Generation: m.Generation, Meta: m})
	require.NoError(w.t, err)
	if w.rng.IntN(2) == 0 {
		_, err := w.catalog.SetReleased(w.t.Context(), writer, m.Generation)
		require.NoError(w.t, err)
	}
	return m
}

// merge lets a worker look once.
func (w *world) merge() lifecycle.Report {
	cfg := &lifecycle.Config{Merge: lifecycle.MergeSettings{MaxBlocks: 3, MaxOutputSeries: int64(1 + w.rng.IntN(12))}}
	l, err := lifecycle.New(cfg, lifecycle.Components{Bucket: w.bucket, Catalog: w.catalog, Now: w.now, Sleep: w.sleep})
	require.NoError(w.t, err)
	r, err := l.Once(w.t.Context())
	require.NoError(w.t, err)
	require.Empty(w.t, r.Failures)
	return r
}

// load is a bucket with a bit of everything: two tenants, two days, merges, retired and collected blocks.
func (w *world) load() {
	for n := range 30 {
		w.flush([]string{"a", "b"}[w.rng.IntN(2)], testDay+model.Day(w.rng.IntN(2)))
		if n%8 == 7 {
			w.merge()
			w.nowMs += int64(w.rng.IntN(3)) * 40 * 60_000
		}
	}
}

// read is everything that the live blocks of all days hold, as a query sees it.
func (w *world) read() map[string]string {
	out := map[string]string{}
	for _, tenant := range []string{"a", "b"} {
		root, err := w.catalog.Root(w.t.Context(), tenant, nil)
		require.NoError(w.t, err)
		for _, day := range root.Days {
			p, err := w.catalog.Partition(w.t.Context(), tenant, day, nil)
			require.NoError(w.t, err)
			require.False(w.t, p.Missing)
			for _, e := range p.Blocks {
				w.readBlock(tenant, p, &e, out)
			}
		}
	}
	return out
}

func (w *world) readBlock(tenant string, p *catalog.Partition, e *catalog.Entry, out map[string]string) {
	masks, err := catalog.BlockMasks(p.Masks(e))
	require.NoError(w.t, err)
	sel, err := blocks.Select(w.t.Context(), blocks.Stored{Bucket: w.bucket}, e.Meta, &blocks.Query{Range: p.Day.Range(), Masks: masks})
	require.NoError(w.t, err)
	defer sel.Close()
	for _, s := range sel.Series {
		var c model.Columns
		require.NoError(w.t, s.Samples(&c, p.Day.Range()))
		for i, at := range c.T {
			out[fmt.Sprint(tenant, s.Labels(), at)] = fmt.Sprintf("%x", math.Float64bits(c.V[i]))
		}
	}
}

func (w *world) keys(prefix string) (keys []string) {
	for o, err := range w.bucket.List(w.t.Context(), prefix) {
		require.NoError(w.t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

func (w *world) get(key string) []byte {
	data, _, err := w.bucket.Get(w.t.Context(), key)
	require.NoError(w.t, err)
	return data
}

func (w *world) put(key string, data []byte) {
	_, err := w.bucket.Put(w.t.Context(), key, data)
	require.NoError(w.t, err)
}

func (w *world) delete(keys ...string) {
	require.NoError(w.t, w.bucket.Delete(w.t.Context(), keys...))
}

func (w *world) check(depth Depth) *Report {
	r, err := Check(w.t.Context(), w.components(), &Options{Depth: depth, Parallel: 2})
	require.NoError(w.t, err)
	return r
}

// healthy demands that nothing is wrong.
func (w *world) healthy() {
	w.t.Helper()
	for _, depth := range []Depth{Quick, Footers, Deep} {
		r := w.check(depth)
		for _, f := range r.Findings {
			require.Equal(w.t, Note, f.Severity, "%+v", f)
		}
		require.Zero(w.t, r.Bad())
	}
}

func catalogKeys(keys []string) []string {
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.Contains(k, "/c/") || strings.Contains(k, ".old-") })
}
