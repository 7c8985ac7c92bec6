package ingester

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestFencedWhileRunning: a running writer is adopted again and again while clients write, each retrying until it is told that its sample is safe.
// Every sample is there, once.
func TestFencedWhileRunning(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, 1)
	c, _ := w.live(memfs.New())
	i, err := Open(ctx, Config{RetryFirst: time.Millisecond, RetryLongest: time.Millisecond, ShipInterval: 2 * time.Millisecond}, c)
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, i)
	const rounds, writers = 60, 3
	var progress atomic.Int64
	var wg sync.WaitGroup
	for k := range writers {
		wg.Go(func() {
			for n := range int64(rounds) {
				for {
					_, err := i.Append(ctx, "a", one(fmt.Sprintf("s%d", k), n, float64(n)))
					if err == nil {
						break
					}
					if !errors.Is(err, model.ErrUnavailable) {
						t.Errorf("append: %v", err)
						return
					}
					runtime.Gosched()
				}
				progress.Add(1)
			}
		})
	}
	ids, extra := map[string]bool{}, 0
	for k := range int64(5) {
		for progress.Load() < k*rounds*writers/6 && !t.Failed() {
			runtime.Gosched()
		}
		dead := i.Writer()
		ids[dead] = true
		if _, err := Adopt(ctx, dead, c); err != nil {
			t.Fatalf("adopt: %v", err)
		}
		for n := int64(0); i.Writer() == dead; n++ { // it notices when it has something to ship
			if _, err := i.Append(ctx, "a", one(fmt.Sprintf("extra_%d", k), n, 1)); err == nil {
				extra++
			}
			i.shipWake.signal()
			runtime.Gosched()
		}
		if to, err := c.Catalog.MovedTo(ctx, dead); err != nil || to != i.Writer() {
			t.Fatalf("%s moved to %s, the bucket says %q: %v", dead, i.Writer(), to, err)
		}
	}
	wg.Wait()
	stop()
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	got := w.readBack(&process{c: c}, []string{"a"})
	for k, f := range got {
		if f.places != 1 {
			t.Errorf("%v lies in %d places", k, f.places)
		}
	}
	if len(got) != rounds*writers+extra || len(ids) != 5 {
		t.Errorf("%d samples of %d ids, want %d of 5", len(got), len(ids), rounds*writers+extra)
	}
}
