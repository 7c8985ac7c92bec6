package ingester

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestDiskBudget: while the bucket is away what is written waits on the disk, up to the budget; then writes are refused, readiness and status
// say why, and nothing acknowledged is lost. Once the bucket is back, there is room again.
func TestDiskBudget(t *testing.T) {
	ctx := context.Background()
	for _, shipping := range []Shipping{ShippingOn, ShippingOff} {
		w := newWorld(t, 1)
		fs := memfs.New()
		p := w.process(fs)
		cfg := config()
		cfg.DiskBytes, cfg.Shipping = 20_000, shipping
		i := w.open(p, cfg)
		if _, err := i.EnterStep(ctx); err != nil {
			t.Fatal(err)
		}
		p.faults.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail} })
		var refused error
		n := 0
		for ; refused == nil && n < 10_000; n++ {
			if _, refused = i.Append(ctx, "a", one(fmt.Sprintf("s%d", n%10), int64(n), 1)); refused == nil && n%100 == 99 {
				if err := errors.Join(i.Rotate(ctx), ignoreProgress(i.BuildStep(ctx))); err != nil {
					t.Fatal(err)
				}
				if _, err := i.FlushStep(ctx); err == nil && shipping == ShippingOff {
					t.Fatal("a block was committed without a bucket")
				}
			}
		}
		n--
		if !errors.Is(refused, model.ErrUnavailable) || !strings.Contains(refused.Error(), "until the bucket has taken them") {
			t.Fatalf("disk is full: %v, want unavailable and why", refused)
		}
		s := i.Status()
		if err := i.Ready(); err == nil || !strings.Contains(s.NotReady, "data directory hold") {
			t.Fatalf("ready at the budget: %v, status %q", err, s.NotReady)
		}
		if s.DiskBytes < cfg.DiskBytes || s.DiskBytes > cfg.DiskBytes+2000 {
			t.Fatalf("%d bytes on disk, want little more than %d", s.DiskBytes, cfg.DiskBytes)
		}
		p.faults.SetHook(nil)
		if err := i.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Append(ctx, "a", one("later", 1, 1)); err != nil || i.Ready() != nil {
			t.Fatalf("after the bucket came back: %v, ready %v", err, i.Ready())
		}
		if got := len(w.readBack(p, []string{"a"}, i)); got != n+1 {
			t.Fatalf("%d samples, want the %d that were acknowledged", got, n+1)
		}
		if err := i.Abandon(); err != nil {
			t.Fatal(err)
		}
	}
}

func ignoreProgress(_ bool, err error) error { return err }

// TestAdmission: what is refused, and with which kind of error.
func TestAdmission(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	p := w.process(fs)
	p.faults.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail} })
	cfg := config()
	cfg.MemoryBytes, cfg.GenerationBytes, cfg.MaxInFlightBytes = 200<<10, 100<<10, 1
	i := w.open(p, cfg)
	if err := w.sendBoth(i, 1); !errors.Is(err, model.ErrUnavailable) {
		t.Fatalf("append of a writer that is in no roster: %v, want unavailable", err)
	}
	if len(w.readBack(w.process(memfs.New()), tenants, i)) != 0 {
		t.Fatal("a refused request left something")
	}
	p.faults.SetHook(nil)
	if _, err := i.EnterStep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Append(ctx, "../..", one("a", 1, 1)); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("bad tenant: %v, want invalid", err)
	}
	if _, err := i.Append(ctx, "a", &model.Batch{Labels: textLabels{}, Samples: make([]model.Sample, maxBatchBytes/16+1)}); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("huge request: %v, want invalid", err)
	}
	bad := one("good", 1, 1)
	bad.Series = append(bad.Series, model.BatchSeries{Key: []byte("rubbish"), Count: 1})
	if r, err := i.Append(ctx, "a", bad); err != nil || r.Samples != 1 || len(r.Rejected) != 1 || r.RejectedSamples != 1 || r.Reasons[model.ReasonLabels] != 1 {
		t.Errorf("a good and a bad series: %+v, %v", r, err)
	}
	n := 0
	for ; n < 10000; n++ {
		if _, err := i.Append(ctx, "a", one(fmt.Sprintf("s%d", n), 1, 1)); err != nil {
			if !errors.Is(err, model.ErrUnavailable) {
				t.Fatalf("memory is full: %v, want unavailable", err)
			}
			break
		}
	}
	if n == 10000 {
		t.Fatal("the memory budget is no limit")
	}
	if ok, err := i.RotateStep(ctx); !ok || err != nil {
		t.Fatalf("a large generation is not rotated: %v", err)
	}
	if _, err := i.BuildStep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Append(ctx, "a", one("again", 1, 1)); err != nil {
		t.Errorf("append after the memory was freed: %v", err)
	}
	if i.inFlight.Load() != 0 {
		t.Errorf("%d bytes in flight after all requests have ended", i.inFlight.Load())
	}
}
