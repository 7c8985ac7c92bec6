package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestParsePartitionKey(t *testing.T) {
	for _, d := range []model.Day{0, testDay, -1, -700_000, 2_932_896} {
		name, day, ok := ParsePartitionKey(partitionKey("a_b", d))
		require.True(t, ok)
		require.Equal(t, "a_b", name)
		require.Equal(t, d, day)
	}
	for _, key := range []string{"", "t/a/root", "t/a/c/", "t/a/c/2024", "t/a/c/20240230", "t/a/s/20240201", "w/a/c/20240201", "t//c/20240201", "t/a.b/c/20240201", "t/a/c/20240201/x"} {
		_, _, ok := ParsePartitionKey(key)
		require.False(t, ok, key)
	}
}

func TestParseRootKey(t *testing.T) {
	for key, want := range map[string]string{"t/a/root": "a", "t/root/root": "root", "t/a/roots": "", "t/a/c/root": "", "t/a b/root": "", "w/a/root": "", "t/a": ""} {
		got, ok := ParseRootKey(key)
		require.Equal(t, want, got, key)
		require.Equal(t, want != "", ok, key)
	}
	tenantName, day, ok := ParsePartitionKey(PartitionKey("t", testDay))
	require.True(t, ok)
	require.Equal(t, "t", tenantName)
	require.Equal(t, testDay, day)
}
