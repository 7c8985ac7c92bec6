// Package catalog keeps the small objects that say what is in the bucket, and is the only
// room that changes them: the catalog of each partition (a [Partition], one tenant and UTC day), the
// [Root] of each tenant, the [Roster] of writers, and the create-once identity objects of writers. Every
// commit of the system is one compare-and-swap on one of them.
//
// A [Store] reads and commits. What it returns is immutable and may be shared; all its methods are
// safe for concurrent use, also by any number of processes on one bucket. It starts no goroutine that outlives a
// call, and there is nothing to close.
//
// # Commit
//
// [Store.Commit] reads the state with its version, asks the [Operation] whether it is already done and
// whether it may be done, writes the changed state on condition of the version, and on any answer but success
// reads back. A refused or lost answer never counts as failure, because a retry below us may
// have been refused by our own earlier success. What is read back is compared in two ways:
//
//   - by nonce: each Commit draws one nonce and writes it with its state, and a state carries the nonces of the
//     last [TrailLength] commits. Finding ours proves that our write was the one that landed, even when others have built on
//     it, and even for an operation that leaves nothing else recognizable behind, such as "nothing to flush". Not finding ours
//     among the commits since the state that we built on proves that it did not.
//   - by content: where more commits than the trail holds have passed, and when a caller comes back after a crash, the
//     operation recognizes its own effect (block id, flushed watermark, tombstone id).
//
// A write that is still on its way when we read back cannot harm: it is conditional on a version that either still stands, and then our
// repetition races with it and one of the two lands with our nonce, or is gone for ever, because the nonce makes
// the bytes (and so the ETag) of each state unique.
//
// The error of Commit is a refusal by a state that was read if it wraps model.ErrInvalid, model.ErrLimit, [ErrDropped] or [ErrGravestone], or
// names a block that is not live or already there. After any other error, that of the context included, the operation may or may not have been
// done, or may yet be. Calling Commit again with the same operation is always right.
//
// # Missing catalogs
//
// A catalog that is missing means "no data" only if the root, read after it was found missing, lacks the day: writers
// put the day into the root first. [Store.View] and [Store.Confirm] enforce that; [Store.Partition] alone does not.
//
// # Crashes
//
// Commits are atomic in the bucket. A writer that dies between entering a day in the root and creating its catalog leaves a
// day that readers report as unavailable until the writer, or its adopter, has committed.
//
// The room does not upload or delete blocks, does not plan merges, and does not list.
package catalog
