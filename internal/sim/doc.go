// Package sim is a deterministic simulation of ingesters, their disks, lifecycle workers, one bucket and the people who run them,
// against a naive model of what was promised. Exactly-once is decided here.
//
// The code that runs is the product's: ingester, lifecycle, wal, catalog, blocks, blob. What is simulated is what
// they stand on: disks that forget what was not fsynced (internal/vfs/memfs), a bucket whose calls fail, lose their answers or come in
// between (blob/faultblob), and a clock. Everything happens on one goroutine and draws from one
// random source, so a seed replays a run to the last call.
//
// A run is a series of episodes, each a new world: a few machines append, ship, rotate, flush, release and are
// fenced; they are killed, lose power, fill their disks, lose them altogether; others adopt them, dead or only paused; workers with skewed clocks and settings
// of their own merge what was flushed, and delete what they merged, racing one another; somebody deletes series meanwhile. Two processes
// interleave at the granularity of bucket and file calls: an armed call of one lets the others take
// steps before it goes on, which is how a paused zombie wakes into a changed world.
//
// Every episode ends by settling: faults end, machines restart, the dead are adopted, everything is flushed. Then, and again when everything is merged, and what was merged is deleted, the catalogs
// alone must hold every acknowledged sample with the last acknowledged value, none in more places than it was sent
// times, none that was never sent, none that was deleted; and the bucket must need no log any more. Before that, a check now and
// then reads catalogs and memtables together, as a query does.
//
// Some bugs are planted with the build tag "planted" (internal/planted), one at a time; the test of that tag fails unless the simulator finds each.
package sim
