//go:build planted

package wal

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/internal/planted"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

// TestPlantedAppendToReplayed: with the bug planted, a replayed generation is continued.
func TestPlantedAppendToReplayed(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, put(open(t, fsys), "a", 1))
	l := open(t, fsys)
	require.ErrorIs(t, put(l, "a", 2), errReplayed)
	planted.Plant(planted.AppendToReplayed)
	defer planted.Plant(planted.None)
	require.NoError(t, put(l, "a", 2))
	require.EqualValues(t, 1, l.Generation())
	require.NoError(t, l.EndGeneration())
	require.Equal(t, []int{1, 2}, replayed(t, open(t, fsys)))
}
