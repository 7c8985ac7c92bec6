package emulator_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/azure"
	"github.com/varvedb/varve/blob/gcs"
	"github.com/varvedb/varve/blob/s3"
	"github.com/varvedb/varve/localstack/emulator"
)

var openers = map[string]blob.Opener{"s3": s3.Open, "gs": gcs.Open, "azblob": azure.Open}

// TestLife: each emulator starts, takes what a writer needs, keeps its buckets apart, and is gone after Close.
func TestLife(t *testing.T) {
	for _, k := range emulator.Kinds() {
		t.Run(string(k), func(t *testing.T) {
			srv := emulator.ForTest(t, k)
			for _, name := range []string{"one", "two"} {
				url, err := srv.Bucket(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				b, err := blob.Open(t.Context(), url, openers, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.PutIfAbsent(t.Context(), "k", []byte(name)); err != nil {
					t.Error(err)
				}
				if err := b.Probe(t.Context(), "w"); err != nil {
					t.Error(err)
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := srv.Close(); err != nil {
				t.Fatal(err)
			}
			if c, err := net.Dial("tcp", srv.Addr()); err == nil {
				t.Errorf("something still listens: %v", c.Close())
			}
		})
	}
}

// TestWithoutNpm: a machine without npm does without one backend and is told which.
func TestWithoutNpm(t *testing.T) {
	t.Setenv("VARVE_TOOLS", t.TempDir())
	t.Setenv("PATH", "")
	_, err := emulator.Start(t.Context(), emulator.Azure)
	if !errors.Is(err, emulator.ErrNoTool) || !strings.Contains(err.Error(), "azblob") || !strings.Contains(err.Error(), "npm") {
		t.Errorf("got %v, want ErrNoTool naming the backend and npm", err)
	}
}
