package ingester

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blocks"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// exhaust calls FlushStep until it has nothing to do.
func exhaust(t *testing.T, i *Ingester) {
	t.Helper()
	for {
		progress, err := i.FlushStep(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !progress {
			return
		}
	}
}

// TestEndMarkFirst: no block of a generation is committed before its end mark is in the bucket. Otherwise an adopter's fence within
// the generation would cut off samples that the block has, and the writer would bring them a second time.
func TestEndMarkFirst(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	p := w.process(fs)
	i := w.open(p, config())
	for n := range 2 {
		if err := w.sendBoth(i, n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if _, err := i.Ship(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := i.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	exhaust(t, i)
	if s := i.Status(); s.Generations[0].Stage != "built" || s.Generations[0].Committed != 0 {
		t.Fatalf("generation 1 is %+v, want built and not committed", s.Generations[0])
	}
	if _, err := Adopt(ctx, i.Writer(), w.process(memfs.New()).c); err != nil {
		t.Fatal(err)
	}
	fs.Kill()
	w.settle("zombie", fs.Process(), config())
}

// TestOutage: while the bucket is away the memory of sealed generations goes to disk, a restart neither replays nor rebuilds them, and everything is
// committed in order once the bucket is back.
func TestOutage(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	p := w.process(fs)
	i := w.open(p, config())
	away := func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail} }
	p.faults.SetHook(away)
	for n := range 4 {
		if err := w.sendBoth(i, n); err != nil {
			t.Fatal(err)
		}
		if err := i.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := i.BuildStep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Ship(ctx); !errors.Is(err, model.ErrUnavailable) {
			t.Fatalf("ship without a bucket: %v", err)
		}
	}
	s := i.Status()
	if len(s.Generations) != 5 || s.MemoryBytes-s.NamesBytes > 1<<10 {
		t.Fatalf("%d generations and %d bytes of memory, %d of them names, want 5 generations and no samples in memory", len(s.Generations), s.MemoryBytes, s.NamesBytes)
	}
	w.check("outage", w.readBack(w.process(memfs.New()), tenants, i), false)

	fs.Kill()
	fs = fs.Process()
	p = w.process(fs)
	p.faults.SetHook(away)
	i = w.open(p, config())
	for k, g := range i.Status().Generations[:4] {
		if g.Stage != "built" {
			t.Fatalf("generation %d is %s after the restart, want built", k+1, g.Stage)
		}
	}
	if err := w.sendBoth(i, 10); err != nil {
		t.Fatalf("a registered writer refuses while the bucket is away: %v", err)
	}
	p.faults.SetHook(nil)
	if err := i.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	w.check("bucket back", w.readBack(p, tenants), true)
	fs.Kill()
	w.settle("after the outage", fs.Process(), config())
}

// TestBlockFileDamaged: a local block that does not match its manifest is no loss, the log still has everything.
func TestBlockFileDamaged(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	fs := memfs.New()
	i := w.open(w.process(fs), config())
	if err := errors.Join(w.sendBoth(i, 1), i.Rotate(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, err := i.BuildStep(ctx); err != nil {
		t.Fatal(err)
	}
	b := i.Status().Generations[0].Days[0]
	fs.Kill()
	fs = fs.Process()
	f, err := fs.OpenWrite(blockPath(generationDir("data", i.Writer(), 1), b.ID))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	w.settle("damaged block", fs, config())
}

// TestNamesTaken: other bytes under a block's name, and a name that was dropped, lead to the next attempt; an upload
// that waited for more than a day is made again.
func TestNamesTaken(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, w *world, p *process, i *Ingester, b BlockStatus, key string)
		attempt uint32
	}{
		{"same bytes", func(t *testing.T, w *world, p *process, i *Ingester, b BlockStatus, key string) {
			// The upload's answer is lost and every retry is refused.
			p.faults.SetHook(func(c faultblob.Call) faultblob.Action {
				if c.Key == key && c.Op == faultblob.OpPut {
					return faultblob.Action{Kind: faultblob.LoseAnswer}
				}
				return faultblob.Action{}
			})
		}, 0},
		{"other bytes", func(t *testing.T, w *world, p *process, i *Ingester, b BlockStatus, key string) {
			if _, err := p.c.Bucket.Put(ctx, key, []byte("other")); err != nil {
				t.Fatal(err)
			}
		}, 1},
		{"dropped", func(t *testing.T, w *world, p *process, i *Ingester, b BlockStatus, key string) {
			if _, err := p.c.Catalog.Commit(ctx, b.Tenant, b.Day, catalog.Drop{IDs: []string{b.ID}}); err != nil {
				t.Fatal(err)
			}
		}, 1},
		{"old upload", func(t *testing.T, w *world, p *process, i *Ingester, b BlockStatus, key string) {
			p.faults.SetHook(func(c faultblob.Call) faultblob.Action {
				if c.Op == faultblob.OpPut && c.Key != key {
					return faultblob.Action{Kind: faultblob.Fail}
				}
				return faultblob.Action{}
			})
			if _, err := i.FlushStep(ctx); !errors.Is(err, model.ErrUnavailable) {
				t.Fatalf("commit without catalog: %v", err)
			}
			p.faults.SetHook(nil)
			w.nowMs += (25 * time.Hour).Milliseconds()
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			fs := memfs.New()
			p := w.process(fs)
			i := w.open(p, config())
			if err := errors.Join(w.sendBoth(i, 1), i.Rotate(ctx)); err != nil {
				t.Fatal(err)
			}
			if _, err := i.BuildStep(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := i.Ship(ctx); err != nil {
				t.Fatal(err)
			}
			b := i.Status().Generations[0].Days[0]
			c.prepare(t, w, p, i, b, blocks.KeyOf(b.Tenant, b.Day, b.ID, blocks.Native))
			err := i.Flush(ctx)
			for tries := 0; err != nil && tries < 3; tries++ {
				p.faults.SetHook(nil)
				err = i.Flush(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
			part, err := p.c.Catalog.Partition(ctx, b.Tenant, b.Day, nil)
			if err != nil || len(part.Blocks) != 1 || part.Blocks[0].Attempt != c.attempt {
				t.Fatalf("catalog %+v (%v), want one block of attempt %d", part, err, c.attempt)
			}
			w.check("flushed", w.readBack(p, tenants), true)
			fs.Kill()
			w.settle("restarted", fs.Process(), config())
		})
	}
}

// TestSharedPartition: two writers commit to the same catalogs, each at every bucket call of the other.
func TestSharedPartition(t *testing.T) {
	ctx := context.Background()
	for n := 1; ; n += stride() {
		w := newWorld(t, int64(n))
		p, q := w.process(memfs.New()), w.process(memfs.New())
		i, j := w.open(p, config()), w.open(q, config())
		if err := errors.Join(w.sendBoth(i, 1), w.sendBoth(j, 5)); err != nil {
			t.Fatal(err)
		}
		start := p.faults.Calls()
		p.faults.SetHook(func(c faultblob.Call) faultblob.Action {
			if c.N == start+n {
				if err := j.Flush(ctx); err != nil {
					t.Errorf("call %d: rival flush: %v", n, err)
				}
			}
			return faultblob.Action{}
		})
		if err := i.Flush(ctx); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		if p.faults.Calls() < start+n {
			return
		}
		delete(w.oracle, sample{"a", "over", w.nowMs}) // which of the two came last is anybody's guess
		got := w.readBack(p, tenants)
		delete(got, sample{"a", "over", w.nowMs})
		w.check("both", got, true)
	}
}
