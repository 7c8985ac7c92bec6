package bucketed

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/varvedb/varve/internal/vfs"
)

const (
	dirPattern = "varve-fetch-*"
	lockName   = "lock"
)

// tempDir is a directory for what is fetched. A lock in it, which ends with the process, says that it is in use.
type tempDir struct {
	path string
	lock io.Closer
}

// newTempDir makes a directory in the parent ("": that of the system).
func newTempDir(parent string) (*tempDir, error) {
	const tries = 10
	var last error
	for range tries {
		path, err := os.MkdirTemp(parent, dirPattern)
		if err != nil {
			return nil, err
		}
		// Between these steps a sweep may take it for one that was left.
		lock, err := vfs.OS{}.Lock(filepath.Join(path, lockName), false)
		if err != nil {
			last = err
			continue
		}
		if _, err := os.Stat(filepath.Join(path, lockName)); err != nil {
			last = errors.Join(err, lock.Close())
			continue
		}
		return &tempDir{path: path, lock: lock}, nil
	}
	return nil, fmt.Errorf("directory for what is fetched: %w", last)
}

// Close removes the directory.
func (t *tempDir) Close() error {
	return errors.Join(os.RemoveAll(t.path), t.lock.Close())
}

// sweep removes directories that processes left which were killed. Those in use, and those of others, stay.
func sweep(parent string) {
	if parent == "" {
		parent = os.TempDir()
	}
	left, err := filepath.Glob(filepath.Join(parent, dirPattern))
	if err != nil {
		return
	}
	for _, path := range left {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() {
			continue
		}
		lock := filepath.Join(path, lockName)
		if _, err := os.Stat(lock); err != nil {
			_ = os.Remove(path) // only if it is empty: its process died, or is told so when it locks
			continue
		}
		held, err := vfs.OS{}.Lock(lock, false)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(path) // what cannot be removed is tried again by the next
		_ = held.Close()
	}
}
