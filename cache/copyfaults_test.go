package cache

import (
	"fmt"
	"io/fs"
	oldrand "math/rand"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

// TestCrash ends the process, and then the power, at every call that making a copy takes. What is found afterwards is
// sound or nothing, and the next copy works.
func TestCrash(t *testing.T) {
	for n := 1; ; n++ {
		disk := memfs.New()
		opts := onDisk(0, 100<<20)
		w := newWorld(t, disk, opts)
		o := w.store.object("d/a/x", 4<<20+5)
		w.check(o, rg(0, o.Size))
		disk.SetHook(memfs.At(n, memfs.ErrCrashed))
		w.Drain(t.Context())
		if disk.Calls() < n {
			require.Greater(t, n, 5)
			return
		}
		for _, after := range []*memfs.FS{disk.Crash(nil), disk.Crash(oldrand.New(oldrand.NewSource(int64(n))))} {
			w.open(after, opts)
			for _, name := range files(t, after, dir) {
				require.Equal(t, nameOf(o.Key), name, "crash at call %d", n)
			}
			w.check(o, rg(100, 100), rg(1<<20, 1<<20))
			w.copied(o)
			w.free(o)
		}
	}
}

// TestFlips flips a bit everywhere in a copy, the process being alive or not. No answer is wrong and none fails.
func TestFlips(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	opts := BucketOptions{Dir: t.TempDir(), DiskBytes: 1 << 20, KeepFree: 1}
	w := newWorld(t, vfs.OS{}, opts)
	o := w.store.object("d/a/x", 50_000)
	file := filepath.Join(opts.Dir, nameOf(o.Key))
	length := copyBytes(o.Size)
	for try := range 120 {
		tableRead := w.Has(o, rg(0, 1)) // by the read of the flip before
		if !tableRead {
			w.copied(o)
		}
		if try%3 == 0 {
			require.NoError(t, w.Close())
			w.open(vfs.OS{}, opts)
			tableRead = false
		}
		at := r.Int64N(length)
		if try < 60 { // table and trailer are small
			at = o.Size + r.Int64N(length-o.Size)
		}
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		b[at] ^= 1 << r.IntN(8)
		require.NoError(t, os.WriteFile(file, b, 0o600))
		w.check(o, rg(0, o.Size))
		if at < o.Size || !tableRead {
			require.False(t, w.Has(o, rg(0, 1)), "flip at %d", at)
			require.Equal(t, 1, w.faults("damaged"))
			w.metrics.faults.Reset()
		} else { // the table was read before
			require.True(t, w.Has(o, rg(0, 1)), "flip at %d", at)
			require.Zero(t, w.faults("damaged"))
		}
	}
	require.NoError(t, w.Close())
}

// TestTruncatedAndGone takes the file away from under a running process in all ways.
func TestTruncatedAndGone(t *testing.T) {
	opts := BucketOptions{Dir: t.TempDir(), DiskBytes: 1 << 20, KeepFree: 1}
	w := newWorld(t, vfs.OS{}, opts)
	o := w.store.object("d/a/x", 50_000)
	file := filepath.Join(opts.Dir, nameOf(o.Key))
	for name, c := range map[string]struct {
		do     func() error
		reason string
	}{
		"cut short": {func() error { return os.Truncate(file, 20_000) }, "damaged"},
		"empty":     {func() error { return os.Truncate(file, 0) }, "damaged"},
		"removed":   {func() error { return os.Remove(file) }, "vanished"},
		"directory": {func() error { return os.Rename(opts.Dir, opts.Dir+".away") }, "vanished"},
	} {
		t.Run(name, func(t *testing.T) {
			w.copied(o)
			require.NoError(t, c.do())
			w.check(o, rg(0, o.Size))
			require.Equal(t, 1, w.faults(c.reason))
			w.metrics.faults.Reset()
			if name == "directory" {
				require.NoError(t, os.Rename(opts.Dir+".away", opts.Dir))
			}
			w.check(o, rg(0, 10))
			require.Zero(t, w.faults(c.reason))
		})
	}
	require.NoError(t, w.Close())
}

// TestDirectoryRemoved has somebody remove the directory of a process that runs: it is made anew for the next copy, and taken.
func TestDirectoryRemoved(t *testing.T) {
	opts := BucketOptions{Dir: filepath.Join(t.TempDir(), "cache"), KeepFree: 1}
	w := newWorld(t, vfs.OS{}, opts)
	o := w.store.object("d/a/x", 100_000)
	w.copied(o)
	require.NoError(t, os.RemoveAll(opts.Dir))
	w.check(o, rg(0, o.Size))
	require.Equal(t, 1, w.faults("vanished"))
	w.copied(o)
	require.Len(t, files(t, vfs.OS{}, opts.Dir), 1)
	_, err := NewBucket(&opts, Components{From: w.store})
	require.ErrorIs(t, err, vfs.ErrLocked)
	require.NoError(t, w.Close())
}

// TestFullDisk has each call fail that making a copy takes.
func TestFullDisk(t *testing.T) {
	for n := 1; ; n++ {
		disk := memfs.New()
		w := newWorld(t, disk, onDisk(0, 100<<20))
		o := w.store.object("d/a/x", 4<<20+5)
		w.check(o, rg(0, o.Size))
		disk.SetHook(memfs.At(n, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}))
		w.Drain(t.Context())
		if disk.Calls() < n {
			require.Greater(t, n, 5)
			return
		}
		disk.SetHook(nil)
		require.Empty(t, files(t, disk, dir), "call %d", n)
		require.Zero(t, w.copier.reserved)
		require.Equal(t, 1, lines(w.log.String(), "local copies cannot be made"))
		// Queries go on, and nothing is tried for a while.
		w.check(o, rg(0, o.Size))
		w.Drain(t.Context())
		require.Equal(t, 1.0, testutil.ToFloat64(w.metrics.failures))
		// Still full: no more lines.
		w.now = w.now.Add(restAfterFault)
		disk.SetHook(memfs.From(1, syscall.ENOSPC))
		w.check(o, rg(0, o.Size))
		w.Drain(t.Context())
		require.Equal(t, 2.0, testutil.ToFloat64(w.metrics.failures))
		require.Equal(t, 1, lines(w.log.String(), "local copies cannot be made"))
		disk.SetHook(nil)
		w.now = w.now.Add(restAfterFault)
		w.copied(o)
	}
}

// smallDisk tells how much is free: what is left of bytes by the files in dir.
type smallDisk struct {
	*memfs.FS
	bytes int64
}

func (d *smallDisk) Free(string) (int64, error) {
	free := d.bytes
	entries, err := d.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		free -= info.Size()
	}
	return free, err
}

func TestKeepFree(t *testing.T) {
	d := &smallDisk{memfs.New(), 10_000_000}
	opts := onDisk(0, 100<<20)
	opts.KeepFree = 9_950_000
	w := newWorld(t, d, opts)
	o := w.store.object("d/a/x", 100_000)
	w.check(o, rg(0, o.Size))
	w.Drain(t.Context())
	require.Empty(t, files(t, d, dir))
	require.Equal(t, 1, lines(w.log.String(), "local copies cannot be made"))
	d.bytes *= 2
	w.now = w.now.Add(restAfterFault)
	w.copied(o)

	// Others fill the disk: copies give way, those asked for last go last.
	for i := range 5 {
		w.copied(w.store.object(fmt.Sprintf("d/a/%d", i), 100_000))
	}
	w.free(o)
	d.bytes = opts.KeepFree + 250_000
	last := w.store.object("d/a/last", 100_000)
	w.copied(last)
	require.Len(t, files(t, d, dir), 2)
	w.free(o)
	w.free(last)
	d.bytes = opts.KeepFree + 50_000
	next := w.store.object("d/a/next", 100_000)
	w.check(next, rg(0, next.Size))
	w.Drain(t.Context())
	require.Empty(t, files(t, d, dir), "the disk is short of more than all copies take")
	free, err := d.Free(dir)
	require.NoError(t, err)
	require.GreaterOrEqual(t, free, opts.KeepFree)
	w.check(o, rg(0, o.Size))
}

// TestWrongBytes meets an object that is not what the catalog says.
func TestWrongBytes(t *testing.T) {
	w := newWorld(t, memfs.New(), onDisk(0, 100<<20))
	o := w.store.object("d/a/x", 100_000)
	o.CRC++
	for range 3 {
		w.check(o, rg(0, o.Size))
		w.Drain(t.Context())
	}
	require.False(t, w.Has(o, rg(0, 1)))
	require.Equal(t, 1, lines(w.log.String(), "does not match its checksum"))
	require.Equal(t, 1.0, testutil.ToFloat64(w.metrics.failures))
}
