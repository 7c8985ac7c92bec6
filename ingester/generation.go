package ingester

import (
	"sync"
	"sync/atomic"

	"github.com/varvedb/varve/memtable"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// stage says where the samples of a generation are. It only ever grows.
type stage uint8

const (
	// active: in the log and the memtable, and more may come.
	active stage = iota
	// sealed: in the log and the memtable; the end mark is written.
	sealed
	// built: in the log and in local block files that a manifest names.
	built
	// complete: in the catalog.
	complete
)

// String returns the stage in lower case.
func (s stage) String() string {
	return [...]string{"active", "sealed", "built", "complete"}[s]
}

// generation is one rotation of memtable and log.
type generation struct {
	number    uint64
	startedMs int64
	// recovered: it comes from before the start, so the catalog may hold blocks of it already.
	recovered bool

	// gate is held shared by a request from resolving its series to appending its samples to the memtable, so that no
	// rotation comes between, and exclusively by rotation. Requests share it during their fsync.
	gate sync.RWMutex
	// closed, under the gate: takes no more requests; look for the active generation again.
	closed bool
	// broken: a group was not made durable. It takes no more requests, and the next rotation ends it.
	broken atomic.Bool

	// Ingester.mu guards the fields below. The table itself is safe for concurrent use and is nil from built on.
	stage      stage
	table      *memtable.Table
	partitions []*partition
	// done are the blocks of a sealed generation that are built already; the turn of building guards them.
	done []*localBlock
}

// partition is the block of one (tenant, day) of a built generation.
type partition struct {
	key partitionKey

	// Ingester.mu guards block, committed and failure. A partition that is committed has let its pin of the block go.
	block     *localBlock
	committed bool
	// failure is why the last try to commit it failed.
	failure error

	// The turn of committing guards the rest.
	upload upload
	retry  backoff
}

// partitionKey names a partition.
type partitionKey struct {
	tenant string
	day    model.Day
}

// position is a place in a writer's log.
type position struct{ gen, seq uint64 }

// before reports whether p comes before o in the log.
func (p position) before(o position) bool {
	return p.gen < o.gen || p.gen == o.gen && p.seq < o.seq
}

// writer is one identity of the data directory with its log: the ingester has one, and changes
// it when it was fenced.
type writer struct {
	id  string
	log *wal.Log
	// ships: the log is copied to the bucket. It is set once, under Ingester.mu, while older is empty.
	ships atomic.Bool
	// tickets counts the requests of ModeObject whose records are in the log.
	tickets atomic.Uint64
	// unshipped is about how many bytes were logged since the last cut that was shipped.
	unshipped atomic.Int64

	// Ingester.mu guards the fields below.

	active *generation
	// older are the generations that are not released, ascending.
	older []*generation
	// next is the position of the next segment to ship, known once located.
	next    position
	located bool
	// shippedTicket and failedTicket: requests up to these tickets are in the bucket, or have been failed with failure.
	shippedTicket, failedTicket uint64
	failure                     error
	// fenced: somebody adopted this id. The fence lies at fence, if that is not zero.
	fenced bool
	fence  position
	// swept is the floor below which log and block files have been removed.
	swept uint64
}
