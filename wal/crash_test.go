package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs/memfs"
)

// history is what a client knows of a log through its crashes: the oracle of these tests.
type history struct {
	next     int            // number of the next batch
	acked    []int          // batches whose Append returned nil
	failed   []int          // whose Append returned an error, in the generation that is being written
	void     []int          // of these, those whose generation was then ended by the same process: gone for good
	released uint64         // generations up to this were let go
	of       map[int]uint64 // generation of each batch
	shipped  map[Position][]byte
}

func newHistory() *history {
	return &history{of: map[int]uint64{}, shipped: map[Position][]byte{}}
}

// run drives a log for a while, as an ingester would: it ends the generation after each failure and at start, ships what is closed, releases
// what is old. It stops when the process is dead.
func (h *history) run(t *testing.T, fsys *memfs.FS) {
	l, err := Open(fsys, testDir, testWriter, &Options{SegmentBytes: 600})
	if err != nil {
		return
	}
	h.failed = nil // of an earlier process: who knows
	if !h.end(l) {
		return
	}
	for round := range 3 {
		for i := range 4 {
			if !h.put(l) {
				return
			}
			if i == 1 {
				if err := l.Cut(context.Background()); err != nil && !h.end(l) {
					return
				}
			}
			h.ship(t, l)
		}
		if !h.end(l) {
			return
		}
		h.ship(t, l)
		if round == 1 {
			g := l.Generation() - 2
			h.released = max(h.released, g) // whether or not it succeeds
			_ = l.Release(g)
		}
	}
	_ = l.Close()
}

// put appends one batch, ending the generation if that fails, and reports whether the process lives.
func (h *history) put(l *Log) bool {
	h.next++
	h.of[h.next] = l.Generation()
	err := put(l, []string{"a", "b"}[h.next%2], h.next)
	if err == nil {
		h.acked = append(h.acked, h.next)
		return true
	}
	h.failed = append(h.failed, h.next)
	return h.end(l)
}

// end ends the generation, in several attempts if it must.
func (h *history) end(l *Log) bool {
	for range 10 {
		err := l.EndGeneration()
		if err == nil {
			h.void = append(h.void, h.failed...)
			h.failed = nil
			return true
		}
		if !errors.Is(err, ErrBroken) || errors.Is(err, memfs.ErrCrashed) {
			return false
		}
	}
	return false
}

// ship reads all closed segments, which may never read differently afterwards.
func (h *history) ship(t *testing.T, l *Log) {
	for _, s := range l.Segments() {
		if !s.Closed {
			continue
		}
		b, err := l.ReadSegment(s.Generation, s.Seq)
		if err != nil {
			require.ErrorIs(t, err, memfs.ErrCrashed)
			continue
		}
		p := Position{s.Generation, s.Seq}
		if old, ok := h.shipped[p]; ok {
			require.Equal(t, old, b, "shipped segment %v changed", p)
		}
		h.shipped[p] = b
	}
}

// check opens the log and compares it with the history.
func (h *history) check(t *testing.T, fsys *memfs.FS, what string) *Log {
	t.Helper()
	l, err := Open(fsys, testDir, testWriter, &Options{SegmentBytes: 600})
	require.NoError(t, err, what)
	h.compare(t, l, what)
	h.ship(t, l)
	return l
}

func (h *history) compare(t *testing.T, l *Log, what string) {
	t.Helper()
	got := replayed(t, l)
	require.True(t, slices.IsSorted(got), "%s: out of order: %v", what, got)
	require.Len(t, slices.Compact(slices.Clone(got)), len(got), "%s: doubled: %v", what, got)
	for _, b := range got {
		require.Contains(t, h.of, b, "%s: invented", what)
		require.NotContains(t, h.void, b, "%s: a batch came back that its process had given up: %v", what, got)
	}
	for _, b := range h.acked {
		if h.of[b] > h.released {
			require.Contains(t, got, b, "%s: an acknowledged batch is lost; have %v, shipped so far %d", what, got, len(h.shipped))
		}
	}
}

func (h *history) clone() *history {
	c := newHistory()
	c.next, c.released = h.next, h.released
	c.acked, c.failed, c.void = slices.Clone(h.acked), slices.Clone(h.failed), slices.Clone(h.void)
	for k, v := range h.of {
		c.of[k] = v
	}
	for k, v := range h.shipped {
		c.shipped[k] = v
	}
	return c
}

// variants are the power losses that are tried at each call.
func variants(seed int64) []*rand.Rand {
	v := []*rand.Rand{nil}
	for i := range int64(4) {
		v = append(v, rand.New(rand.NewSource(seed*100+i)))
	}
	return v
}

// TestCrashAtEveryCall loses the power before each call, in several ways, recovers, and works on.
func TestCrashAtEveryCall(t *testing.T) {
	for n := 1; ; n++ {
		fsys, h := memfs.New(), newHistory()
		fsys.SetHook(memfs.At(n, memfs.ErrCrashed))
		h.run(t, fsys)
		if fsys.Calls() < n {
			require.Greater(t, n, 80, "the run is too short to prove anything")
			break
		}
		for i, rng := range variants(int64(n)) {
			what := fmt.Sprintf("crash before call %d, variant %d", n, i)
			after := h.clone()
			up := fsys.Crash(rng)
			after.check(t, up, what)
			after.run(t, up)
			after.check(t, up.Crash(nil), what+", then a whole run, then a crash")
		}
	}
}

// TestCrashInRecovery loses the power at every call, and once more at every call of opening and ending the generation.
func TestCrashInRecovery(t *testing.T) {
	recover := func(h *history, fsys *memfs.FS) {
		if l, err := Open(fsys, testDir, testWriter, &Options{SegmentBytes: 600}); err == nil {
			h.failed = nil
			_ = h.end(l) && h.put(l)
		}
	}
	for n := 5; ; n += 3 {
		fsys, h := memfs.New(), newHistory()
		fsys.SetHook(memfs.At(n, memfs.ErrCrashed))
		h.run(t, fsys)
		if fsys.Calls() < n {
			break
		}
		for m := 1; ; m++ {
			seed := int64(n*1000 + m)
			rng := rand.New(rand.NewSource(seed))
			again := h.clone()
			up := fsys.Crash(rng)
			up.SetHook(memfs.At(m, memfs.ErrCrashed))
			recover(again, up)
			if up.Calls() < m {
				break
			}
			again.check(t, up.Crash(rng), fmt.Sprintf("crash before call %d, then before call %d of recovery, seed %d", n, m, seed))
		}
	}
}

// TestFailAtEveryCall fails one call, or several in a row, or all for a while; then the process lives on, is killed, or loses its power.
func TestFailAtEveryCall(t *testing.T) {
	faults := map[string]func(n int) memfs.Hook{
		"one EIO":    func(n int) memfs.Hook { return failing(n, 1, syscall.EIO) },
		"one ENOSPC": func(n int) memfs.Hook { return failing(n, 1, syscall.ENOSPC) },
		"two EIO":    func(n int) memfs.Hook { return failing(n, 2, syscall.EIO) },
		"short":      func(n int) memfs.Hook { return failing(n, 1, &memfs.ShortWrite{N: 25, Err: syscall.ENOSPC}) },
		"seven":      func(n int) memfs.Hook { return failing(n, 7, &memfs.ShortWrite{N: 7, Err: syscall.ENOSPC}) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				fsys, h := memfs.New(), newHistory()
				fsys.SetHook(fault(n))
				h.run(t, fsys)
				if fsys.Calls() < n {
					break
				}
				what := fmt.Sprintf("%s at call %d", name, n)
				for i, rng := range variants(int64(n))[:3] {
					h.clone().check(t, fsys.Crash(rng), fmt.Sprintf("%s, then a power loss, variant %d", what, i))
				}
				fsys, h = memfs.New(), newHistory()
				fsys.SetHook(fault(n))
				h.run(t, fsys)
				next := fsys.Process()
				h.check(t, next, what+", then a restart")
				h.check(t, next.Crash(nil), what+", then a restart, then a power loss")
			}
		})
	}
}

// failing fails count calls from the n-th on.
func failing(n, count int, err error) memfs.Hook {
	return func(c memfs.Call) error {
		if n <= c.N && c.N < n+count {
			return err
		}
		return nil
	}
}

// TestReplayedIsDurable: an fsync fails, the process is killed at any later call, the next one replays what the page cache
// shows, and then the power goes: what was replayed is still there.
func TestReplayedIsDurable(t *testing.T) {
	for n := 1; ; n++ {
		runs := 0
		for after := 1; after < 8; after++ {
			fsys, h := memfs.New(), newHistory()
			syncs := memfs.At(n, syscall.EIO, memfs.OpSync)
			failedAt := 0
			fsys.SetHook(func(c memfs.Call) error {
				err := syncs(c)
				if err != nil {
					failedAt = c.N
				}
				if failedAt > 0 && c.N == failedAt+after {
					return memfs.ErrCrashed
				}
				return err
			})
			h.run(t, fsys)
			if failedAt == 0 {
				break
			}
			runs++
			next := fsys.Process()
			l := h.check(t, next, fmt.Sprintf("sync %d fails, killed %d calls later", n, after))
			before := replayed(t, l)
			l, err := Open(next.Crash(nil), testDir, testWriter, nil)
			require.NoError(t, err)
			require.Equal(t, before, replayed(t, l), "sync %d fails, killed %d calls later", n, after)
		}
		if runs == 0 {
			require.Greater(t, n, 10)
			return
		}
	}
}

// TestBrokenUntilASegmentSyncs: while the disk is dead everything is refused as unavailable, and nothing is lost.
func TestBrokenUntilASegmentSyncs(t *testing.T) {
	fsys := memfs.New()
	l := open(t, fsys)
	require.NoError(t, put(l, "a", 1))
	fsys.SetHook(memfs.From(1, syscall.ENOSPC))
	require.ErrorContains(t, put(l, "a", 2), localPath(1, 0))
	for range 3 {
		err := put(l, "a", 2)
		require.ErrorIs(t, err, ErrBroken)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorIs(t, l.Cut(context.Background()), ErrBroken)
		require.ErrorIs(t, l.EndGeneration(), ErrBroken)
		require.ErrorIs(t, l.Err(), ErrBroken)
		require.EqualValues(t, 1, l.Generation())
		_, err = l.ReadSegment(1, 0)
		require.Error(t, err, "not final before a successor says where it ends")
	}
	fsys.SetHook(nil)
	require.ErrorIs(t, put(l, "a", 3), ErrBroken, "the definitions of the broken generation are not safe")
	require.NoError(t, l.EndGeneration())
	require.NoError(t, l.Err())
	require.EqualValues(t, 2, l.Generation())
	require.NoError(t, put(l, "a", 4))
	require.Equal(t, []int{1, 4}, replayed(t, l))
	require.Equal(t, []int{1, 4}, replayed(t, open(t, fsys.Crash(nil))))
}
