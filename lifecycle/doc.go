// Package lifecycle is the room of the workers that tidy what ingesters flush: one loop, several jobs, a file each.
//
// The jobs: the merge of hot blocks into larger hot blocks ([PlanMerge]), so that a day of small flushes stays cheap to read and
// its catalog small; compaction of closed days to parquet ([PlanCompact]); rollups of days ([PlanRollup]); retention ([PlanRetention]); erasure of what was deleted ([PlanErase]); and the collection of
// blocks that were retired by these ([PlanCollect]), of orphans and old logs.
//
// A [Lifecycle] is a worker. [Lifecycle.Run] looks at the bucket now and then, [Lifecycle.Once] does it one time; both read the
// catalogs that changed, and for each partition, until nothing is due:
//
//	plan     a pure function of one reading of the catalog, of the settings and of the time: which blocks, or why none
//	claim    a commit that keeps other workers from the same blocks for some minutes; nothing depends on it but time
//	work     stream the inputs, write the outputs under names that depend on the inputs alone
//	replace  a commit that puts the outputs in the place of the inputs, refused unless all inputs are live
//	collect  an hour later a commit drops the ids of the inputs, so that they can never be live again; then their objects are deleted
//
// Any number of workers may run, in any number of processes: two on one job make the same objects, and one of the two commits finds that it is
// done. A Lifecycle itself does one thing at a time and is not safe for concurrent use; it keeps no state that matters, and there is nothing to close.
//
// Retention ([PlanRetention]) is data in the tenant's root, which is read anew at each step: where all series of a day have expired its blocks are
// retired, where some have, a tombstone masks them. Nothing expires by a clock that the bucket's contradicts. The tenants that were
// deleted lose their objects ([DeleteObjects]) an hour after their last catalog became a gravestone.
//
// # Rollups
//
// A day is rolled up as a whole ([Roll]): its raw blocks are streamed, merged, into windows of 5 minutes and of an hour (package rollup), which replace all rollups
// that it had. A raw block that is in them is Rolled; raw samples that rollups are to keep do not expire before. From then on the day is Thinned: windows whose samples have gone
// are kept, and what comes late is added to them, once, which is why no merge there mixes blocks that are Rolled with others. What masks raw samples that went is kept in the
// catalog and raised as late ones are rolled, so that they go in the same commit. See docs/design/0014-rollups.md.
//
// # Crashes
//
// A worker that dies leaves a claim that ends by itself, and perhaps an object that no catalog names, which the next worker on the same job finds
// and uses. A commit whose answer was lost is recognized by its effect. Readers see the inputs or the outputs, never both and never
// none: the inputs of a replace are retired, which keeps their objects for a grace, because a reader may still go by the catalog of a moment ago. Objects that
// were dropped but not deleted are deleted by whoever looks next, for a day.
//
// # Orphans
//
// Once an hour the bucket is listed for objects that nobody refers to ([PlanOrphans], [PlanLogs]): blocks that were uploaded and never committed, shipped logs of
// generations that were released, leftovers of probes. See docs/design/0011-rebuild.md for when they go.
//
// # Failures
//
// A job that fails because of an input (its object is damaged, cut short, of an unknown version, or gone while its block is live; a series is too long to be held) quarantines that input with
// the reason. Merges leave it alone from then on, and everything it stands in the way of: that is what overlaps it
// in time and was flushed on the other side of it. Queries still read it. A job that fails because of the bucket is tried again when its claim has ended.
// There is no state in which everything halts.
//
// # Deleted series
//
// A [Deleter] commits a tombstone to each day, which masks what was live by then. Every merge applies the tombstones that mask its inputs, each to its input before anything is merged: a later
// sample at the same time is not masked. Blocks that no merge comes by for within Config.EraseAfter are looked through; those that hold something are written again alone, the others are entered as done. A tombstone
// leaves its catalog when it masks nothing any more and a week has passed, so that a repeated call finds it. [ReportErasure] says what is left, by looking.
//
// # Memory
//
// A compaction holds one part of its output (blob.PartBytes), some ten MiB of row groups and the index; a roll-up holds two of these, one of each resolution. A merge holds one output (at most [MergeSettings].MaxOutputBytes) with its index, and windows of its inputs (Config.ReadBytes), whatever there is to merge. It
// needs no disk. Both of these are bounds on what it plans or buffers; pages of native histograms of
// several hundred KiB each come on top.
//
// # What it does not do
//
// A block that is quarantined is not erased from: the report on the delete names it.
package lifecycle
