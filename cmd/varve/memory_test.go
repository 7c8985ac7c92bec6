package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDivideMemory(t *testing.T) {
	for _, budget := range []int64{64 << 20, 128 << 20, 2 << 30, 64 << 30} {
		m := divideMemory(budget)
		require.Less(t, m.heap, budget)
		require.Positive(t, m.samples)
		require.Positive(t, m.caches)
		require.Positive(t, m.queries)
		require.LessOrEqual(t, m.samples+m.writes+m.caches+m.queries, m.heap/16*15, "something is left for flushes")
	}
}

func TestHeapGrowth(t *testing.T) {
	const mib = 1 << 20
	require.Equal(t, 100, heapGrowth(0, 0))
	require.Equal(t, 100, heapGrowth(300*mib, 0), "as Go does by default")
	require.Equal(t, 50, heapGrowth(400*mib, 200*mib))
	require.Equal(t, 40, heapGrowth(150*mib, 120*mib), "at least 64 MiB")
	require.Equal(t, 10, heapGrowth(4000*mib, 4100*mib))
}
