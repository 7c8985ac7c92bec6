//go:build e2e

package e2e

import (
	"testing"
)

// A bucket is where a server keeps its blocks: its URL, and what a process needs in its environment to reach it.
type bucket struct {
	name, url string
	env       []string
	// fresh makes another empty bucket of the same kind.
	fresh func(t *testing.T) bucket
}

func (b bucket) again(t *testing.T) bucket { t.Helper(); return b.fresh(t) }

// fileBucket is an empty directory.
func fileBucket(t *testing.T) bucket {
	t.Helper()
	return bucket{name: "file", url: "file://" + t.TempDir(), fresh: fileBucket}
}
