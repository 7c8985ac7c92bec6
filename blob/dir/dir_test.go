package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/internal/vfs"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// partBytes is the size of the parts of uploads here, where any will do.
const partBytes = 100_000

func TestConformance(t *testing.T) {
	root := t.TempDir()
	blobtest.Run(t, func(t *testing.T) *blob.Bucket {
		b, err := blob.Open(t.Context(), "file://"+root, map[string]blob.Opener{"file": dir.Open}, &blob.Options{PartBytes: partBytes})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, &blobtest.Options{Rounds: 50, PartBytes: partBytes})
}

func TestConformanceOnMemoryFiles(t *testing.T) {
	var fsys vfs.FS = memfs.New()
	blobtest.Run(t, func(t *testing.T) *blob.Bucket {
		d, err := dir.New(fsys, "/bucket")
		if err != nil {
			t.Fatal(err)
		}
		return blob.New(d, &blob.Options{PartBytes: partBytes})
	}, &blobtest.Options{Rounds: 150, Listed: 1100, NoTimes: true, PartBytes: partBytes})
}

// TestTwoDrivers is the race of two processes: nothing is shared but the files.
func TestTwoDrivers(t *testing.T) {
	root := t.TempDir()
	var buckets [2]*blob.Bucket
	for i := range buckets {
		d, err := dir.New(vfs.OS{}, root)
		if err != nil {
			t.Fatal(err)
		}
		buckets[i] = blob.New(d, nil)
	}
	const swaps = 100
	var g errgroup.Group
	for _, b := range buckets {
		g.Go(func() error {
			for done := 0; done < swaps; {
				data, v, err := b.Get(t.Context(), "counter")
				if err != nil && !errors.Is(err, model.ErrNotFound) {
					return err
				}
				n, _ := strconv.Atoi(string(data)) // "" is 0
				_, err = b.PutIf(t.Context(), "counter", []byte(strconv.Itoa(n+1)), v)
				if err == nil {
					done++
				} else if !errors.Is(err, model.ErrConflict) {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if data, _, err := buckets[0].Get(t.Context(), "counter"); err != nil || string(data) != strconv.Itoa(2*swaps) {
		t.Errorf("counted %s, %v, want %d", data, err, 2*swaps)
	}
}

func TestObjectsAndParentsCollide(t *testing.T) {
	d, err := dir.New(memfs.New(), "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	b := blob.New(d, nil)
	if _, err := b.Put(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "a/b/c"} {
		if _, err := b.PutIfAbsent(t.Context(), key, nil); !errors.Is(err, model.ErrInvalid) {
			t.Errorf("create %s: %v", key, err)
		}
		if _, _, err := b.Get(t.Context(), key); !errors.Is(err, model.ErrNotFound) {
			t.Errorf("get %s: %v", key, err)
		}
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
}

func TestOpen(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"file://" + root:                           "",
		"file://" + root + "/new":                  "create=true makes it",
		"file://" + root + "/fresh/er?create=true": "",
		"file://" + file:                           "is not a directory",
		"file://relative/path":                     "three slashes",
		"file://" + root + "?kmskeyid=k":           `unknown parameter "kmskeyid"`,
		"file://" + root + "?create=1&ssetype=AB":  `unknown parameter "ssetype"`,
	} {
		_, err := blob.Open(t.Context(), raw, map[string]blob.Opener{"file": dir.Open}, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, want %q", raw, err, want)
		}
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	b, err := blob.Open(t.Context(), "file://"+root, map[string]blob.Opener{"file": dir.Open}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "k", nil); !blob.IsDenied(err) {
		t.Errorf("put: %v", err)
	}
}
