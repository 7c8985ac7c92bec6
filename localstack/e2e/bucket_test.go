//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/varvedb/varve/localstack/emulator"
)

// A bucket is where a server keeps its blocks: its URL, and what a process needs in its environment to reach it.
type bucket struct {
	name, url string
	env       []string
	// fresh makes another empty bucket of the same kind.
	fresh func(t *testing.T) bucket
}

// fileBucket is an empty directory.
func fileBucket(t *testing.T) bucket {
	t.Helper()
	return bucket{name: "file", url: "file://" + t.TempDir(), fresh: fileBucket}
}

// shippable are buckets for checks that lose a disk: in a full run all, in a short one a cloud, or a directory where that cannot be had.
func shippable(t *testing.T) []bucket {
	t.Helper()
	if full() {
		return append(clouds(t, emulator.Kinds()...), fileBucket(t))
	}
	if out := clouds(t, emulator.S3); len(out) > 0 {
		return out
	}
	return []bucket{fileBucket(t)}
}

// clouds starts the emulated clouds and makes a bucket in each. One that this machine cannot have is left out by name.
func clouds(t *testing.T, kinds ...emulator.Kind) []bucket {
	t.Helper()
	var out []bucket
	for _, kind := range kinds {
		s, err := emulator.Start(t.Context(), kind)
		if errors.Is(err, emulator.ErrNoTool) {
			t.Logf("SKIPPED BACKEND %s: %v", kind, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		made := 0
		var fresh func(t *testing.T) bucket
		fresh = func(t *testing.T) bucket {
			t.Helper()
			made++
			url, err := s.Bucket(t.Context(), fmt.Sprintf("varve-%d", made))
			if err != nil {
				t.Fatal(err)
			}
			return bucket{name: string(kind), url: url, env: s.Env, fresh: fresh}
		}
		out = append(out, fresh(t))
	}
	return out
}
