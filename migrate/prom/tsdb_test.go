package prom

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/migrate"
	"github.com/varvedb/varve/migrate/migratetest"
	"github.com/varvedb/varve/model"
)

// TestTSDB takes over blocks and log, then once more, which does nothing.
func TestTSDB(t *testing.T) {
	w := newWorld(t)
	dir, want := w.database(3)
	before := files(t, dir)
	r, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, before, files(t, dir), "the source is not written to")
	require.Empty(t, skips.Named())
	got, n, samples := w.Read()
	migratetest.Same(t, want, got)
	require.Equal(t, len(want), samples, "each sample is in one block")
	require.Equal(t, n, r.Blocks)
	require.Equal(t, int64(samples), r.Samples)
	require.Equal(t, 3, r.Days)
	require.Greater(t, n, 9, "a day is several blocks")
	for i, format := range []blocks.Format{blocks.Parquet, blocks.Parquet, blocks.Native} {
		p, err := w.Catalog.Partition(context.Background(), "t", migratetest.FirstDay+model.Day(i), nil)
		require.NoError(t, err)
		for _, e := range p.Blocks {
			require.Equal(t, format, e.Format, "the last day may not be over")
		}
	}

	r, _ = w.tsdb(migratetest.Small(), dir)
	require.Zero(t, r.Blocks)
	require.Equal(t, 3, r.Already)
	again, m, _ := w.Read()
	migratetest.Same(t, want, again)
	require.Equal(t, n, m)

	// Another cut is another job: samples lie there twice, and are seen once.
	r, _ = w.tsdb(&migrate.Config{Tenant: "t"}, dir)
	require.Equal(t, 3, r.Blocks)
	again, _, samples = w.Read()
	migratetest.Same(t, want, again)
	require.Equal(t, 2*len(want), samples)
}

// TestTSDBFaultsAtEveryCall lets each call fail, or succeed without an answer, or be the last, and then runs the job again: each sample is there once.
func TestTSDBFaultsAtEveryCall(t *testing.T) {
	// Few blocks are read, and two and more a day written: what a call less costs is squared.
	dir, want := newWorld(t).databaseOf(2, 12)
	cfg := &migrate.Config{Tenant: "t", Parallel: 1, PartSamples: 150, PartSeries: 8}
	// A crash before a call leaves what one after the call before it does.
	for _, a := range []faultblob.Action{{Kind: faultblob.Fail}, {Kind: faultblob.LoseAnswer}, {Kind: faultblob.CrashAfter}} {
		for n := 1; ; n++ {
			w := newWorld(t)
			c, d := w.Components()
			c.Bucket = blob.New(d, &blob.Options{Retries: -1, MaxInFlight: 1, PartBytes: 2500}) // uploads of a few parts, not of dozens
			d.SetHook(faultblob.Nth(n, a))
			err := w.runAs(cfg, c, dir)
			require.True(t, err == nil || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, faultblob.ErrCrashed) || errors.Is(err, model.ErrUnavailable), "%v", err)
			w.tsdb(cfg, dir)
			w.Complete(want, "call %d", n)
			if d.Calls() < n {
				require.Greater(t, n, 30, "a job makes calls")
				break
			}
		}
	}
}

// run runs a small job over a directory.
func (w *world) run(c migrate.Components, dir string) error {
	return w.runAs(migratetest.Small(), c, dir)
}

func (w *world) runAs(cfg *migrate.Config, c migrate.Components, dir string) error {
	skips := migrate.NewSkips(false)
	src, err := OpenTSDB(dir, skips, &TSDBOptions{TempDir: w.T.TempDir()})
	require.NoError(w.T, err)
	defer func() { require.NoError(w.T, src.Close()) }()
	_, err = migrate.Run(context.Background(), cfg, c, src, skips)
	return err
}

// TestRacingJobs lets the same job run, whole, at each call of the first one.
func TestRacingJobs(t *testing.T) {
	dir, want := newWorld(t).database(1)
	for n := 1; ; n++ {
		w := newWorld(t)
		first, d := w.Components()
		d.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.N == n {
				second, _ := w.Components()
				require.NoError(t, w.run(second, dir))
			}
			return faultblob.Action{}
		})
		require.NoError(t, w.run(first, dir))
		w.Complete(want, "call %d", n)
		if d.Calls() < n {
			break
		}
	}
}

// TestChoice takes over some series of some time, under other labels.
func TestChoice(t *testing.T) {
	w := newWorld(t)
	dir, all := w.database(2)
	rng := model.TimeRange{MinMs: migratetest.FirstDay.Range().MinMs + 5*3_600_000, MaxMs: migratetest.FirstDay.Range().MaxMs + 3_600_000}
	cfg := &migrate.Config{
		Tenant: "t", Range: &rng, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "m[01]|native")},
		Relabel: []*relabel.Config{
			{SourceLabels: commonmodel.LabelNames{"i"}, Regex: relabel.MustNewRegexp("3"), Action: relabel.Drop},
			{SourceLabels: commonmodel.LabelNames{"__name__"}, Regex: relabel.MustNewRegexp("m(.*)"), TargetLabel: "__name__", Replacement: "z$1", Separator: ";", Action: relabel.Replace},
			{Regex: relabel.MustNewRegexp("late"), Separator: ";", Replacement: "$1", Action: relabel.LabelDrop},
		},
		TempDir: t.TempDir(),
	}
	for _, r := range cfg.Relabel {
		require.NoError(t, r.Validate(commonmodel.UTF8Validation))
	}
	want := map[string]string{}
	for k, v := range all {
		_, at, _ := strings.Cut(k, "} ")
		if strings.Contains(k, `i="3"`) || strings.Contains(k, `"m2"`) || strings.Contains(k, "no=") || !rng.Contains(parse(t, at)) {
			continue
		}
		k = strings.ReplaceAll(k, `"m`, `"z`)
		want[strings.ReplaceAll(k, `, late="1"`, "")] = v
	}
	r, skips := w.tsdb(cfg, dir)
	require.Empty(t, skips.Named())
	require.Positive(t, r.Dropped)
	got, _, _ := w.Read()
	migratetest.Same(t, want, got)
}

// TestDryRun writes nothing and counts what a run then finds.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	dir, _ := w.database(2)
	cfg := migratetest.Small()
	cfg.DryRun = true
	dry, _ := w.tsdb(cfg, dir)
	root, err := w.Catalog.Root(context.Background(), "t", nil)
	require.NoError(t, err)
	require.Empty(t, root.Days)
	require.Positive(t, dry.Bytes)
	real, _ := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, []int64{real.Samples, real.Series, real.Histograms, int64(real.Days), int64(real.Blocks), real.MinMs, real.MaxMs},
		[]int64{dry.Samples, dry.Series, dry.Histograms, int64(dry.Days), int64(dry.Blocks), dry.MinMs, dry.MaxMs})
}

// TestDeletedSeries are not taken over, be they deleted from blocks or in the log.
func TestDeletedSeries(t *testing.T) {
	w := newWorld(t)
	dir, _ := w.database(1)
	db, err := tsdb.Open(dir, nil, nil, smallOptions(), nil)
	require.NoError(t, err)
	db.DisableCompactions()
	require.NoError(t, db.Delete(context.Background(), migratetest.FirstDay.Range().MinMs+3_600_000, migratetest.FirstDay.Range().MaxMs, labels.MustNewMatcher(labels.MatchEqual, "i", "4")))
	want := migratetest.Contents(t, db)
	require.NoError(t, db.Close())
	w.tsdb(migratetest.Small(), dir)
	got, _, _ := w.Read()
	migratetest.Same(t, want, got)
}

// TestOutOfOrderBlock takes samples from the log although a block of out-of-order samples reaches further than they do.
func TestOutOfOrderBlock(t *testing.T) {
	dir, db := lateDatabase(t, 0, 600_000, 1_800_000, 1_200_000)
	require.NoError(t, db.CompactOOOHead(context.Background()))
	want := migratetest.Contents(t, db)
	require.Len(t, want, 4)
	require.NotEmpty(t, db.Blocks())
	require.NoError(t, db.Close())
	w := newWorld(t)
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}

// TestOutOfOrderTie takes, of two samples of one time, the one that Prometheus answers: that which came out of order, as a staleness marker may.
func TestOutOfOrderTie(t *testing.T) {
	dir, db := lateDatabase(t, 0, 600_000, 1_200_000, 1_800_000, 600_000)
	want := migratetest.Contents(t, db)
	require.Len(t, want, 4)
	require.NoError(t, db.Close())
	w := newWorld(t)
	w.tsdb(migratetest.Small(), dir)
	w.Complete(want)
}

// TestDamagedTSDB leaves out what cannot be read, and names it; a strict job ends.
func TestDamagedTSDB(t *testing.T) {
	w := newWorld(t)
	dir, want := w.database(2)
	dirs := blockDirs(t, dir)
	require.Greater(t, len(dirs), 3)
	// A bit of a chunk.
	segment := filepath.Join(dirs[0], "chunks", "000001")
	b, err := os.ReadFile(segment)
	require.NoError(t, err)
	b[len(b)-8] ^= 1
	require.NoError(t, os.WriteFile(segment, b, 0o600))
	// A block without an index, and ones that were not written to the end.
	require.NoError(t, os.Remove(filepath.Join(dirs[1], "index")))
	require.NoError(t, os.Rename(dirs[2], dirs[2]+".tmp-for-creation"))
	// A record of the log.
	logs, err := filepath.Glob(filepath.Join(dir, "wal", "0*"))
	require.NoError(t, err)
	last, end := "", 0
	for _, last = range slices.Backward(logs) {
		b, err = os.ReadFile(last)
		require.NoError(t, err)
		if end = len(bytes.TrimRight(b, "\x00")); end > 0 {
			break
		}
	}
	b[end-5] ^= 1
	require.NoError(t, os.WriteFile(last, b, 0o600))

	r, skips := w.tsdb(migratetest.Small(), dir)
	require.Equal(t, map[string]int64{"chunk": 1, "block": 1, "directory": 1, "log": 1}, r.Skipped)
	named := ""
	for _, s := range skips.Named() {
		named += s.String() + "\n"
	}
	for _, where := range []string{segment + " at byte", dirs[1], dirs[2], last + " at byte"} {
		require.Contains(t, named, where)
	}
	got, _, _ := w.Read()
	require.Less(t, len(got), len(want))
	require.Greater(t, len(got), len(want)/2)
	rest := maps.Clone(want)
	maps.DeleteFunc(rest, func(k, _ string) bool { _, ok := got[k]; return !ok })
	migratetest.Same(t, rest, got, "what is there is right")

	strict := migrate.NewSkips(true)
	_, err = OpenTSDB(dir, strict, nil)
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = OpenTSDB(filepath.Join(dir, "wal"), migrate.NewSkips(false), nil)
	require.ErrorIs(t, err, model.ErrNotFound)
}
