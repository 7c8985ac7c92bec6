package migrate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
)

// firstDay is the first day of what tests take over.
var firstDay = model.DayOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli())

// world is a bucket in memory, and the clock of the jobs.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	store   *mem.Driver
	own     *blob.Bucket
	catalog *catalog.Store
	nowMs   int64
}

func newWorld(t *testing.T) *world {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), nowMs: (firstDay + 30).Range().MinMs}
	w.store = mem.NewAt(w.now)
	w.own = blob.New(w.store, &blob.Options{Retries: -1})
	w.catalog = catalog.New(w.own, nil, catalog.Components{Now: w.now, Sleep: w.sleep})
	return w
}

// now moves on, so that two tries of one block have two times of creation.
func (w *world) now() time.Time {
	w.nowMs++
	return time.UnixMilli(w.nowMs)
}

func (w *world) sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// components are those of a job with a way to the bucket of its own.
func (w *world) components() (Components, *faultblob.Driver) {
	d := faultblob.Wrap(w.store)
	b := blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1, PartBytes: 700})
	return Components{
		Bucket: b, Now: w.now,
		Catalog: catalog.New(b, &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.now, Sleep: w.sleep}),
	}, d
}

// small is a job whose days are several blocks.
func small() *Config { return &Config{Tenant: "t", Parallel: 1, PartSamples: 60, PartSeries: 5} }

// backfill runs a job that must succeed, over an opened source.
func (w *world) backfill(cfg *Config, src Source, skips *Skips) *Report {
	c, _ := w.components()
	r, err := Run(context.Background(), cfg, c, src, skips)
	require.NoError(w.t, err)
	return r
}

// tsdb runs a job over a directory.
func (w *world) tsdb(cfg *Config, dir string) (*Report, *Skips) {
	skips := NewSkips(false)
	src, err := OpenTSDB(dir, skips, &TSDBOptions{TempDir: w.t.TempDir(), SortBytes: 1})
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, src.Close()) }()
	return w.backfill(cfg, src, skips), skips
}

// read is everything in the bucket as a query sees it, and how many blocks and samples that took.
func (w *world) read() (out map[string]string, blocksRead, samples int) {
	out = map[string]string{}
	root, err := w.catalog.Root(context.Background(), "t", nil)
	require.NoError(w.t, err)
	for _, day := range root.Days {
		p, err := w.catalog.Partition(context.Background(), "t", day, nil)
		require.NoError(w.t, err)
		require.False(w.t, p.Missing, "a day in the root has a catalog")
		for _, e := range p.Blocks {
			data, _, err := w.own.Get(context.Background(), blocks.Key(e.Meta))
			require.NoError(w.t, err)
			require.NoError(w.t, blocks.Verify(data))
			blocksRead++
			samples += int(e.Samples)
			sel, err := blocks.Select(context.Background(), ranges{w.own}, e.Meta, &blocks.Query{Range: day.Range()})
			require.NoError(w.t, err)
			for _, s := range sel.Series {
				c := &model.Columns{}
				require.NoError(w.t, s.Samples(c, day.Range()))
				put(out, s.Labels(), c)
			}
			sel.Close()
		}
	}
	return out, blocksRead, samples
}

// put adds samples in a form that can be compared.
func put(out map[string]string, ls labels.Labels, c *model.Columns) {
	for i, at := range c.T {
		v := fmt.Sprintf("%016x", math.Float64bits(c.V[i]))
		if c.H != nil && c.H[i] != nil {
			v = fmt.Sprintf("%x", c.H[i])
		}
		out[fmt.Sprintf("%s %d", ls, at)] = v
	}
}

// database is a data directory with blocks of two hours over some days, and a log behind them; it returns what is in it, by Prometheus' own querier.
func (w *world) database(days int) (dir string, want map[string]string) {
	dir = w.t.TempDir()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	opts.OutOfOrderTimeWindow = 3_600_000
	db, err := tsdb.Open(dir, nil, nil, opts, nil)
	require.NoError(w.t, err)
	db.DisableCompactions()
	from := firstDay.Range().MinMs
	for at := from; at < from+int64(days)*model.MsPerDay-4*3_600_000; at += 1_800_000 {
		w.scrape(db, at)
		if (at-from)%(2*3_600_000) == 0 && at > from {
			require.NoError(w.t, db.Compact(context.Background()))
		}
	}
	db.EnableCompactions()
	require.NoError(w.t, db.Compact(context.Background()))
	want = contents(w.t, db)
	require.NoError(w.t, db.Close())
	return dir, want
}

// scrape appends a sample to each of the series; names in capitals sort before the metric name.
func (w *world) scrape(db *tsdb.DB, at int64) {
	app := db.Appender(context.Background())
	for i := range 7 {
		ls := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "A", fmt.Sprint(w.rng.IntN(2)), "i", fmt.Sprint(i))
		v := float64(w.rng.IntN(1000))
		if w.rng.IntN(9) == 0 {
			v = math.Float64frombits(0x7ff0000000000002)
		}
		_, err := app.Append(0, ls, at, v)
		require.NoError(w.t, err)
	}
	_, err := app.Append(0, labels.FromStrings("no", "name"), at, w.rng.Float64())
	require.NoError(w.t, err)
	if at%3_600_000 == 0 && at > firstDay.Range().MinMs+3_600_000 {
		_, err = app.Append(0, labels.FromStrings("__name__", "m1", "late", "1"), at-900_000, 1)
		require.NoError(w.t, err)
		_, err = app.Append(0, labels.FromStrings("__name__", "m1", "late", "1"), at-int64(w.rng.IntN(1_000_000)), 2) // may be out of order
		if err != nil {
			require.ErrorContains(w.t, err, "duplicate")
		}
	}
	var h *histogram.Histogram
	var fh *histogram.FloatHistogram
	if w.rng.IntN(2) == 0 {
		h = tsdbutil.GenerateTestHistogram(w.rng.Int64N(100))
	} else {
		fh = tsdbutil.GenerateTestFloatHistogram(w.rng.Int64N(100))
	}
	_, err = app.AppendHistogram(0, labels.FromStrings("__name__", "native"), at, h, fh)
	require.NoError(w.t, err)
	require.NoError(w.t, app.Commit())
}

// contents are all samples of a database.
func contents(t *testing.T, db *tsdb.DB) map[string]string {
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	out := map[string]string{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "x", ".*"))
	for set.Next() {
		c := &model.Columns{}
		it := set.At().Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			if typ == chunkenc.ValFloat {
				c.Append(it.At())
				continue
			}
			h, err := richSample(it, typ, 0)
			require.NoError(t, err)
			c.AppendHistogram(it.AtT(), h)
		}
		require.NoError(t, it.Err())
		put(out, set.At().Labels(), c)
	}
	require.NoError(t, set.Err())
	return out
}

// blockDirs are the blocks of a database.
func blockDirs(t *testing.T, dir string) []string {
	out, err := filepath.Glob(filepath.Join(dir, "0*", "meta.json"))
	require.NoError(t, err)
	for i := range out {
		out[i] = filepath.Dir(out[i])
	}
	return out
}

// files are names and contents of a directory.
func files(t *testing.T, dir string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

// same compares contents, and names a few of the differences: they are large.
func same(t *testing.T, want, got map[string]string, msg ...any) {
	t.Helper()
	var differ []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			differ = append(differ, "missing: "+k)
		} else if g != v {
			differ = append(differ, "other: "+k+" "+g+" instead of "+v)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			differ = append(differ, "too much: "+k)
		}
	}
	if n := len(differ); n > 0 {
		slices.Sort(differ)
		require.Fail(t, fmt.Sprintf("%d of %d differ:\n%s", n, len(want), strings.Join(differ[:min(n, 10)], "\n")), msg...)
	}
}
