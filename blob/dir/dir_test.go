package dir_test

import (
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

func TestConformance(t *testing.T) {
	root := t.TempDir()
	blobtest.Run(t, func(t *testing.T) *blob.Bucket {
		b, err := blob.Open(t.Context(), "file://"+root, map[string]blob.Opener{"file": dir.Open}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, &blobtest.Options{Rounds: 50})
}

func TestConformanceOnMemoryFiles(t *testing.T) {
	var fsys vfs.FS = memfs.New()
	blobtest.Run(t, func(t *testing.T) *blob.Bucket {
		d, err := dir.New(fsys, "/bucket")
		if err != nil {
			t.Fatal(err)
		}
		return blob.New(d, nil)
	}, &blobtest.Options{Rounds: 150, Listed: 1100, NoTimes: true})
}
