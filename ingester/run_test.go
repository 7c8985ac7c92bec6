package ingester

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// live returns components whose clock is that of the test's bubble, and the faults of their bucket.
func (w *world) live(fs *memfs.FS) (Components, *faultblob.Driver) {
	faults := faultblob.Wrap(w.bucket)
	b := blob.New(faults, nil)
	return Components{FS: fs, Dir: "data", Bucket: b, Catalog: catalog.New(b, nil, catalog.Components{})}, faults
}

// start runs the ingester until the returned function is called, which waits for it.
func start(t *testing.T, i *Ingester) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := i.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

// one is a request of one series with one sample.
func one(series string, tMs int64, v float64) *model.Batch {
	return &model.Batch{
		Labels:  textLabels{},
		Series:  []model.BatchSeries{{Key: []byte("__name__=" + series), Count: 1}},
		Samples: []model.Sample{{T: tMs, V: v}},
	}
}

// TestHandover: with everything running, a reader that asks the source and then the catalogs finds all that was acknowledged before it began,
// at any moment of rotation, build, commit and release.
func TestHandover(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, 1)
	c, _ := w.live(memfs.New())
	i, err := Open(ctx, Config{}, c)
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, i)
	var acked [3]atomic.Int64
	var wg sync.WaitGroup
	const rounds = 600
	for k := range acked {
		wg.Go(func() {
			for n := range int64(rounds) {
				if _, err := i.Append(ctx, "a", one(fmt.Sprintf("s%d", k), n, float64(n))); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				acked[k].Store(n + 1)
				if n%40 == 0 {
					if err := i.Rotate(ctx); err != nil {
						t.Errorf("rotate: %v", err)
					}
				}
			}
		})
	}
	p := &process{c: c}
	for done := false; !done; {
		var before [len(acked)]int64
		done = true
		for k := range acked {
			before[k] = acked[k].Load()
			done = done && before[k] == rounds
		}
		if t.Failed() {
			break
		}
		got := w.sourceThenCatalogs(p, i)
		for k, n := range before {
			for m := range n {
				key := sample{"a", fmt.Sprintf("s%d", k), m}
				if g, ok := got[key]; !ok || g.value != float64(m) {
					t.Fatalf("%v of %d acknowledged ones is %v, %v", key, n, g, ok)
				}
			}
		}
	}
	wg.Wait()
	stop()
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if got := w.readBack(p, []string{"a"}); len(got) != rounds*len(acked) {
		t.Fatalf("%d samples in the catalogs, want %d", len(got), rounds*len(acked))
	}
	if _, err := i.Append(ctx, "a", one("late", 1, 1)); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("append after close: %v, want unavailable", err)
	}
}

// sourceThenCatalogs reads in the order that queries do.
func (w *world) sourceThenCatalogs(p *process, i *Ingester) map[sample]found {
	sel, err := i.Select(w.t.Context(), "a", everything, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer sel.Close()
	got := w.readBack(p, []string{"a"})
	for _, s := range sel.Series {
		var c model.Columns
		if err := s.Samples(&c, everything); err != nil {
			w.t.Fatal(err)
		}
		for k, ts := range c.T {
			got[sample{"a", s.Labels().Get("__name__"), ts}] = found{value: c.V[k]}
		}
	}
	return got
}

// TestGroupCommit: requests that come while an fsync is under way share the next one, queries wait for none of them.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		fs := memfs.New()
		c, _ := w.live(fs)
		i, err := Open(t.Context(), Config{}, c)
		if err != nil {
			t.Fatal(err)
		}
		var syncs atomic.Int64
		fs.SetHook(func(c memfs.Call) error {
			if c.Op == memfs.OpSync && strings.Contains(c.Name, "/wal/") {
				syncs.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		})
		if _, err := i.Append(t.Context(), "a", one("first", 1, 1)); err != nil { // makes the segment
			t.Fatal(err)
		}
		syncs.Store(0)
		began := time.Now()
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				if _, err := i.Append(t.Context(), "a", one(fmt.Sprintf("s%d", n), 2, 1)); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Millisecond) // in the middle of the first fsync
		if _, err := i.Select(t.Context(), "a", everything, nil); err != nil || time.Since(began) > 6*time.Millisecond {
			t.Errorf("select waited for an fsync: %v, %v", time.Since(began), err)
		}
		wg.Wait()
		if n := syncs.Load(); n > 2 {
			t.Errorf("%d fsyncs for 100 concurrent requests, want 2", n)
		}
		// No block may be built in here: pools of encoders outlive the bubble.
		if err := i.Abandon(); err != nil {
			t.Fatal(err)
		}
	})
}
