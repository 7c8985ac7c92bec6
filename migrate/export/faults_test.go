package export_test

import (
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/migrate/export"
	"github.com/varvedb/varve/model"
)

func small() *history {
	h := &history{}
	for _, name := range []string{"a", "b"} {
		c := h.add(labels.FromStrings("__name__", name))
		for i := range int64(200) {
			c.Append(start+i*600_000, float64(i))
		}
	}
	return h
}

// outputs are those that go through a file system that tests can have fail.
var outputs = []export.Config{
	{To: "jsonl", Out: "dir/out.jsonl"},
	{To: "openmetrics", Out: "dir/out.om.gz"},
	{To: "jsonl", Out: "dir/out.zst"},
	{To: "parquet", Out: "dir/out.parquet"},
	{To: "parquet", Out: "dir/days"},
}

// files are those of the disk, by name.
func files(t *testing.T, fsys vfs.FS, dir string) map[string]string {
	out := map[string]string{}
	entries, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			for k, v := range files(t, fsys, path) {
				out[k] = v
			}
			continue
		}
		m, err := fsys.Map(path)
		require.NoError(t, err)
		out[path] = string(m.Bytes())
		require.NoError(t, m.Close())
	}
	return out
}

// TestDiskFull: whichever call fails, there is an error and nothing under the name, or all of it; nothing else is left, unless its removal failed. A crash at the same moment
// leaves the name with all or none.
func TestDiskFull(t *testing.T) {
	for _, cfg := range outputs {
		disk := memfs.New()
		require.NoError(t, disk.MkdirAll("dir"))
		w := newExportWorld(t, small())
		w.c.FS = disk
		w.must(&cfg)
		want := files(t, disk, "dir")
		require.NotEmpty(t, want)
		for n := 1; ; n++ {
			disk := memfs.New()
			require.NoError(t, disk.MkdirAll("dir"))
			calls := 0
			disk.SetHook(func(memfs.Call) error {
				if calls++; calls == n {
					return syscall.ENOSPC
				}
				return nil
			})
			w := newExportWorld(t, small())
			w.c.FS = disk
			_, err := w.run(&cfg)
			disk.SetHook(nil)
			got := named(files(t, disk, "dir"))
			if err == nil { // as where there are no links
				require.Equal(t, want, got)
			} else {
				require.ErrorIs(t, err, syscall.ENOSPC, "call %d", n)
			}
			after := named(files(t, disk.Crash(rand.New(rand.NewSource(int64(n)))), "dir"))
			for _, got := range []map[string]string{got, after} {
				if len(got) > 0 {
					require.Equal(t, want, got, "%s %s, call %d: %v", cfg.To, cfg.Out, n, err)
				}
			}
			if calls < n {
				require.NoError(t, err)
				break
			}
		}
	}
}

// named are files that look like outputs.
func named(all map[string]string) map[string]string {
	for k := range all {
		if strings.Contains(k, ".varve-export-") {
			delete(all, k)
		}
	}
	return all
}

// TestSourceDies: nothing is left of what was begun.
func TestSourceDies(t *testing.T) {
	broken := errors.New("the source died")
	for _, kind := range export.Kinds() {
		w := newExportWorld(t, small())
		w.h.err = broken
		dir := t.TempDir()
		_, err := w.run(&export.Config{To: kind, Out: filepath.Join(dir, "out")})
		require.ErrorIs(t, err, broken)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, entries, kind)
	}
}

// TestSecondRun leaves alone what is there, and takes an empty directory.
func TestSecondRun(t *testing.T) {
	for _, kind := range export.Kinds() {
		dir := t.TempDir()
		out := filepath.Join(dir, "out")
		newExportWorld(t, small()).must(&export.Config{To: kind, Out: out})
		before := files(t, vfs.OS{}, dir)
		_, err := newExportWorld(t, small()).run(&export.Config{To: kind, Out: out})
		require.ErrorIs(t, err, model.ErrConflict, kind)
		require.Equal(t, before, files(t, vfs.OS{}, dir), kind)
	}
	empty := t.TempDir()
	newExportWorld(t, small()).must(&export.Config{To: "tsdb", Out: empty})
	entries, err := os.ReadDir(empty)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// TestNoRoomToSort: where sorting cannot spill there is no output.
func TestNoRoomToSort(t *testing.T) {
	h := newHistory(t)
	for _, kind := range []string{"tsdb", "openmetrics"} {
		w := newExportWorld(t, h)
		dir := t.TempDir()
		cfg := &export.Config{To: kind, Out: filepath.Join(dir, "out"), SortBytes: 1}
		sel := w.selection()
		cfg.TempDir = filepath.Join(dir, "missing")
		_, err := export.Run(t.Context(), cfg, w.c, sel, w.skips)
		if kind == "tsdb" && err == nil {
			continue // a day has less than what is always held
		}
		require.ErrorIs(t, err, fs.ErrNotExist, kind)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, entries, kind)
	}
}

type fullPipe struct{}

func (fullPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// TestPipe: a reader that has gone is an error.
func TestPipe(t *testing.T) {
	for _, kind := range []string{"openmetrics", "jsonl"} {
		w := newExportWorld(t, small())
		w.c.Stdout = fullPipe{}
		_, err := w.run(&export.Config{To: kind, Out: "-"})
		require.ErrorIs(t, err, syscall.EPIPE)
	}
	for _, kind := range []string{"tsdb", "parquet", "nonsense"} {
		_, err := newExportWorld(t, small()).run(&export.Config{To: kind, Out: "-"})
		require.ErrorIs(t, err, model.ErrInvalid)
	}
}
