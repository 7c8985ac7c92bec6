package wal

import (
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs/memfs"
)

// appendWhileSyncing appends one record, and 15 more while its fsync is under way, and returns all their errors.
// syncErr is what that fsync returns.
func appendWhileSyncing(t *testing.T, syncErr error) (l *Log, fsys *memfs.FS, errs []error, syncs int64) {
	t.Helper()
	const followers = 15
	var count, encoded atomic.Int64
	begun, gathered := make(chan struct{}), make(chan struct{})
	fsys = memfs.New()
	l = open(t, fsys)
	fsys.SetHook(func(c memfs.Call) error {
		if c.Op != memfs.OpSync {
			return nil
		}
		if count.Add(1) == 2 { // the first is the segment's header
			close(begun)
			<-gathered
			return syncErr
		}
		return nil
	})
	appendOne := func(n int) error {
		return l.Append(func(e *Encoder) {
			if encoded.Add(1) == followers+1 {
				close(gathered)
			}
			e.Begin("t")
			e.Sample(uint32(n), int64(n), 1)
		})
	}
	errs = make([]error, followers+1)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = appendOne(0) })
	<-begun
	for i := range followers {
		wg.Go(func() { errs[i+1] = appendOne(i + 1) })
	}
	wg.Wait()
	return l, fsys, errs, count.Load()
}

// TestOneSyncForMany: what gathers during one fsync is made durable by the next, all at once.
func TestOneSyncForMany(t *testing.T) {
	l, fsys, errs, syncs := appendWhileSyncing(t, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, 3, syncs, "header, first group, all others")
	seen := 0
	for _, log := range []*Log{l, open(t, fsys.Process())} {
		require.NoError(t, log.Replay(t.Context(), 1, 0, func(r Record) error {
			seen += len(r.Samples)
			return nil
		}))
	}
	require.Equal(t, 2*len(errs), seen)
}

// TestFailureTakesTheGatheringGroupAlong: it may use definitions of the group that failed.
func TestFailureTakesTheGatheringGroupAlong(t *testing.T) {
	l, _, errs, syncs := appendWhileSyncing(t, syscall.EIO)
	for _, err := range errs {
		require.ErrorIs(t, err, ErrBroken)
		require.ErrorIs(t, err, syscall.EIO)
	}
	require.EqualValues(t, 2, syncs, "nothing was written or synced after the failure")
	require.NoError(t, l.EndGeneration())
	require.Empty(t, replayed(t, l))
}

// TestCloseFailsWaiters: nobody waits forever for a log that is closed.
func TestCloseFailsWaiters(t *testing.T) {
	l := open(t, memfs.New())
	require.NoError(t, put(l, "a", 1))
	require.NoError(t, l.Close())
	require.ErrorIs(t, put(l, "a", 2), errClosed)
	require.ErrorIs(t, l.EndGeneration(), errClosed)
	require.ErrorIs(t, l.Cut(t.Context()), errClosed)
}
