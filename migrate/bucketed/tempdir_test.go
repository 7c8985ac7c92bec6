package bucketed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSweep removes what was left by processes that are gone, and nothing else.
func TestSweep(t *testing.T) {
	parent := t.TempDir()
	live, err := newTempDir(parent)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(live.path, "index"), nil, 0o600))
	dead, err := newTempDir(parent)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dead.path, "x", "chunks"), 0o700))
	require.NoError(t, dead.lock.Close()) // as the end of a process does
	bare := filepath.Join(parent, "varve-fetch-bare")
	require.NoError(t, os.Mkdir(bare, 0o700))
	full := filepath.Join(parent, "varve-fetch-full")
	require.NoError(t, os.Mkdir(full, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(full, "mine"), nil, 0o600))
	file := filepath.Join(parent, "varve-fetch-file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	sweep(parent)
	require.DirExists(t, live.path)
	require.NoDirExists(t, dead.path)
	require.NoDirExists(t, bare)
	require.DirExists(t, full, "nobody says that it is ours")
	require.FileExists(t, file)
	require.NoError(t, live.Close())
	require.NoDirExists(t, live.path)
}
