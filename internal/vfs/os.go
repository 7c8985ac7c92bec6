package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// OS is the file system of the machine. The zero value is ready; it holds no state.
type OS struct{}

var _ FS = OS{}

// Open opens a file for reading.
func (OS) Open(name string) (File, error) { return openOS(name, os.O_RDONLY) }

// Create makes a file for writing; it fails if the name is taken.
func (OS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// OpenWrite opens an existing file for reading and writing.
func (OS) OpenWrite(name string) (File, error) { return openOS(name, os.O_RDWR) }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// MkdirAll makes the directory and its missing parents, and syncs the parent of each one made.
func (o OS) MkdirAll(dir string) error {
	dir = filepath.Clean(dir)
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: errNotDir}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := o.MkdirAll(parent); err != nil {
			return err
		}
	}
	// Somebody else may make it at the same moment; the entry is synced all the same, because
	// the other may not have got to it yet.
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.SyncDir(parent)
}

// ReadDir lists the entries of a directory, sorted by name.
func (OS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// Stat describes a file.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Rename renames a file, replacing what the new name meant.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Link makes a second name for a file.
func (OS) Link(from, to string) error { return os.Link(from, to) }

// Remove removes a file or an empty directory.
func (OS) Remove(name string) error { return os.Remove(name) }

// RemoveAll removes a file or a directory with all in it; a missing one is no error.
func (OS) RemoveAll(name string) error { return os.RemoveAll(name) }

// SyncDir makes the names in the directory durable.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	// fsync, not fdatasync: what counts here is metadata.
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// Lock takes the exclusive lock on the file name. The file stays when the lock is let go:
// removing it would let two processes hold locks on two files of one name.
func (OS) Lock(name string, wait bool) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, wait); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: name, Err: err}, f.Close())
	}
	return f, nil // closing the only descriptor of the open file unlocks it
}

// Map maps the file read-only.
func (OS) Map(name string) (Mapping, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping outlives its descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size == 0 {
		return &osMapping{}, nil
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("map %s: %d bytes do not fit the address space", name, size)
	}
	data, unmap, err := mapFile(f, int(size))
	if err != nil {
		return nil, &fs.PathError{Op: "map", Path: name, Err: err}
	}
	return &osMapping{data: data, unmap: unmap}, nil
}

type osFile struct{ *os.File }

// Sync makes data and length durable; where the system has it, without the timestamps (fdatasync).
func (f osFile) Sync() error {
	if err := syncData(f.File); err != nil {
		return &fs.PathError{Op: "sync", Path: f.Name(), Err: err}
	}
	return nil
}

type osMapping struct {
	data  []byte
	unmap func([]byte) error
}

func (m *osMapping) Bytes() []byte { return m.data }

func (m *osMapping) Close() error {
	data := m.data
	m.data = nil
	if data == nil || m.unmap == nil {
		return nil
	}
	return m.unmap(data)
}
