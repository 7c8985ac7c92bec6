// Package own reads Varve itself: a tenant of a bucket is a source of history like any other, for a copy to another bucket, for a comparison, and for
// exports.
//
// [Open] takes the bucket and the tenant and gives a [Source], a migrate.Source. Of each day it merges the live blocks, hot and parquet, as a query does: tombstones are
// applied to each block before they are merged, and of equal timestamps the block of the higher order wins. Nothing of a block is held but windows of its sections.
//
// What writers have not flushed yet is read from their shipped logs, which lie over all blocks. A writer that does not ship its log, or whose log is damaged, is named in the
// skips, as what it holds is not in the copy. What a live writer has acknowledged in the seconds before, and not shipped, is not known here. At a snapshot
// ([Options].Snapshot) only what that names is read: all of it is of one moment.
//
// Blocks may be merged and collected while they are read: the catalog of the day is then read again and the reading goes on behind the last series. A
// block that is missing is named in the skips, and what of the day was not read by then comes without it; of one that is damaged only the series that lie where the damage is are
// left out, and named.
//
// Days whose raw samples have expired and of which rollups are kept are named in the skips too: rollups are no samples, and are not read.
//
// It writes nothing, needs no list permission, and starts no goroutine beyond a call. A Source may be shared by several goroutines once Days has returned.
package own
