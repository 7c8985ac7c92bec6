package memfs

import (
	"bytes"
	"io/fs"
	"math/rand"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func create(t *testing.T, f *FS, name, content string) {
	t.Helper()
	w, err := f.Create(name)
	require.NoError(t, err)
	_, err = w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.NoError(t, w.Close())
}

func content(t *testing.T, f *FS, name string) string {
	t.Helper()
	m, err := f.Map(name)
	require.NoError(t, err)
	return string(m.Bytes())
}

func TestCrashForgets(t *testing.T) {
	f := New()
	require.NoError(t, f.MkdirAll("/d"))
	create(t, f, "/d/synced", "one")
	require.NoError(t, f.SyncDir("/d"))
	create(t, f, "/d/nameless", "two")
	w, err := f.OpenWrite("/d/synced")
	require.NoError(t, err)
	_, err = w.Write([]byte("ONE and more"))
	require.NoError(t, err)

	up := f.Crash(nil)
	require.Equal(t, "one", content(t, up, "/d/synced"))
	_, err = up.Stat("/d/nameless")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = f.Stat("/d")
	require.ErrorIs(t, err, ErrCrashed)
	_, err = w.Write(nil)
	require.ErrorIs(t, err, ErrCrashed)
}

// TestCrashKeepsParts wants every outcome that the documentation names, and none that it excludes.
func TestCrashKeepsParts(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewSource(seed))
	synced, more := bytes.Repeat([]byte{'s'}, 700), bytes.Repeat([]byte{'m'}, 2000)
	seen := map[string]bool{}
	for range 400 {
		f := New()
		create(t, f, "/old", string(synced))
		require.NoError(t, f.SyncDir("/"))
		w, err := f.OpenWrite("/old")
		require.NoError(t, err)
		_, err = w.Seek(700, 0)
		require.NoError(t, err)
		_, err = w.Write(more)
		require.NoError(t, err)
		create(t, f, "/new", "n")
		up := f.Crash(rng)
		_, err = up.Stat("/new")
		seen["name kept"] = seen["name kept"] || err == nil
		seen["name lost"] = seen["name lost"] || err != nil
		got := []byte(content(t, up, "/old"))
		require.True(t, bytes.HasPrefix(got, synced), "seed %d: synced bytes changed", seed)
		tail := got[700:]
		switch {
		case len(tail) == 0:
			seen["forgotten"] = true
		case bytes.Equal(tail, more):
			seen["kept"] = true
		case bytes.HasPrefix(more, tail):
			seen["prefix"] = true
		case bytes.Count(tail, []byte{0}) == len(tail):
			seen["zeroes"] = true
		default:
			seen["torn"] = true
			require.Len(t, tail, 2000)
		}
	}
	for _, outcome := range []string{"name kept", "name lost", "forgotten", "kept", "prefix", "zeroes", "torn"} {
		require.True(t, seen[outcome], "seed %d: never %s", seed, outcome)
	}
}

func TestRenameIsWhole(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	before, after := 0, 0
	for range 200 {
		f := New()
		require.NoError(t, f.MkdirAll("/d"))
		create(t, f, "/tmp", "new")
		create(t, f, "/d/name", "old")
		require.NoError(t, f.SyncDir("/"))
		require.NoError(t, f.SyncDir("/d"))
		require.NoError(t, f.Rename("/tmp", "/d/name"))
		up := f.Crash(rng)
		switch content(t, up, "/d/name") {
		case "old":
			before++
			require.Equal(t, "new", content(t, up, "/tmp"))
		case "new":
			after++
			_, err := up.Stat("/tmp")
			require.ErrorIs(t, err, fs.ErrNotExist)
		}
	}
	require.NotZero(t, before)
	require.NotZero(t, after)
}

// TestFailedSync: a later Sync that succeeds does not bring the bytes of the failed one back, but a new write does.
func TestFailedSync(t *testing.T) {
	f := New()
	create(t, f, "/f", "")
	require.NoError(t, f.SyncDir("/"))
	f.SetHook(At(1, syscall.EIO, OpSync))
	w, err := f.OpenWrite("/f")
	require.NoError(t, err)
	_, err = w.Write([]byte("lost"))
	require.NoError(t, err)
	require.ErrorIs(t, w.Sync(), syscall.EIO)
	_, err = w.Write([]byte("kept"))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.Equal(t, "lostkept", content(t, f, "/f"), "the page cache still shows it")
	_, err = w.Seek(1, 0)
	require.NoError(t, err)
	_, err = w.Write([]byte("OS"))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.Equal(t, "\x00OS\x00kept", content(t, f.Crash(nil), "/f"))
}

func TestHookFaults(t *testing.T) {
	f := New()
	f.SetHook(func(c Call) error {
		switch {
		case c.Op == OpWrite && c.N == 2:
			return &ShortWrite{N: 3, Err: syscall.ENOSPC}
		case c.N == 4:
			return ErrCrashed
		}
		return nil
	})
	w, err := f.Create("/f")
	require.NoError(t, err)
	n, err := w.Write([]byte("abcdef"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3, n)
	require.NoError(t, w.Sync())
	require.ErrorIs(t, f.SyncDir("/"), ErrCrashed)
	require.ErrorIs(t, f.SyncDir("/"), ErrCrashed)
	require.Equal(t, 5, f.Calls())
	require.Equal(t, "abc", content(t, f.Process(), "/f"))
	_, err = f.Crash(nil).Stat("/f")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestLocksDieWithTheProcess(t *testing.T) {
	f := New()
	_, err := f.Lock("/lock", false)
	require.NoError(t, err)
	next := f.Process()
	got := make(chan error)
	go func() {
		_, err := next.Lock("/lock", true)
		got <- err
	}()
	f.Kill()
	require.NoError(t, <-got)
}

// TestMappingIsStable: bytes seen once stay, whatever is written afterwards.
func TestMappingIsStable(t *testing.T) {
	f := New()
	create(t, f, "/f", "abc")
	m, err := f.Map("/f")
	require.NoError(t, err)
	w, err := f.OpenWrite("/f")
	require.NoError(t, err)
	_, err = w.Write([]byte("XYZ123"))
	require.NoError(t, err)
	require.NoError(t, w.Truncate(1))
	require.Equal(t, "abc", string(m.Bytes()))
}
