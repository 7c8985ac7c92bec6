// Package migratetest is the world in which tests of jobs and sources run: a bucket in memory, a clock, and what a query would see of it all.
package migratetest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/model"
)

// FirstDay is the first day of what tests take over.
var FirstDay = model.DayOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli())

// World is a bucket in memory, and the clock of the jobs.
type World struct {
	T *testing.T
	// Rand is that of the function.
	Rand *rand.Rand
	// Store is what the bucket holds; Own and Catalog are a way to it that never fails.
	Store   *mem.Driver
	Own     *blob.Bucket
	Catalog *catalog.Store
	// NowMs is the clock, which Now moves on.
	NowMs int64
}

// Rand is seeded by chance. It logs the seed.
func Rand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// New is an empty bucket. It logs the seed of Rand.
func New(t *testing.T) *World {
	w := &World{T: t, Rand: Rand(t), NowMs: (FirstDay + 30).Range().MinMs}
	w.Store = mem.NewAt(w.Now)
	w.Own = blob.New(w.Store, &blob.Options{Retries: -1})
	w.Catalog = catalog.New(w.Own, nil, catalog.Components{Now: w.Now, Sleep: w.Sleep})
	return w
}

// Now moves on, so that two tries of one block have two times of creation.
func (w *World) Now() time.Time {
	w.NowMs++
	return time.UnixMilli(w.NowMs)
}

// Sleep returns at once.
func (w *World) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// Components are those of a job with a way to the bucket of its own.
func (w *World) Components() (migrate.Components, *faultblob.Driver) {
	d := faultblob.Wrap(w.Store)
	b := blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1, PartBytes: 700})
	return migrate.Components{
		Bucket: b, Now: w.Now,
		Catalog: catalog.New(b, &catalog.Options{MaxUnavailable: 1}, catalog.Components{Now: w.Now, Sleep: w.Sleep}),
	}, d
}

// Small is a job whose days are several blocks.
func Small() *migrate.Config {
	return &migrate.Config{Tenant: "t", Parallel: 1, PartSamples: 60, PartSeries: 5}
}

// Backfill runs a job that must succeed, over an opened source.
func (w *World) Backfill(cfg *migrate.Config, src migrate.Source, skips *migrate.Skips) *migrate.Report {
	c, _ := w.Components()
	r, err := migrate.Run(w.T.Context(), cfg, c, src, skips)
	require.NoError(w.T, err)
	return r
}

// Read is everything in the bucket as a query sees it, and how many blocks and samples that took.
func (w *World) Read() (out map[string]string, blocksRead, samples int) {
	out = map[string]string{}
	root, err := w.Catalog.Root(w.T.Context(), "t", nil)
	require.NoError(w.T, err)
	for _, day := range root.Days {
		p, err := w.Catalog.Partition(w.T.Context(), "t", day, nil)
		require.NoError(w.T, err)
		require.False(w.T, p.Missing, "a day in the root has a catalog")
		for _, e := range p.Blocks {
			data, _, err := w.Own.Get(w.T.Context(), blocks.Key(e.Meta))
			require.NoError(w.T, err)
			require.NoError(w.T, blocks.Verify(data))
			blocksRead++
			samples += int(e.Samples)
			sel, err := blocks.Select(w.T.Context(), blocks.Stored{Bucket: w.Own}, e.Meta, &blocks.Query{Range: day.Range()})
			require.NoError(w.T, err)
			for _, s := range sel.Series {
				c := &model.Columns{}
				require.NoError(w.T, s.Samples(c, day.Range()))
				Put(out, s.Labels(), c)
			}
			sel.Close()
		}
	}
	return out, blocksRead, samples
}

// Put adds samples in a form that can be compared.
func Put(out map[string]string, ls labels.Labels, c *model.Columns) {
	for i, at := range c.T {
		v := fmt.Sprintf("%016x", math.Float64bits(c.V[i]))
		if c.H != nil && c.H[i] != nil {
			v = fmt.Sprintf("%x", c.H[i])
		}
		out[fmt.Sprintf("%s %d", ls, at)] = v
	}
}

// Same compares contents, and names a few of the differences: they are large.
func Same(t *testing.T, want, got map[string]string, msg ...any) {
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

// Complete checks that everything is there, once.
func (w *World) Complete(want map[string]string, msg ...any) {
	w.T.Helper()
	got, _, samples := w.Read()
	Same(w.T, want, got, msg...)
	require.Equal(w.T, len(want), samples, msg...)
}
