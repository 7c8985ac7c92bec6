package memfs_test

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

// TestFileSystems holds both file systems to the same behaviour.
func TestFileSystems(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"os": vfs.OS{}, "mem": memfs.New()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			require.NoError(t, fsys.MkdirAll(dir))
			require.NoError(t, fsys.MkdirAll(dir))
			t.Run("files", func(t *testing.T) { testFiles(t, fsys, dir) })
			t.Run("names", func(t *testing.T) { testNames(t, fsys, dir) })
			t.Run("lock", func(t *testing.T) { testLock(t, fsys, dir) })
		})
	}
}

func testFiles(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "file")
	_, err := fsys.Open(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.OpenWrite(name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.Map(name)
	require.ErrorIs(t, err, fs.ErrNotExist)

	f, err := fsys.Create(name)
	require.NoError(t, err)
	m, err := fsys.Map(name)
	require.NoError(t, err)
	require.Empty(t, m.Bytes())
	require.NoError(t, m.Close())
	n, err := f.Write([]byte("hello world"))
	require.NoError(t, err)
	require.Equal(t, 11, n)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Truncate(5))
	_, err = f.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	_, err = f.Write([]byte("!"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Close(), fs.ErrClosed)
	_, err = fsys.Create(name)
	require.ErrorIs(t, err, fs.ErrExist)

	f, err = fsys.OpenWrite(name)
	require.NoError(t, err)
	_, err = f.Write([]byte("J"))
	require.NoError(t, err)
	rest, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "ello!", string(rest))
	buf := make([]byte, 4)
	n, err = f.ReadAt(buf, 3)
	require.Equal(t, io.EOF, err)
	require.Equal(t, "lo!", string(buf[:n]))
	require.NoError(t, f.Close())

	m, err = fsys.Map(name)
	require.NoError(t, err)
	require.NoError(t, fsys.Remove(name))
	require.Equal(t, "Jello!", string(m.Bytes()))
	require.NoError(t, m.Close())
}

func testNames(t *testing.T, fsys vfs.FS, dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"y", "x"} {
		f, err := fsys.Create(in(name))
		require.NoError(t, err)
		_, err = f.Write([]byte(name))
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	list := func() (names []string) {
		entries, err := fsys.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	require.ErrorIs(t, fsys.Link(in("x"), in("y")), fs.ErrExist)
	require.ErrorIs(t, fsys.Link(in("none"), in("z")), fs.ErrNotExist)
	require.ErrorIs(t, fsys.Rename(in("none"), in("z")), fs.ErrNotExist)
	require.NoError(t, fsys.Link(in("x"), in("z")))
	require.Equal(t, []string{"x", "y", "z"}, list())
	require.NoError(t, fsys.Rename(in("y"), in("x")))
	require.Equal(t, []string{"x", "z"}, list())
	require.NoError(t, fsys.SyncDir(dir))
	info, err := fsys.Stat(in("z"))
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Size())
	require.True(t, errors.Is(fsys.Remove(dir), syscall.ENOTEMPTY))
	require.ErrorIs(t, fsys.MkdirAll(filepath.Join(in("x"), "below")), syscall.ENOTDIR)
	require.NoError(t, fsys.MkdirAll(in("d/e")))
	require.NoError(t, fsys.RemoveAll(in("d")))
	require.NoError(t, fsys.RemoveAll(in("d")))
	require.NoError(t, fsys.Remove(in("x")))
	require.NoError(t, fsys.Remove(in("z")))
	require.Empty(t, list())
	require.ErrorIs(t, fsys.SyncDir(in("none")), fs.ErrNotExist)
}

func testLock(t *testing.T, fsys vfs.FS, dir string) {
	name := filepath.Join(dir, "lock")
	l, err := fsys.Lock(name, false)
	require.NoError(t, err)
	_, err = fsys.Lock(name, false)
	require.ErrorIs(t, err, vfs.ErrLocked)
	got := make(chan error)
	go func() {
		second, err := fsys.Lock(name, true)
		if err == nil {
			err = second.Close()
		}
		got <- err
	}()
	require.NoError(t, l.Close())
	require.NoError(t, <-got)
	require.Error(t, l.Close())
}
