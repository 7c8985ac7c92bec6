// Package sim is a deterministic simulation of ingesters, their disks, lifecycle workers, queries, one bucket and the people who run them,
// against a naive model of what was promised. Exactly-once is decided here.
//
// The code that runs is the product's: ingester, lifecycle, wal, catalog, blocks, rollup, blob. What is simulated is what
// they stand on: disks that forget what was not fsynced (internal/vfs/memfs), a bucket whose calls fail, lose their answers or come in
// between (blob/faultblob), and clocks, which are off and are set. One thing happens at a time and draws from one
// random source, so a seed replays a run to the last call.
//
// # Who is there
//
// A run is a series of episodes, each a new world: a few machines append, ship, rotate, flush, release and are
// fenced; they are killed, lose power, fill their disks, lose them altogether; others adopt them, dead or only paused. Workers with clocks and settings
// of their own merge what was flushed, make days parquet and parquet rollups, erase, expire, and delete what they replaced and what nobody committed. Somebody
// deletes series, sets a retention, takes snapshots, deletes them, exports them to another bucket and restores them. Queries read a view, and blocks hours later.
//
// # How they meet
//
// An armed call of the bucket or a disk lets others take steps before it goes on (others), which is how a paused zombie wakes into a changed world: whoever
// interrupts is done before the one goes on that was interrupted. Tasks (together) are interleaved freely, call by call of the bucket, and
// are paused for long before the calls that decide, commits and deletes: two workers on one job, a scavenger of young orphans, flushes, adopters. In a
// night hours go by in which only workers do anything.
//
// # What is demanded
//
// Every episode ends by settling: faults end, machines restart, the dead are adopted, everything is flushed. Then, and again when everything is merged, collected, expired and
// deleted, the catalogs alone must hold every acknowledged sample with the last acknowledged value, none in more places than it was sent
// times, none that was never sent, none that was deleted; the bucket must need no log any more, and hold no object that nobody names. Before that, a check now and
// then reads catalogs and memtables together, as a query does. Snapshots answer what they answered when they were made. Rollups of a day say what its blocks say, or, once these have
// lost samples, what was sent.
//
// What cannot be known is not demanded: a write that was not acknowledged, or a delete that failed, may have happened or not. See oracle.
//
// Thirteen bugs are planted with the build tag "planted" (internal/planted), one at a time; the test of that tag fails unless the simulator finds each.
//
// Package query is not simulated: it reads in parallel, and a run could not be replayed. The simulator's queries take its steps in its order.
package sim
