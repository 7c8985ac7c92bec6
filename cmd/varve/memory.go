package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// programMemory is what a server takes besides the heap that it is told to keep to: the program's own text, of which 55 MiB are in memory once
// most of it has run, and what the heap takes beyond its limit while requests come faster than the collector follows.
const programMemory = 72 << 20

// memoryParts divides the memory budget.
type memoryParts struct {
	// heap is what Go's collector is told, which does not count the program.
	heap int64
	// samples is for memtables, writes for requests being received and decoded, caches for catalogs and for what is kept of blocks, queries for
	// what these hold. What is left is for building blocks, and for the collector to work in.
	samples, writes, caches, queries int64
	// connections is how many there may be in an eighth of it.
	connections int
}

// connectionMemory is about what an idle connection takes.
const connectionMemory = 32 << 10

func divideMemory(budget int64) memoryParts {
	heap := budget - min(programMemory, budget/16*9)
	return memoryParts{heap: heap, samples: heap / 2, writes: heap / 4, caches: heap / 16, queries: heap / 8, connections: int(min(50_000, heap/8/connectionMemory))}
}

// limitMemory tells Go's collector the budget, unless the operator did.
func limitMemory(o *serveOptions) {
	limitHeap(divideMemory(int64(*o.memoryBudget)).heap)
}

// paceCollector sets, until ctx ends, how far the heap may grow between two runs of the collector: by as much as it has to look at in a run.
// Samples are most of the heap and hold no pointers, so that looking at them costs nothing; by default the heap would grow by
// their size all the same. An operator who sets GOGC is left alone.
func paceCollector(ctx context.Context, samples func() int64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for set := 100; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(live)
		if percent := heapGrowth(int64(live[0].Value.Uint64()), samples()); percent != set {
			debug.SetGCPercent(percent)
			set = percent
		}
	}
}

// heapGrowth is the percentage for a live heap some of which are samples, in steps of 5.
func heapGrowth(live, samples int64) int {
	const least = 64 << 20
	if live <= least {
		return 100
	}
	percent := max(least, live-samples) * 100 / live
	return int(min(100, max(10, percent/5*5)))
}

// limitHeap sets the limit of Go's collector, unless the environment has set one.
func limitHeap(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}
