// Package lifecycle is the room of the workers that tidy what ingesters flush:
// compaction of hot blocks into day-sized parquet, rollups, retention, erasure
// and garbage collection, one job a file, each planned by a pure function of
// one partition's catalog.
//
// It is not furnished yet: the package exports nothing, and no command runs
// it. Until it is, a day keeps the hot blocks that were flushed into it, blocks that lost
// a race of commits stay in the bucket as objects that no catalog names, and so do the logs of adopted writers.
// No block is ever deleted. (A living writer removes its own shipped segments; that is the ingester's business.) None of this
// harms an answer: readers go by the catalog.
//
// What its jobs need of the formats is laid already: the catalog records which
// blocks a block replaces, ids that were dropped, claims, tombstones, retired and quarantined blocks, and block
// footers name what they came from.
package lifecycle
