package ingester

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestObjectMode: what was acknowledged is in the bucket at that moment, with the data directory gone.
func TestObjectMode(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, 1)
	c, faults := w.live(memfs.New())
	var i *Ingester
	waiting := 1
	// The batch gathers until everybody has come.
	c.Sleep = func(ctx context.Context, _ time.Duration) error {
		for i.current().tickets.Load() < uint64(waiting) {
			runtime.Gosched()
		}
		return ctx.Err()
	}
	i, err := Open(ctx, Config{Mode: ModeObject}, c)
	if err != nil {
		t.Fatal(err)
	}
	put := func(from, to int) (acked int) {
		var wg sync.WaitGroup
		waiting = int(i.current().tickets.Load()) + to - from
		for k := from; k < to; k++ {
			wg.Go(func() {
				name := fmt.Sprintf("s%d", k)
				_, err := i.Append(ctx, "a", one(name, 7, 1))
				w.mu.Lock()
				defer w.mu.Unlock()
				o := &outcome{maybe: []float64{1}}
				if err == nil {
					acked++
					o = &outcome{acked: true, value: 1}
				} else if !errors.Is(err, model.ErrUnavailable) {
					t.Errorf("append: %v, want unavailable", err)
				}
				w.oracle[sample{"a", name, 7}] = o
			})
		}
		wg.Wait()
		return acked
	}
	before := faults.Calls()
	if n := put(0, 50); n != 50 {
		t.Fatalf("%d of 50 acknowledged", n)
	}
	if calls := faults.Calls() - before; calls > 2 {
		t.Errorf("%d bucket calls for 50 concurrent requests, want one segment", calls)
	}
	if err := i.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	put(50, 60)
	faults.SetHook(func(c faultblob.Call) faultblob.Action {
		return faultblob.Action{Kind: faultblob.Fail, Err: errors.New("away")}
	})
	if n := put(60, 65); n != 0 {
		t.Errorf("%d requests acknowledged without a bucket", n)
	}
	faults.SetHook(nil)
	if n := put(65, 70); n != 5 {
		t.Errorf("%d of 5 acknowledged after the outage", n)
	}
	w.adoptObjectWriter(i)
}

// adoptObjectWriter loses everything of the writer but the bucket; the next process, diskless as well, adopts it. Then the zombie wakes.
func (w *world) adoptObjectWriter(i *Ingester) {
	t, ctx := w.t, w.t.Context()
	c, _ := w.live(memfs.New())
	next, err := Open(ctx, Config{Mode: ModeObject, ObjectBatch: -1, Replaces: []string{i.Writer()}}, c)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := next.AdoptStep(ctx); !ok || err != nil {
		t.Fatalf("adopt the replaced writer: %v, %v", ok, err)
	}
	p := &process{c: c}
	w.check("adopted by the next", w.readBack(p, []string{"a"}), true)

	i.cfg.ObjectBatch = -1
	if _, err := i.Append(ctx, "a", one("zombie", 1, 1)); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("append of a zombie: %v, want unavailable", err)
	}
	if _, err := i.FenceStep(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Append(ctx, "a", one("awake", 1, 1)); err != nil {
		t.Errorf("append after the move: %v", err)
	}
	if err := errors.Join(i.Close(ctx), next.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	w.oracle[sample{"a", "zombie", 1}] = &outcome{maybe: []float64{1}}
	w.oracle[sample{"a", "awake", 1}] = &outcome{acked: true, value: 1}
	w.check("both closed", w.readBack(p, []string{"a"}), true)
}
