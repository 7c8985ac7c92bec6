// Package migrate brings history in from other databases as a batch job: it writes blocks straight into the bucket and commits them, with no
// ingester and no memtable.
//
// A [Source] says on which days it has samples and gives the series of a time range in the order of blocks. [Run] takes it day by day: matchers,
// relabelling and the range are applied on the way, each day becomes one block or, if it is large, several, each built and uploaded as a stream and
// committed by catalog.Add. Sources whose samples come in any order sort them on local disk first (spill).
//
// The sources lie in rooms of their own, by where they read: prom (blocks and log of Prometheus), lines (files), and so on. A source knows migrate and spill, and no other source.
//
// # Exactly once
//
// In the catalog of a day the job is a writer of its own, which is not in the roster. Its id is the hash of the tenant, the job's name, the day, what is
// asked of the source (range, matchers, relabelling), what the source says it has on that day (Extent.Fingerprint), and where days are cut into
// blocks. So the same job finds what it has done, and a source to which something was added does the days again that it was added to, and no others:
// what is then there twice is the same samples, of which readers see one and the next merge keeps one.
//
// The generation of a block is its ordinal in the day, from 0, and they are committed in ascending order; a last commit without a block says that the
// day is complete. Where a day is cut depends on the samples only. So a job that died goes on behind what is committed: it reads the day again, passes over
// the blocks that are flushed, and meets the object that it had uploaded but not committed. That object is used if building it
// again, with the time of creation that it names, gives the same bytes; else the block gets the next attempt number. Two jobs that run at one time meet the same way.
//
// A server has no fingerprint before it is read. A [Fetcher] brings a day here first; its blocks are committed under the hash of what came, and that a day which was over needs no more
// fetching is noted under the name of the place.
//
// # Bad input
//
// What cannot be read is named in [Skips], with file and offset or line, counted and left out; a strict job ends at the first. What was
// committed stays, and nothing is ever half visible: a block is one object and one commit.
//
// # What it does not do
//
// It deletes nothing in the bucket, takes no claims, and does not look at samples that are in the bucket already: for equal timestamps the block that was added
// last wins, which is the job's.
package migrate
