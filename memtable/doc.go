// Package memtable holds the recent samples of one generation, for all tenants, compressed in memory.
//
// A [Table] is one generation. A write passes it twice: [Table.Resolve] turns the series of a batch into
// refs, before anything is logged, and says which are refused and why; [Table.Append] adds the samples, after the log is durable.
// Between the two the log writes the definitions of series that it has not written yet in this generation ([Table.LogOnce]).
//
// What a batch says beside samples, exemplars and metadata, are [Rows]: [Table.ResolveRows] makes samples of reserved series of them (model.ReservedLabel), less what
// is there already and what is too much, and they are logged and appended as others are. Select and Iterate show them to whoever does not hide them.
//
// [Names] are what tables that follow one another share: labels, their index, and keys as they arrive. A table holds only samples and which of
// the series it has, so that the first request of a generation costs about what any other does, and two generations hold their labels once.
//
// Reading is possible at any time: [Table.Select] answers queries with everything appended before the call;
// [Table.Days] and [Table.Iterate] give the sorted contents of each (tenant, day) for building blocks.
//
// All methods of Table are safe for concurrent use. Samples of one series must not be appended by two calls at
// once if their order matters to the caller: among samples of one timestamp the one appended last wins.
// After [Table.Seal] nothing may be appended; doing so is a bug of the caller and panics.
// Nothing is closed: a table that nobody refers to is garbage. Nothing survives a crash either; that is the log's part.
//
// # Memory
//
// In-order floats of a series are encoded as they come into blocks of 64, 128, then 256 bytes taken from slabs
// (see block.go); a block never moves and its written bytes never change, so readers decode without a lock from the length they saw
// under one. Whatever is not ascending, and every native histogram, goes to a buffer beside and is merged when read.
//
// The names of series as they arrive on the wire are remembered only as 128-bit keyed hashes (alias.go). A series costs about 350 bytes
// of Names, half of them its labels, and 90 of each table that has it.
package memtable
