package ingester

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"syscall"
	"testing"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
)

// fast is a stride over the calls of a run: 1 tries a fault at every call. A -short run looks at every seventh.
func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// TestCrashAtEveryFileCall cuts the power at every file call of a run that begins with a restart, with the disk forgetting
// everything not synced, or parts of it.
func TestCrashAtEveryFileCall(t *testing.T) {
	for n := 1; ; n += stride() {
		w := newWorld(t, int64(n))
		fs := memfs.New()
		p := w.process(fs)
		fs.SetHook(memfs.At(n, memfs.ErrCrashed))
		i, err := Open(context.Background(), config(), p.c)
		if err == nil {
			err = w.script(i, 0)
		}
		if fs.Calls() < n {
			t.Logf("%d calls", fs.Calls())
			return
		}
		if err == nil {
			t.Fatalf("call %d: the run went on after a crash", n)
		}
		var rng *rand.Rand
		if n%2 == 0 {
			rng = w.rand
		}
		w.settle(fmt.Sprintf("power loss at file call %d (%v)", n, err), fs.Crash(rng), config())
	}
}

// TestFileFaults lets every file call fail once, or all from one on as a full disk does, while the process lives on, then again with a kill.
func TestFileFaults(t *testing.T) {
	for _, fault := range []struct {
		name string
		hook func(n int) memfs.Hook
	}{
		{"failed sync", func(n int) memfs.Hook { return memfs.At(n, syscall.EIO, memfs.OpSync, memfs.OpSyncDir) }},
		{"no space once", func(n int) memfs.Hook {
			return memfs.At(n, &memfs.ShortWrite{N: 5, Err: syscall.ENOSPC}, memfs.OpWrite)
		}},
		{"no space any more", func(n int) memfs.Hook { return memfs.From(n*5, syscall.ENOSPC) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for n := 1; ; n += stride() {
				w := newWorld(t, int64(n))
				fs := memfs.New()
				p := w.process(fs)
				i := w.open(p, config())
				hit := false
				hook := fault.hook(n)
				fs.SetHook(func(c memfs.Call) error {
					err := hook(c)
					hit = hit || err != nil
					return err
				})
				w.stubborn(i)
				if !hit {
					return
				}
				what := fmt.Sprintf("%s at call %d", fault.name, n)
				w.check(what+", during", w.readBack(p, tenants, i), false)
				fs.SetHook(nil)
				if n%3 == 0 { // live on
					w.heal(what, i)
					w.check(what+", healed", w.readBack(p, tenants, i), false)
				}
				if n%2 == 0 {
					fs = fs.Crash(nil)
				} else {
					fs.Kill()
					fs = fs.Process()
				}
				w.settle(what, fs, config())
			}
		})
	}
}

// stubborn is the script of a process that goes on whatever fails.
func (w *world) stubborn(i *Ingester) {
	ctx := context.Background()
	for n := range 8 {
		_ = w.sendBoth(i, n)
		_, _ = i.RotateStep(ctx)
		_ = w.sendBoth(i, n+100)
		_, _ = i.Ship(ctx)
		if n%3 == 1 {
			_ = i.Rotate(ctx)
		}
		_, _ = i.FlushStep(ctx)
		if n == 5 {
			_ = i.Flush(ctx)
		}
	}
}

// heal runs the steps until writes are accepted again and everything is committed.
func (w *world) heal(what string, i *Ingester) {
	w.t.Helper()
	ctx := context.Background()
	for range 3 {
		for _, step := range []func(context.Context) (bool, error){i.EnterStep, i.FenceStep, i.RotateStep} {
			if _, err := step(ctx); err != nil && !errors.Is(err, errFenced) {
				w.t.Fatalf("seed %d: %s: heal: %v", w.seed, what, err)
			}
		}
	}
	if err := i.Ready(); err != nil {
		w.t.Fatalf("seed %d: %s: not ready after the disk works again: %v", w.seed, what, err)
	}
	if err := w.sendBoth(i, 500); err != nil {
		w.t.Fatalf("seed %d: %s: append after the disk works again: %v", w.seed, what, err)
	}
	if err := i.Flush(ctx); err != nil {
		w.t.Fatalf("seed %d: %s: flush after the disk works again: %v", w.seed, what, err)
	}
}

// TestBucketFaults lets every bucket call fail, lose its answer, or be the last before a crash.
func TestBucketFaults(t *testing.T) {
	for _, fault := range []struct {
		name   string
		action faultblob.Action
	}{
		{"fail", faultblob.Action{Kind: faultblob.Fail}},
		{"denied", faultblob.Action{Kind: faultblob.Fail, Err: errors.New("denied")}},
		{"lose the answer", faultblob.Action{Kind: faultblob.LoseAnswer}},
		{"crash before", faultblob.Action{Kind: faultblob.CrashBefore}},
		{"crash after", faultblob.Action{Kind: faultblob.CrashAfter}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for n := 1; ; n += stride() {
				w := newWorld(t, int64(n))
				fs := memfs.New()
				p := w.process(fs)
				p.faults.SetHook(faultblob.Nth(n, fault.action))
				i := w.open(p, config())
				w.stubborn(i)
				if p.faults.Calls() < n {
					t.Logf("%d calls", p.faults.Calls())
					return
				}
				what := fmt.Sprintf("%s at bucket call %d", fault.name, n)
				if fault.action.Kind != faultblob.CrashAfter && fault.action.Kind != faultblob.CrashBefore {
					w.heal(what, i)
					w.check(what+", healed", w.readBack(p, tenants, i), true)
				}
				fs.Kill()
				w.settle(what, fs.Process(), config())
			}
		})
	}
}
