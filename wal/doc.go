// Package wal is the log of one writer: it makes records durable on the local disk before they are
// acknowledged, gives them back after a crash, and owns the bytes of the segments that are shipped to the bucket.
//
// [Log] is the local log, for one process at a time (the caller holds the data directory's lock). [Segment] is a
// parsed segment, local or fetched from the bucket; [Record] is what it holds: definitions of series
// refs and samples of one tenant. Segment files and segment objects have the same bytes; format.go describes them.
//
// # Generations, segments, groups
//
// A generation is the unit of flush; its refs (uint32, chosen by the caller) are defined before their first use and
// mean nothing in another one. It is a run of segments numbered from 0, the last of which carries the end mark. A segment is a
// run of groups. A group is what concurrent calls of [Log.Append] make durable together, with one write and one fsync: the first of them
// to find nobody writing writes for all that have encoded by then, while the next group gathers. Group n+1 is written only
// after the fsync of group n returned, so that a crash can leave at most the last group of the last segment incomplete.
//
// # What survives
//
// When Append has returned nil the records survive kill -9 and power loss. When it has returned an error they may or may not be there after a
// restart, but not if this process ends the generation and lives on. [Open] drops an incomplete last group, which
// nobody was told of, and says ErrCorrupt, with file and offset, for every other damage: a bad group
// before a good one, a bad header (a segment gets its name when its header is on disk), a segment shorter than its successor says, a missing segment, a generation without an end mark
// before another. It rewrites the last segment into a new file, because after a failed fsync and
// kill -9 the page cache may show bytes that the disk will never get.
//
// # Failure
//
// A failed write or fsync (or a full disk) breaks the generation: that group and all later Appends fail with [ErrBroken], and the file is
// not touched again. [Log.EndGeneration] then writes a fresh segment that names the length up to which the failed one counts and
// carries the end mark; until that is durable, it fails and may be called again. New segments are written and synced under another
// name and renamed, so an attempt that failed halfway is simply made again.
//
// # Concurrency
//
// All methods of Log are safe for concurrent use, and none starts a goroutine: a single-threaded caller gets a deterministic log.
// Only Append, Cut and EndGeneration write segments, one at a time. Segment is immutable. Whoever opened a Log closes it; Close makes
// nothing durable, since everything acknowledged is.
//
// # What it does not do
//
// It does not decide when to cut, ship, rotate or release, does not talk to buckets, keeps no samples in memory and
// does not check that a ref is defined before it is used.
package wal
