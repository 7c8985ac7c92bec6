package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

func onDisk(memory, disk int64) BucketOptions {
	return BucketOptions{MemoryBytes: memory, Dir: dir, DiskBytes: disk}
}

// TestCopied reads a block a little at a time until a copy is worth it.
func TestCopied(t *testing.T) {
	w := newWorld(t, memfs.New(), onDisk(0, 100<<20))
	o := w.store.object("d/tenant=a/day=2024-01-01/x.vb", 1<<20)
	reads := 0
	for ; !w.Has(o, rg(0, o.Size)); reads++ {
		w.check(o, rg(5000, 10_000))
		w.Drain(t.Context())
	}
	require.Equal(t, 1<<20/(64<<10+10_000)+1, reads)
	w.store.took()
	u := &Usage{}
	for _, ranges := range [][]blob.Range{
		{rg(0, 10), rg(0, 10)},
		{rg(o.Size-1, 1), rg(0, 0), rg(500_000, 100_000)},
		{rg(16<<10, 16<<10), rg(32<<10, 1), rg(33<<10, 5), rg(20, 7)},
		{rg(0, o.Size)},
	} {
		got, err := w.Read(WithUsage(t.Context(), u), o, ranges)
		require.NoError(t, err)
		w.same(o, got, ranges)
	}
	n, _ := w.store.took()
	require.Zero(t, n)
	require.EqualValues(t, 10, u.Hits.Load())
}

// TestNoCopyWithoutRun: a process that only asks reads no byte more than it asked for.
func TestNoCopyWithoutRun(t *testing.T) {
	w := newWorld(t, memfs.New(), onDisk(0, 100<<20))
	o := w.store.object("d/a/x", 100_000)
	for range 10 {
		w.check(o, rg(0, 1000))
	}
	_, bytes := w.store.took()
	require.EqualValues(t, 10_000, bytes)
	w.check(o, rg(0, 1000))
	// Objects of unknown size, and those that are too large, are never copied.
	huge := w.store.object("d/a/huge", 60<<20)
	for range 3 {
		w.check(&Object{Key: o.Key}, rg(0, o.Size))
		w.check(huge, rg(0, huge.Size))
	}
	w.copier.queue = nil
	w.check(huge, rg(0, huge.Size))
	require.Empty(t, w.copier.queue)
}

// TestReplaced: what there is a copy of takes no room in memory.
func TestReplaced(t *testing.T) {
	w := newWorld(t, memfs.New(), onDisk(1<<20, 100<<20))
	o := w.store.object("d/a/x", 100_000)
	w.check(o, rg(0, o.Size))
	require.True(t, w.memory.has(o.Key, rg(0, o.Size)))
	w.Drain(t.Context())
	require.False(t, w.memory.has(o.Key, rg(0, 1)))
	require.Zero(t, w.memory.lru.used)
	w.free(o)
}

// TestEager: a process that lives for one query copies what that read a good part of.
func TestEager(t *testing.T) {
	opts := onDisk(0, 100<<20)
	opts.Eager = true
	w := newWorld(t, memfs.New(), opts)
	small, large := w.store.object("d/a/small", 600_000), w.store.object("d/a/large", 1<<20)
	w.check(small, rg(0, 10_000))
	w.check(large, rg(0, 10_000))
	w.Drain(t.Context())
	require.True(t, w.Has(small, rg(0, 1)))
	require.False(t, w.Has(large, rg(0, 1)))
}

func TestRestart(t *testing.T) {
	disk := memfs.New()
	opts := onDisk(0, 100<<20)
	w := newWorld(t, disk, opts)
	o := w.store.object("d/a/x", 100_000)
	w.copied(o)
	f, err := disk.Create(filepath.Join(dir, "d+a+y"+tempSuffix))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = disk.Create(filepath.Join(dir, "notes of somebody"))
	require.NoError(t, err)
	require.NoError(t, f.Close())

	_, err = NewBucket(&opts, Components{From: w.store, FS: disk})
	require.ErrorIs(t, err, vfs.ErrLocked)

	require.NoError(t, w.Close())
	w.open(disk, opts)
	require.ElementsMatch(t, []string{"d+a+x.copy", "notes of somebody"}, files(t, disk, dir))
	w.free(o)
	require.NoError(t, w.Close())
	// The same name for other bytes: another bucket.
	w.open(disk, opts)
	other := *o
	other.CRC++
	w.check(&other, rg(0, 10))
	require.Equal(t, 1, w.faults("damaged"))
	require.False(t, w.Has(o, rg(0, 10)))
	// A smaller budget than the process before had.
	w.copied(o)
	require.NoError(t, w.Close())
	w.open(disk, onDisk(0, 1000))
	require.Equal(t, []string{"notes of somebody"}, files(t, disk, dir))
}

// TestDiskBudget copies far more than fits and never has more on disk.
func TestDiskBudget(t *testing.T) {
	disk := memfs.New()
	const budget = 1 << 20
	w := newWorld(t, disk, onDisk(0, budget))
	used := func() (n int64) {
		for _, name := range files(t, disk, dir) {
			info, err := disk.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			n += info.Size()
		}
		return n
	}
	var most int64
	var all []*Object
	w.store.before = func(context.Context, string) error { most = max(most, used()); return nil }
	for i := range 40 {
		o := w.store.object(fmt.Sprintf("d/a/%d", i), 100_000)
		all = append(all, o)
		w.copied(o)
		w.free(all[0]) // one that is in use stays
	}
	require.True(t, w.Has(all[39], rg(0, 1)))
	require.False(t, w.Has(all[20], rg(0, 1)))
	require.LessOrEqual(t, max(most, used()), int64(budget))
	require.Greater(t, used(), int64(budget)/2)
	require.EqualValues(t, used(), testutil.ToFloat64(w.metrics.disk.bytes))
	require.Positive(t, testutil.ToFloat64(w.metrics.disk.evictions))
}

// TestEvictedWhileRead evicts a copy between two reads of an open file.
func TestEvictedWhileRead(t *testing.T) {
	disk := vfs.OS{}
	opts := BucketOptions{Dir: t.TempDir(), DiskBytes: 1 << 20, KeepFree: 1}
	w := newWorld(t, disk, opts)
	o := w.store.object("d/a/x", 100_000)
	w.copied(o)
	w.free(o)
	l := w.copier.byKey[o.Key]
	f, err := disk.Open(l.name)
	require.NoError(t, err)
	w.Forget(o.Key)
	require.Empty(t, files(t, disk, opts.Dir))
	r := []blob.Range{rg(50, 60_000)}
	got, err := readCopy(f, o, l.sums, r)
	require.NoError(t, err)
	w.same(o, got, r)
	require.NoError(t, f.Close())
	require.NoError(t, w.Close())
}

// TestCrowd reads, copies, evicts and forgets from all sides; -race watches.
func TestCrowd(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	opts := BucketOptions{MemoryBytes: 300_000, Dir: t.TempDir(), DiskBytes: 400_000, KeepFree: 1}
	w := newWorld(t, vfs.OS{}, opts)
	var all []*Object
	for i := range 8 {
		all = append(all, w.store.object(fmt.Sprintf("d/a/%d", i), 100_000))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running, readers sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	for n := range 4 {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			for range 300 {
				o := all[r.IntN(len(all))]
				off := r.Int64N(90_000)
				ranges := []blob.Range{rg(off, r.Int64N(10_000)), rg(r.Int64N(50_000), 20_000)}
				got, err := w.Read(ctx, o, ranges)
				require.NoError(t, err)
				w.same(o, got, ranges)
				switch r.IntN(40) {
				case 0:
					w.Forget(o.Key)
				case 1:
					_ = os.Truncate(filepath.Join(opts.Dir, nameOf(o.Key)), r.Int64N(100_000))
				}
			}
		})
	}
	readers.Wait()
	cancel()
	running.Wait()
	w.memory.consistent(t, opts.MemoryBytes)
	require.LessOrEqual(t, w.copier.lru.used, opts.DiskBytes)
	require.Zero(t, w.copier.reserved)
	require.NoError(t, w.Close())
}

// TestRun has copies made beside reads, and none lost when it ends in the middle of one.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New()
		w := newWorld(t, disk, onDisk(0, 100<<20))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		synctest.Wait()
		for i := range 5 {
			o := w.store.object(fmt.Sprintf("d/a/%d", i), 100_000)
			w.check(o, rg(0, o.Size))
		}
		synctest.Wait()
		require.Len(t, files(t, disk, dir), 5)
		o := w.store.object("d/a/x", 100_000)
		w.store.mu.Lock()
		w.store.before = func(ctx context.Context, _ string) error { <-ctx.Done(); return context.Cause(ctx) }
		w.store.mu.Unlock()
		w.copier.offer(o)
		synctest.Wait()
		cancel()
		running.Wait()
		require.Len(t, files(t, disk, dir), 5)
		require.Zero(t, w.copier.reserved)
		require.NoError(t, w.Close())
	})
}

func TestNames(t *testing.T) {
	for key, want := range map[string]string{
		"d/tenant=a/day=2024-01-01/x.vb": "d+tenant=a+day=2024-01-01+x.vb.copy",
		"d/x.copy":                       "d+x.copy.copy",
		"d/x.copy.tmp":                   "d+x.copy.tmp.copy",
		"x":                              "",
		"d/" + strings.Repeat("x", 240):  "",
	} {
		require.Equal(t, want, nameOf(key))
		if want != "" {
			require.Equal(t, key, keyOf(want))
			require.Empty(t, keyOf(tempOf(want)))
			require.True(t, ofTemp(tempOf(want)))
		}
	}
	for _, name := range []string{"lock", "x", "d+x", "x.copy", "d+x.copy.tmp", "d+..+x.copy", "d++x.copy", "a b+c.copy"} {
		require.Empty(t, keyOf(name), name)
	}
	for _, name := range []string{"x.tmp", "d+x.tmp", "x.copy.tmp", "d+x.copy", ".copy.tmp"} {
		require.False(t, ofTemp(name), name)
	}
}

// TestForeignDirectory takes a directory in which others keep files: theirs stay, whatever has to go.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	theirs := []string{"notes", "report.tmp", "a+b", "libstdc+6.so", "d+x.tmp", "x.copy"}
	for _, name := range theirs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), make([]byte, 200_000), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "d+a+y.copy.tmp"), []byte("cut off"), 0o600))
	opts := BucketOptions{Dir: dir, DiskBytes: 250_000, KeepFree: 1}
	w := newWorld(t, vfs.OS{}, opts)
	for i := range 5 {
		w.copied(w.store.object(fmt.Sprintf("d/a/%d", i), 100_000))
	}
	require.NoError(t, w.Close())
	w.open(vfs.OS{}, opts)
	require.Len(t, w.copier.byKey, 2)
	require.NoError(t, w.Close())
	require.ElementsMatch(t, append(theirs, "d+a+3.copy", "d+a+4.copy"), files(t, vfs.OS{}, dir))
}

// TestCopiedMeanwhile offers an object of which a copy was made since the query looked.
func TestCopiedMeanwhile(t *testing.T) {
	w := newWorld(t, memfs.New(), onDisk(0, 100<<20))
	o := w.store.object("d/a/x", 100_000)
	w.copied(o)
	used := w.copier.lru.used
	require.NoError(t, w.copier.copy(t.Context(), o))
	require.Equal(t, used, w.copier.lru.used)
	w.Forget(o.Key)
	require.Zero(t, w.copier.lru.used)
}
