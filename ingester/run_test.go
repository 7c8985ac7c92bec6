package ingester

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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
