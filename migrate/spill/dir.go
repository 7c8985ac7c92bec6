package spill

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/varvedb/varve/internal/vfs"
)

// Dir is a directory for what is sorted. For one goroutine. The process that made it holds a lock on it, which the system lets go of if it is killed: whoever makes the next one
// with the same parent removes those that nobody holds.
type Dir struct {
	path string
	lock io.Closer
}

const (
	dirPrefix  = "varve-sort-"
	gonePrefix = "varve-gone-"
	lockName   = "lock"
	// maxTries to make a directory: somebody else may take it for one that was left.
	maxTries = 100
)

// MakeDir makes a directory in parent ("": that of the system), after it has removed those that killed processes have left there. Close removes it.
func MakeDir(parent string) (*Dir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	for range maxTries {
		path, err := os.MkdirTemp(parent, dirPrefix)
		if err != nil {
			return nil, fmt.Errorf("sort: %w", err)
		}
		d, err := lockDir(path)
		if d != nil || err != nil {
			return d, err
		}
	}
	return nil, fmt.Errorf("sort: directories in %s are removed as soon as they are made", parent)
}

// lockDir takes the lock of a directory that was just made; nil if it was swept meanwhile.
func lockDir(path string) (*Dir, error) {
	name := filepath.Join(path, lockName)
	lock, err := vfs.OS{}.Lock(name, false)
	switch {
	case errors.Is(err, vfs.ErrLocked), errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errors.ErrUnsupported):
		return &Dir{path: path}, nil // on such systems nobody sweeps
	case err != nil:
		return nil, errors.Join(fmt.Errorf("sort: %w", err), os.RemoveAll(path))
	}
	if _, err := os.Stat(name); err != nil {
		return nil, lock.Close() // it was removed before it was locked
	}
	return &Dir{path, lock}, nil
}

// sweep removes directories that nobody holds. What cannot be removed stays: it may be another user's.
func sweep(parent string) {
	entries, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range entries {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			continue
		}
		lock, err := vfs.OS{}.Lock(filepath.Join(path, lockName), false)
		if err != nil {
			continue
		}
		_ = remove(path)
		_ = lock.Close() // of a file that is gone
	}
	gone, _ := filepath.Glob(filepath.Join(parent, gonePrefix+"*"))
	for _, path := range gone {
		_ = os.RemoveAll(path) // whoever gave it the name has died, or does the same
	}
}

// remove removes a directory whose lock is held. It gets another name first, under which nobody looks for a lock: that would make the file anew while the directory is being
// removed.
func remove(path string) error {
	gone := filepath.Join(filepath.Dir(path), gonePrefix+strings.TrimPrefix(filepath.Base(path), dirPrefix))
	if err := os.Rename(path, gone); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// Path is where it is.
func (d *Dir) Path() string { return d.path }

// Close removes it, with all that is in it.
func (d *Dir) Close() error {
	err := remove(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}
