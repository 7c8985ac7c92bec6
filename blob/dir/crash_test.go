package dir_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/dir"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// step is one write of a script and what the key may hold after it.
type step struct {
	key, data string
	cond      func(last blob.Version) blob.Condition
}

func absent(blob.Version) blob.Condition     { return blob.Condition{Absent: true} }
func match(last blob.Version) blob.Condition { return blob.Condition{Match: last} }
func always(blob.Version) blob.Condition     { return blob.Condition{} }
func script() []step {
	return []step{
		{"t/a/root", strings.Repeat("one ", 3000), absent},
		{"t/a/root", strings.Repeat("two ", 4000), match},
		{"t/a/root", "three", match},
		{"d/x/block.vb", strings.Repeat("block ", 2000), absent},
		{"t/a/root", "four", always},
	}
}

// play runs the script and returns what was acknowledged per key, and the write that was under way when it failed.
func play(ctx context.Context, d blob.Driver) (acked map[string]string, pending step, err error) {
	acked = map[string]string{}
	var last blob.Version
	for _, s := range script() {
		v, err := d.Put(ctx, s.key, []byte(s.data), s.cond(last))
		if err != nil {
			return acked, s, err
		}
		acked[s.key] = s.data
		if s.key == "t/a/root" {
			last = v
		}
	}
	return acked, step{}, nil
}

// failAt fails the n-th call from now on with err; what it returns tells whether there was one.
func failAt(fsys *memfs.FS, n int, err error) *bool {
	calls, fired := 0, false
	fsys.SetHook(func(memfs.Call) error {
		if calls++; calls == n {
			fired = true
			return err
		}
		return nil
	})
	return &fired
}

// TestPowerLoss stops the process at each call of a run and then takes the power away: what was acknowledged is
// there, what was under way is there whole or not at all, and nothing else is visible.
func TestPowerLoss(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	crashes := 0
	for n := 1; ; n++ {
		fsys := memfs.New()
		d, err := dir.New(fsys, "/bucket")
		if err != nil {
			t.Fatal(err)
		}
		fired := failAt(fsys, n, memfs.ErrCrashed)
		acked, pending, err := play(t.Context(), d)
		if !*fired {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		crashes++
		if err != nil && !errors.Is(err, memfs.ErrCrashed) {
			t.Fatalf("call %d: %v hides the crash", n, err)
		}
		for _, r := range []*rand.Rand{nil, rng, rng} {
			checkAfterCrash(t, n, fsys.Crash(r), acked, pending)
		}
	}
	if crashes < 30 {
		t.Errorf("only %d calls to crash at", crashes)
	}
}

func checkAfterCrash(t *testing.T, n int, fsys *memfs.FS, acked map[string]string, pending step) {
	t.Helper()
	d, err := dir.New(fsys, "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for o, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		found[o.Key] = true
		r, err := d.Get(t.Context(), o.Key, 0, -1, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Data); got != acked[o.Key] && (o.Key != pending.key || got != pending.data) {
			t.Fatalf("crash at call %d: %s holds %d bytes %.20q, which nobody wrote or an earlier write", n, o.Key, len(got), got)
		}
	}
	for key := range acked {
		if !found[key] {
			t.Fatalf("crash at call %d: acknowledged %s is gone", n, key)
		}
	}
	// And the bucket works on.
	if _, err := d.Put(t.Context(), "t/a/after", []byte("x"), blob.Condition{Absent: true}); err != nil {
		t.Fatalf("crash at call %d: write after it: %v", n, err)
	}
}

// TestFaults fails each call of a run: the write fails, or it is done; through a Bucket, which retries, every write succeeds or finds itself done.
func TestFaults(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := 1; ; n++ {
			fsys := memfs.New()
			d, err := dir.New(fsys, "/bucket")
			if err != nil {
				t.Fatal(err)
			}
			fired := failAt(fsys, n, fault)
			_, pending, err := play(t.Context(), d)
			if !*fired {
				if n < 30 {
					t.Errorf("only %d calls to fail", n)
				}
				break
			}
			if err == nil {
				continue // a fault that does not matter, such as of the removal of a temporary name
			}
			if !errors.Is(err, model.ErrUnavailable) || !errors.Is(err, fault) {
				t.Fatalf("%v of call %d: got %v, want it as unavailable", fault, n, err)
			}
			fsys.SetHook(nil)
			b := blob.New(d, nil)
			if _, err := b.Put(t.Context(), pending.key, []byte("again")); err != nil {
				t.Fatalf("%v of call %d: write after it: %v", fault, n, err)
			}
			if data, _, err := b.Get(t.Context(), pending.key); err != nil || string(data) != "again" {
				t.Fatalf("%v of call %d: read after it: %q, %v", fault, n, data, err)
			}
		}
	}
}

// TestConflictIsDurable: who reads back after a conflict may rely on what it finds, also when the
// winner has not yet come to fsync the directory.
func TestConflictIsDurable(t *testing.T) {
	fsys := memfs.New()
	d, err := dir.New(fsys, "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "w/before", nil, blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	fsys.SetHook(memfs.At(1, syscall.EIO, memfs.OpSyncDir))
	if _, err := d.Put(t.Context(), "w/id", []byte("winner"), blob.Condition{Absent: true}); !errors.Is(err, model.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	fsys.SetHook(nil)
	if _, err := d.Put(t.Context(), "w/id", []byte("loser"), blob.Condition{Absent: true}); !errors.Is(err, model.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	after, err := dir.New(fsys.Crash(nil), "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := after.Get(t.Context(), "w/id", 0, -1, ""); err != nil || string(r.Data) != "winner" {
		t.Fatalf("after the power loss: %q, %v", r.Data, err)
	}
}

// TestStaleTemporaryFiles: those of a crash go when they are a day old, younger ones stay, and neither is listed.
func TestStaleTemporaryFiles(t *testing.T) {
	fsys := memfs.New()
	d, err := dir.New(fsys, "/bucket")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "d/x", nil, blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": 23 * time.Hour} {
		fsys.SetNow(func() time.Time { return time.Now().Add(-age) })
		f, err := fsys.Create("/bucket/d/.tmp-1-" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for o, err := range d.List(t.Context(), "") {
		if err != nil || o.Key != "d/x" {
			t.Errorf("listed %v, %v", o, err)
		}
	}
	entries, err := fsys.ReadDir("/bucket/d")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != "[.tmp-1-young x]" {
		t.Errorf("the directory holds %v", names)
	}
}

// TestNamesOfDirectories: a driver syncs the names of the directories that it writes into, down from the root, though it has not made them: whoever
// did may have been killed in between.
func TestNamesOfDirectories(t *testing.T) {
	fsys := memfs.New()
	var synced []string
	fsys.SetHook(func(c memfs.Call) error {
		if c.Op == memfs.OpSyncDir {
			synced = append(synced, c.Name)
		}
		return nil
	})
	for _, put := range []struct {
		key  string
		want error
	}{{"t/a/root", nil}, {"t/a/other", nil}, {"t/a/root", model.ErrConflict}} {
		d, err := dir.New(fsys, "/bucket")
		if err != nil {
			t.Fatal(err)
		}
		synced = nil
		if _, err := d.Put(t.Context(), put.key, []byte("x"), blob.Condition{Absent: true}); !errors.Is(err, put.want) {
			t.Fatalf("%s: %v", put.key, err)
		}
		for _, parent := range []string{"/bucket", "/bucket/t", "/bucket/t/a"} {
			if !slices.Contains(synced, parent) {
				t.Errorf("%s: synced %q, want %s too", put.key, synced, parent)
			}
		}
		before := len(synced)
		if _, err := d.Put(t.Context(), "t/a/again", []byte("x"), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
		if n := len(synced) - before; n != 1 {
			t.Errorf("%d directories synced for a known one, want 1", n)
		}
	}
}
