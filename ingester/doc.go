// Package ingester is the write path: it makes samples durable, keeps the recent ones
// readable, and moves them as immutable blocks into the bucket, each exactly once.
//
// An [Ingester] owns one data directory and is one writer of the roster. It implements
// model.Appender and model.Source. Append resolves series in the memtable, writes the log, and
// acknowledges when the configured [Mode] says so. The rest is done by steps: [Ingester.Rotate] ends a
// generation, [Ingester.Ship] copies the log to the bucket, [Ingester.FlushStep] builds and commits blocks,
// [Ingester.ReleaseStep] lets go of what the catalog holds, [Ingester.EnterStep] keeps the roster,
// [Ingester.FenceStep] moves to a new id after somebody adopted ours, and [Ingester.AdoptStep] adopts those that
// this one replaces. [Ingester.Run] drives them from its own goroutines; a simulator calls them itself, one
// after another, and gets the same run every time. [Adopt] recovers a dead writer's log without being one.
//
// Everything exported is safe for concurrent use. Whoever opened an Ingester ends Run through its context, waits
// for it, and calls Close.
//
// # What survives
//
// After a crash at any instruction, Open on the same directory finds every acknowledged sample, in the log, in
// local block files or in the catalog, and goes on where the steps were. The states, the
// invariants, and what each crash point leads to are in docs/design/0002-write-path.md.
//
// An already registered writer accepts writes while the bucket cannot be reached, also right after a start:
// they are durable in the data directory. If it turns out that it was adopted meanwhile, they move to its new id. A new writer, and
// one that ended cleanly, accepts none before the roster names it as active.
//
// # Data directory
//
//	lock                              held while open
//	writer                            state file: id, next id, registered, shipping, floor, shipped generations
//	wal/<writer>/<generation>/…       the log (package wal)
//	blocks/<writer>/<generation>/     flushed blocks that are not yet released
//	    manifest                      state file: the blocks, once all of them are durable
//	    <id>.vb
//
// State files are described in statefile.go.
//
// The room does not merge, expire or collect blocks, does not decode protocols, and knows no other node.
package ingester
