// Package vfs is the file system as Varve uses it: the calls whose order and
// durability matter, behind an interface, so that tests can forget everything
// that was not fsynced. The log (wal), the ingester's data directory and the
// directory bucket (blob/dir) touch files through it and in no other way.
//
// Durability is that of POSIX, assumed at its weakest: written bytes survive a
// power loss only after File.Sync on that file, and names (created, renamed,
// linked, removed) only after SyncDir on their directory. A failed Sync says nothing about
// which bytes survive, and a second Sync that succeeds says nothing about those of the first.
//
// OS is the real file system; memfs.New is one in memory that can crash.
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// ErrLocked is the error of FS.Lock without waiting when the lock is taken.
var ErrLocked = errors.New("locked by another process")

// FS is a file system. Paths are absolute or relative slash paths as for package os; errors are
// *fs.PathError or *os.LinkError that wrap fs.ErrNotExist, fs.ErrExist or a syscall.Errno. Safe for concurrent use.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes a file for writing and fails with fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing (torn tails are cut with it).
	OpenWrite(name string) (File, error)
	// MkdirAll makes the directory and its missing parents and syncs each directory that got an entry.
	MkdirAll(dir string) error
	// ReadDir lists the entries of a directory, sorted by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	Rename(from, to string) error
	// Link makes a second name for a file and fails with fs.ErrExist if it is taken.
	Link(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	// SyncDir makes the names in the directory durable.
	SyncDir(dir string) error
	// Lock takes the exclusive lock on the file name, which it creates if missing. With wait false it fails at
	// once with ErrLocked when somebody else, in this process or another, holds it. Close of the result unlocks.
	Lock(name string, wait bool) (io.Closer, error)
	// Map returns the file's bytes, mapped read-only where the system can. The file may be removed while mapped.
	Map(name string) (Mapping, error)
}

// File is an open file. Write appends at the current position. A File is not safe for concurrent use, but for ReadAt.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	Seek(offset int64, whence int) (int64, error)
	// Sync makes the written bytes and the length durable (fdatasync where that is enough).
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Name() string
}

// Mapping is the read-only content of a file. Bytes are valid until Close; Close is called once.
type Mapping interface {
	Bytes() []byte
	io.Closer
}
