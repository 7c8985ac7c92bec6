package main

import (
	"os"
	"runtime/debug"
)

// memoryParts divides the memory budget.
type memoryParts struct {
	// samples is for memtables, writes for requests being received and decoded. What is left is for queries, for
	// building blocks, and for the collector to work in.
	samples, writes int64
}

// ownMemory is about what a server takes that has nothing to do.
const ownMemory = 32 << 20

func divideMemory(budget int64) memoryParts {
	rest := budget - ownMemory
	return memoryParts{samples: rest / 8 * 5, writes: rest / 4}
}

// limitMemory tells Go's collector the budget, unless the operator did.
func limitMemory(o *serveOptions) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(*o.memoryBudget))
	}
}
