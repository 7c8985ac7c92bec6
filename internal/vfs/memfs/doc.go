// Package memfs is a file system in memory that knows what a power loss would leave.
//
// It has two uses. A writer without a disk keeps its blocks in it; and it is the test double for
// everything that claims to survive a crash: it remembers per file which bytes were synced and
// per directory which names were, can fail or cut short any call, and can stop a process at any call.
//
// Three things may happen to an FS:
//
//   - Crash is the power loss. It returns a new file system that holds what was synced; what was not is
//     forgotten, or, with a random source, partly kept, as real disks do: prefixes, lost
//     sectors, zeroes, a length without its data, a name without its neighbour.
//   - Kill is kill -9: all that was written stays written (and unsynced), locks are let go.
//   - A Hook that returns ErrCrashed stops the process in the middle of its work: that call is not
//     executed, and it and all later ones return ErrCrashed. Then call Crash or Process.
//
// An FS is one process's handle on a disk; Process makes another on the same disk, for tests
// with two processes. All of them are safe for concurrent use. Nothing here starts goroutines.
//
// To try a fault at every call of a run:
//
//	for n := 1; ; n++ {
//		fsys := memfs.New()
//		fsys.SetHook(memfs.At(n, memfs.ErrCrashed))
//		run(fsys)
//		if fsys.Calls() < n {
//			break // the run had no n-th call
//		}
//		check(fsys.Crash(rng))
//	}
//
// Failed syncs follow Linux: the pages are marked clean although they never reached the disk, so a later Sync
// succeeds, makes the file's length durable, and leaves those bytes undefined. Renames are atomic but not
// durable. It does not model permissions, symbolic links or mode bits.
package memfs
