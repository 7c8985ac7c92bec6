//go:build !linux

package vfs

import "os"

// syncData is the portable fsync; on darwin package os asks for F_FULLFSYNC.
func syncData(f *os.File) error { return f.Sync() }
