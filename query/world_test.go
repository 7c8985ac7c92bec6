package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

const (
	testTenant = "acme"
	metricName = "__name__"
)

// world is a bucket with two doors: store and bucket act at once, the queryable goes through a
// driver whose hook sees each call first.
type world struct {
	t      testing.TB
	bucket *blob.Bucket
	store  *catalog.Store

	driver  *faultblob.Driver
	sources []model.Source
	missing []Unreachable
	cfg     Config
}

func newWorld(t testing.TB) *world {
	objects := mem.New()
	w := &world{t: t, driver: faultblob.Wrap(objects), cfg: Config{CatalogCacheBytes: 1 << 20}}
	w.bucket = blob.New(objects, nil)
	w.store = catalog.New(w.bucket, nil, catalog.Components{})
	return w
}

func (w *world) ctx() context.Context { return tenant.NewContext(w.t.Context(), testTenant) }

// queryable opens a new one, with nothing cached.
func (w *world) queryable() *Queryable {
	bucket := blob.New(w.driver, nil)
	q, err := New(&w.cfg, Components{
		Catalog: catalog.New(bucket, nil, catalog.Components{}),
		Blocks:  blocks.Stored{Bucket: bucket},
		Logs:    bucket,
		Sources: func(*catalog.Roster) ([]model.Source, []Unreachable) { return w.sources, w.missing },
	})
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, q.Close()) })
	return q
}

// data is series by name (of the metric), each its samples by time.
type data map[string]map[int64]float64

func (d data) add(name string, t int64, v float64) data {
	if d[name] == nil {
		d[name] = map[int64]float64{}
	}
	d[name][t] = v
	return d
}

func metric(name string) labels.Labels { return labels.FromStrings(metricName, name) }

func (d data) columns(name string) *model.Columns {
	times := make([]int64, 0, len(d[name]))
	for t := range d[name] {
		times = append(times, t)
	}
	slices.Sort(times)
	c := &model.Columns{}
	for _, t := range times {
		c.Append(t, d[name][t])
	}
	return c
}

func (d data) sorted() []string {
	var all []string
	for name := range d {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (d data) series() iter.Seq2[blocks.BuildSeries, error] {
	return func(yield func(blocks.BuildSeries, error) bool) {
		for _, name := range d.sorted() {
			if !yield(blocks.BuildSeries{Labels: metric(name), Columns: d.columns(name)}, nil) {
				return
			}
		}
	}
}

// build makes a block of the data, all of which is of one day, and uploads it.
func (w *world) build(writer string, gen uint64, day model.Day, d data) *blocks.Meta {
	var b bytes.Buffer
	p := &blocks.Params{Tenant: testTenant, Day: day, Writer: writer, Generation: gen}
	m, err := blocks.Build(context.Background(), p, d.series(), &b)
	require.NoError(w.t, err)
	_, err = w.bucket.Put(context.Background(), blocks.Key(m), b.Bytes())
	require.NoError(w.t, err)
	return m
}

// commit adds the block to its catalog.
func (w *world) commit(m *blocks.Meta) {
	op := catalog.Add{Writer: m.Writer, Generation: m.Generation, Meta: m}
	_, err := w.store.Commit(context.Background(), testTenant, m.Day, op)
	require.NoError(w.t, err)
}

func (w *world) flush(writer string, gen uint64, day model.Day, d data) *blocks.Meta {
	m := w.build(writer, gen, day, d)
	w.commit(m)
	return m
}

func (w *world) register(writers ...catalog.Writer) {
	for _, wr := range writers {
		_, err := w.store.Register(context.Background(), wr)
		require.NoError(w.t, err)
	}
}

func (w *world) setState(writer string, state catalog.WriterState) {
	_, err := w.store.SetState(context.Background(), writer, state)
	require.NoError(w.t, err)
}

// selected is what came back.
type selected struct {
	names    []string // in the order of the answer
	data     data
	warnings []string
	err      error
}

var everything = labels.MustNewMatcher(labels.MatchRegexp, metricName, ".+")

// selectAll runs one Select over the range with a querier of its own and checks what must always hold.
func selectAll(ctx context.Context, t *testing.T, q *Queryable, mint, maxt int64, matchers ...*labels.Matcher) selected {
	t.Helper()
	querier, err := q.Querier(mint, maxt)
	require.NoError(t, err)
	defer querier.Close()
	set := querier.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, matchers...)
	return drain(t, set)
}

func drain(t *testing.T, set storage.SeriesSet) selected {
	t.Helper()
	s := selected{data: data{}}
	var it chunkenc.Iterator
	last := labels.EmptyLabels()
	for set.Next() {
		ls := set.At().Labels()
		require.Negative(t, labels.Compare(last, ls), "series out of order")
		last = ls
		s.names = append(s.names, ls.Get(metricName))
		it = set.At().Iterator(it)
		prev, first := int64(0), true
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			require.Equal(t, chunkenc.ValFloat, vt)
			at, v := it.At()
			require.True(t, first || at > prev, "sample at %d after %d", at, prev)
			prev, first = at, false
			s.data.add(ls.Get(metricName), at, v)
		}
		require.NoError(t, it.Err())
	}
	s.err = set.Err()
	s.warnings, _ = set.Warnings().AsStrings("", 0, 0)
	slices.Sort(s.warnings)
	return s
}

// fakeSource is a writer's memtable in generations.
type fakeSource struct {
	writer string
	err    error
	// before and after, if set, run when an answer is about to be and was made up.
	before, after func()

	mu          sync.Mutex
	generations map[uint64]data
	pinned      int
}

func (s *fakeSource) Writer() string { return s.writer }

func (s *fakeSource) drop(gen uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.generations, gen)
}

func (s *fakeSource) Select(_ context.Context, tenant string, r model.TimeRange, matchers []*labels.Matcher) (*model.Selection, error) {
	if tenant != testTenant {
		return nil, fmt.Errorf("asked for tenant %s", strconv.Quote(tenant))
	}
	if s.before != nil {
		s.before()
	}
	if s.after != nil {
		defer s.after()
	}
	if s.err != nil {
		return nil, s.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := data{}
	for _, d := range s.generations {
		for name, samples := range d {
			for t, v := range samples {
				if r.Contains(t) && matches(metric(name), matchers) {
					all.add(name, t, v)
				}
			}
		}
	}
	sel := &model.Selection{Release: func() { s.mu.Lock(); s.pinned--; s.mu.Unlock() }}
	s.pinned++
	for _, name := range all.sorted() {
		sel.Series = append(sel.Series, &tailSeries{labels: metric(name), columns: *all.columns(name)})
	}
	return sel, nil
}

// unpinned checks that every answer was closed.
func (s *fakeSource) unpinned(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.pinned, "answers of writer %s that were never closed", s.writer)
}

// denyMissing is for a driver like S3 to readers that may not list: what is missing answers 403, and so does everything
// but reading. (A read of what is there, or is not, answers alike for a key that others may create meanwhile.)
func denyMissing(w *world) faultblob.Hook {
	return func(c faultblob.Call) faultblob.Action {
		denied := faultblob.Action{Kind: faultblob.Fail, Err: blob.DeniedRead("403")}
		if c.Op != faultblob.OpGet {
			denied.Err = blob.ErrDenied
			return denied
		}
		if _, _, err := w.bucket.Get(context.Background(), c.Key); errors.Is(err, model.ErrNotFound) {
			return denied
		}
		return faultblob.Action{}
	}
}
