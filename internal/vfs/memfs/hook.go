package memfs

import (
	"errors"
	"fmt"
)

// ErrCrashed is what every call returns once the process was stopped.
var ErrCrashed = errors.New("memfs: process stopped")

// Op names a call that a Hook sees.
type Op string

// The calls that change something or make it durable. Lock and reads are not among them.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpMkdir    Op = "mkdir" // once per directory made; its entry is durable afterwards
	OpRename   Op = "rename"
	OpLink     Op = "link"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
)

// Call is one call, about to be executed.
type Call struct {
	// N counts the calls of this FS since SetHook, from 1.
	N  int
	Op Op
	// Name is the path as the caller gave it; of a rename or link, the new one.
	Name string
	// Size is the number of bytes of a write, the new length of a truncate.
	Size int
}

// Hook decides about a call before it is executed: nil lets it pass, ErrCrashed stops the
// process, ShortWrite executes part of a write, and any other error is returned in place of
// executing the call. A failed OpSync loses track of the file's unsynced bytes as Linux does.
//
// It is called on the goroutine of the call, without any lock, and may use other FS handles.
type Hook func(Call) error

// ShortWrite is returned by a Hook to write the first N bytes only and fail with Err.
type ShortWrite struct {
	N   int
	Err error
}

func (s *ShortWrite) Error() string { return fmt.Sprintf("short write of %d bytes: %v", s.N, s.Err) }

// Unwrap returns the error that the writer sees.
func (s *ShortWrite) Unwrap() error { return s.Err }

// At is the Hook that lets call n fail with err and all others pass. With ops given, only those operations are counted.
func At(n int, err error, ops ...Op) Hook {
	seen := 0
	return func(c Call) error {
		if len(ops) > 0 {
			counted := false
			for _, op := range ops {
				counted = counted || op == c.Op
			}
			if !counted {
				return nil
			}
		}
		seen++
		if seen == n {
			return err
		}
		return nil
	}
}

// From is the Hook that lets call n and all later ones fail with err: a full disk, a dead one.
func From(n int, err error) Hook {
	return func(c Call) error {
		if c.N >= n {
			return err
		}
		return nil
	}
}
