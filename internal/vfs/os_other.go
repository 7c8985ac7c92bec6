//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
)

const errNotDir = syscall.ENOTDIR

// lockFile refuses: without flock nothing would stop two processes from writing one data directory.
func lockFile(*os.File, bool) error { return errors.ErrUnsupported }

// mapFile reads the file into memory.
func mapFile(f *os.File, size int) ([]byte, func([]byte) error, error) {
	data := make([]byte, size)
	_, err := io.ReadFull(f, data)
	return data, nil, err
}
