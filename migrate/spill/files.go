package spill

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// runFiles are the files of a sorter and its branches, in one directory, which is made for the first of them. Safe for concurrent use.
type runFiles struct {
	parent string

	mu   sync.Mutex // guards what follows
	dir  *Dir
	made int
}

// create makes the next file.
func (r *runFiles) create() (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == nil {
		dir, err := MakeDir(r.parent)
		if err != nil {
			return nil, err
		}
		r.dir = dir
	}
	f, err := os.Create(filepath.Join(r.dir.Path(), fmt.Sprintf("run-%06d", r.made)))
	if err == nil {
		r.made++
	}
	return f, err
}

// close removes the directory.
func (r *runFiles) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dir == nil {
		return nil
	}
	err := r.dir.Close()
	r.dir = nil
	return err
}
