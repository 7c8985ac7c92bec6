package ingester

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestFailedSync: the request fails, so do others until a fresh segment was written, and Ready says so.
func TestFailedSync(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	i := w.open(w.process(fs), config())
	if err := w.sendBoth(i, 1); err != nil {
		t.Fatal(err)
	}
	fs.SetHook(memfs.From(1, syscall.EIO))
	if err := w.sendBoth(i, 2); !errors.Is(err, model.ErrUnavailable) || i.Ready() == nil {
		t.Fatalf("append with a failing disk: %v, ready: %v", err, i.Ready())
	}
	if _, err := i.RotateStep(ctx); err == nil || i.Ready() == nil {
		t.Fatal("rotation works on a failing disk")
	}
	fs.SetHook(nil)
	if err := w.sendBoth(i, 3); !errors.Is(err, model.ErrUnavailable) {
		t.Fatalf("append before a fresh segment: %v, want unavailable", err)
	}
	if ok, err := i.RotateStep(ctx); !ok || err != nil || i.Ready() != nil {
		t.Fatalf("rotation on a disk that works again: %v %v, ready: %v", ok, err, i.Ready())
	}
	if err := w.sendBoth(i, 4); err != nil {
		t.Fatal(err)
	}
	fs.Kill()
	w.settle("restarted", fs.Process(), config())
}

// TestOpenRefuses: damage in the log names segment and offset, a second process finds the directory locked.
func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	i := w.open(w.process(fs), config())
	for n := range 3 {
		if err := w.sendBoth(i, n); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Ship(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(ctx, config(), w.process(fs.Process()).c); err == nil {
		t.Fatal("two processes hold one data directory")
	}
	fs.Kill()
	fs = fs.Process()
	name := "data/wal/" + i.Writer() + "/0000000001/00000001.wal"
	f, err := fs.OpenWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(150, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(ctx, config(), w.process(fs).c)
	if !errors.Is(err, model.ErrCorrupt) || !strings.Contains(err.Error(), "00000001.wal") || !strings.Contains(err.Error(), "offset") {
		t.Fatalf("damaged segment: %v, want corrupt with segment and offset", err)
	}
}
