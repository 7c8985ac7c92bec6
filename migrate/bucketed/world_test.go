package bucketed

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/migrate/promchunk"
	"github.com/varvedb/varve/model"
)

const (
	minute = int64(60_000)
	hour   = 60 * minute
)

// world is a bucket of blocks, and one that they are taken over to.
type world struct {
	*migratetest.World
	from  *mem.Driver
	files map[string][]byte // what from holds
	temp  string
}

func newWorld(t *testing.T) *world {
	return &world{World: migratetest.New(t), from: mem.New(), files: map[string][]byte{}, temp: t.TempDir()}
}

// again is another empty bucket to take the same blocks over to.
func (w *world) again() *world {
	return &world{World: migratetest.New(w.T), from: w.from, files: w.files, temp: w.T.TempDir()}
}

func (w *world) put(key string, data []byte) {
	w.files[key] = data
	_, err := w.from.Put(context.Background(), key, data, blob.Condition{})
	require.NoError(w.T, err)
}

func (w *world) remove(key string) {
	delete(w.files, key)
	require.NoError(w.T, w.from.Delete(context.Background(), []string{key}))
}

// samples are series, as text of their labels, and what they have.
type samples map[string]*model.Columns

// block is one to be made.
type block struct {
	external     map[string]string
	samples      samples
	sources      []string // ids of blocks; itself if empty
	resolutionMs int64
	noFiles      bool   // meta.json does not tell of files, as older ones do not
	prefix       string // before the id, with a slash
}

// series parses labels as text.
func series(t *testing.T, text string) labels.Labels {
	ls, err := parser.NewParser(parser.Options{}).ParseMetric(text)
	require.NoError(t, err)
	return ls
}

// upload makes the block and puts it into the bucket; it returns its id.
func (w *world) upload(b block) string {
	dir := w.T.TempDir()
	bw, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 40*model.MsPerDay)
	require.NoError(w.T, err)
	for _, text := range slices.Sorted(maps.Keys(b.samples)) {
		app := bw.Appender(context.Background())
		ls, c := series(w.T, text), b.samples[text]
		for i, at := range c.T {
			if c.H != nil && c.H[i] != nil {
				_, err = app.AppendHistogram(0, ls, at, tsdbutil.GenerateTestHistogram(at/minute), nil)
			} else {
				_, err = app.Append(0, ls, at, c.V[i])
			}
			require.NoError(w.T, err)
		}
		require.NoError(w.T, app.Commit())
	}
	made, err := bw.Flush(context.Background())
	require.NoError(w.T, err)
	require.NoError(w.T, bw.Close())
	root := filepath.Join(dir, made.String())
	var meta map[string]any
	raw, err := os.ReadFile(filepath.Join(root, "meta.json"))
	require.NoError(w.T, err)
	require.NoError(w.T, json.Unmarshal(raw, &meta))
	if len(b.sources) > 0 {
		meta["compaction"] = map[string]any{"level": 3, "sources": b.sources}
	}
	files := []map[string]any{{"rel_path": "meta.json"}}
	for _, path := range []string{"chunks/000001", "index"} {
		data, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(w.T, err)
		files = append(files, map[string]any{"rel_path": path, "size_bytes": len(data)})
		w.put(b.prefix+made.String()+"/"+path, data)
	}
	thanos := map[string]any{"version": 1, "labels": b.external, "downsample": map[string]any{"resolution": b.resolutionMs}, "source": "sidecar"}
	if !b.noFiles {
		thanos["files"] = files
	}
	meta["thanos"] = thanos
	raw, err = json.Marshal(meta)
	require.NoError(w.T, err)
	w.put(b.prefix+made.String()+"/meta.json", raw)
	return made.String()
}

// every has samples from a time to before another; value is the minute and a half.
func every(from, to, stepMs int64) *model.Columns {
	c := &model.Columns{}
	for at := from; at < to; at += stepMs {
		c.Append(at, float64(at/minute)+0.5)
	}
	return c
}

// histograms are native ones instead.
func histograms(t *testing.T, c *model.Columns) *model.Columns {
	out := &model.Columns{}
	for _, at := range c.T {
		h, err := promchunk.Histogram(at, 0, tsdbutil.GenerateTestHistogram(at/minute))
		require.NoError(t, err)
		out.AppendHistogram(at, h)
	}
	return out
}

// want are the samples under labels that each series gets besides.
func want(t *testing.T, into map[string]string, s samples, more map[string]string) {
	for text, c := range s {
		b := labels.NewBuilder(series(t, text))
		for name, value := range more {
			b.Set(name, value)
		}
		migratetest.Put(into, b.Labels(), c)
	}
}

// source opens the bucket; calls are one after another.
func (w *world) source(d blob.Driver, skips *migrate.Skips, o *Options) *Source {
	opts := Options{TempDir: w.temp, Name: "mem://source"}
	if o != nil {
		opts = *o
		opts.TempDir, opts.Name = w.temp, "mem://source"
	}
	opts.metasAtOnce, opts.filesAtOnce = 1, 1
	return New(blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1}), skips, &opts)
}

// run takes the bucket over.
func (w *world) run(d blob.Driver, cfg *migrate.Config, o *Options) (*migrate.Report, error) {
	skips := migrate.NewSkips(false)
	src := w.source(d, skips, o)
	c, _ := w.Components()
	r, err := migrate.Run(context.Background(), cfg, c, src, skips)
	require.NoError(w.T, src.Close())
	left, globErr := filepath.Glob(filepath.Join(w.temp, "*"))
	require.NoError(w.T, globErr)
	require.Empty(w.T, left, "nothing is left of what was fetched")
	return r, err
}

func (w *world) mustRun(cfg *migrate.Config, o *Options) *migrate.Report {
	r, err := w.run(w.from, cfg, o)
	require.NoError(w.T, err)
	return r
}

// fetched is how many reads of index and chunks there were.
func fetched(d *countblob.Driver) (n int) {
	for key, times := range d.Stats().Keys {
		if base := filepath.Base(key); base != "meta.json" && dataFile.MatchString(base) || filepath.Base(filepath.Dir(key)) == "chunks" {
			n += times
		}
	}
	return n
}

// named is all that was left out, one a line.
func named(r *migrate.Report) string {
	text := ""
	for i := range r.Named {
		text += r.Named[i].String() + "\n"
	}
	return text
}

// randomSeries are names that lie in another order when labels come in between.
func (w *world) randomSeries(n int) []string {
	seen := map[string]bool{}
	for len(seen) < n {
		ls := labels.NewBuilder(labels.FromStrings("__name__", fmt.Sprintf("m%d", w.Rand.IntN(3))))
		for _, name := range []string{"a", "A", "job", "replica", "zone"} {
			if w.Rand.IntN(2) == 0 {
				ls.Set(name, fmt.Sprint(w.Rand.IntN(3)))
			}
		}
		seen[ls.Labels().String()] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
