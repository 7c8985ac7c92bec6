package ingester

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/wal"
)

// prepareZombie makes a writer with generations in every stage: committed, in the bucket and not committed, shipped in part, and
// not shipped. It returns what the bucket does not have.
func (w *world) prepareZombie(i *Ingester) error {
	ctx := context.Background()
	for _, f := range []func() error{
		func() error { return w.sendBoth(i, 0) },
		func() error { return i.Flush(ctx) },
		func() error { return w.sendBoth(i, 1) },
		func() error { return i.Rotate(ctx) },
		func() error { return w.sendBoth(i, 2) },
		func() error { _, err := i.Ship(ctx); return err },
		func() error { _, err := i.FlushStep(ctx); return err }, // build generation 2
		func() error { _, err := i.FlushStep(ctx); return err }, // commit one of its partitions
		func() error { return w.sendBoth(i, 3) },                // same generation as 2, behind what was shipped
		func() error { return i.Rotate(ctx) },
		func() error { return w.sendBoth(i, 4) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// shippedOracle is the part of the oracle that an adopter must find.
func (w *world) shippedOracle(batches ...int) oracle {
	all := w.oracle
	w.oracle = oracle{}
	for _, n := range batches {
		for name, samples := range w.batch(n) {
			if name == "over" { // a part of its history tells another value
				continue
			}
			for _, tenant := range tenants {
				for _, s := range samples {
					k := sample{tenant, name, s.T}
					if all[k] != nil {
						w.oracle[k] = all[k]
					}
				}
			}
		}
	}
	part := w.oracle
	w.oracle = all
	return part
}

// TestAdoptThenZombieWakes: the adopter finds all that was shipped; the writer that wakes finds the fence, moves what lies behind it, and
// nothing is lost or doubled. The zombie wakes after a restart, or in the middle of its life.
func TestAdoptThenZombieWakes(t *testing.T) {
	for _, restart := range []bool{true, false} {
		for _, before := range []string{"kept", "collected", "fenced once more"} {
			t.Run(fmt.Sprintf("restart=%v,%s", restart, before), func(t *testing.T) {
				ctx := context.Background()
				w := newWorld(t, 1)
				fs := memfs.New()
				p := w.process(fs)
				i := w.open(p, config())
				if err := w.prepareZombie(i); err != nil {
					t.Fatal(err)
				}
				dead := i.Writer()
				other := w.process(memfs.New())
				report, err := Adopt(ctx, dead, other.c)
				if err != nil {
					t.Fatal(err)
				}
				if report.FenceGeneration != 3 || report.FenceSeq == 0 || report.Blocks == 0 {
					t.Fatalf("report %+v, want a fence within generation 3", report)
				}
				all := w.oracle
				w.oracle = w.shippedOracle(0, 1, 2)
				got := w.readBack(other, tenants)
				for k := range got {
					if k.series == "over" {
						delete(got, k)
					} else if w.oracle[k] == nil {
						t.Fatalf("%v was not shipped and is in a catalog", k)
					}
				}
				w.check("adopted", got, true)
				w.oracle = all

				again, err := Adopt(ctx, dead, other.c)
				if err != nil || !again.AlreadyAdopted {
					t.Fatalf("adopted again: %+v, %v", again, err)
				}
				if before != "kept" { // lifecycle collects what lies before the fence
					for seq := range report.FenceSeq {
						_ = p.c.Bucket.Delete(ctx, wal.SegmentKey(dead, 3, seq))
					}
				}
				if before == "fenced once more" { // by an adopter that went by an older roster, and took the gap for the end of the log
					for seq := range uint64(8) {
						_ = p.c.Bucket.Delete(ctx, wal.SegmentKey(dead, 2, seq))
					}
					_, err := p.c.Bucket.PutIfAbsent(ctx, wal.SegmentKey(dead, 2, 0), wal.FenceSegment(dead, 2, 0, "late"))
					if err != nil {
						t.Fatal(err)
					}
				}
				if restart {
					fs.Kill()
					w.settle("zombie restarted", fs.Process(), config())
					return
				}
				if err := w.sendBoth(i, 7); err != nil {
					t.Fatalf("append of a zombie that does not know yet: %v", err)
				}
				if _, err := i.Ship(ctx); !errors.Is(err, errFenced) {
					t.Fatalf("ship of a zombie: %v, want fenced", err)
				}
				if err := w.sendBoth(i, 8); !errors.Is(err, model.ErrUnavailable) {
					t.Fatalf("append while fenced: %v, want unavailable", err)
				}
				w.check("fenced", w.readBack(p, tenants, i), false)
				if _, err := i.FenceStep(ctx); err != nil {
					t.Fatal(err)
				}
				if i.Writer() == dead {
					t.Fatal("the writer kept its id")
				}
				w.check("moved", w.readBack(p, tenants, i), true)
				if err := w.sendBoth(i, 9); err != nil {
					t.Fatal(err)
				}
				fs.Kill()
				w.settle("after the move", fs.Process(), config())
			})
		}
	}
}

// TestMoveCrash stops the move of a fenced writer at every file call and at every bucket call, by power loss and by kill -9.
func TestMoveCrash(t *testing.T) {
	prepare := func(n int) (*world, *memfs.FS) {
		w := newWorld(t, int64(n))
		fs := memfs.New()
		i := w.open(w.process(fs), config())
		if err := w.prepareZombie(i); err != nil {
			t.Fatal(err)
		}
		if _, err := Adopt(context.Background(), i.Writer(), w.process(memfs.New()).c); err != nil {
			t.Fatal(err)
		}
		fs.Kill()
		return w, fs.Process()
	}
	t.Run("files", func(t *testing.T) {
		for n := 1; ; n += stride() {
			w, fs := prepare(n)
			p := w.process(fs)
			fs.SetHook(memfs.At(n, memfs.ErrCrashed))
			_, err := Open(context.Background(), config(), p.c)
			if fs.Calls() < n {
				t.Logf("%d calls", fs.Calls())
				return
			}
			what := fmt.Sprintf("crash at file call %d (%v)", n, err)
			if n%2 == 0 {
				w.settle(what, fs.Crash(w.rand), config())
			} else {
				w.settle(what, fs.Process(), config())
			}
		}
	})
	t.Run("failing files", func(t *testing.T) {
		for n := 1; ; n += stride() {
			w, fs := prepare(n)
			p := w.process(fs)
			fs.SetHook(memfs.At(n, errors.New("input/output error")))
			i, err := Open(context.Background(), config(), p.c)
			if fs.Calls() < n {
				return
			}
			fs.SetHook(nil)
			what := fmt.Sprintf("failing file call %d (%v)", n, err)
			if err == nil && n%2 == 0 {
				w.heal(what, i)
			}
			fs.Kill()
			w.settle(what, fs.Process(), config())
		}
	})
	t.Run("bucket", func(t *testing.T) {
		for n := 1; ; n += stride() {
			for _, kind := range []faultblob.Kind{faultblob.CrashAfter, faultblob.LoseAnswer, faultblob.Fail} {
				w, fs := prepare(n)
				p := w.process(fs)
				p.faults.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind, Err: errors.New("boom")}))
				i, err := Open(context.Background(), config(), p.c)
				if p.faults.Calls() < n {
					t.Logf("%d calls", p.faults.Calls())
					return
				}
				what := fmt.Sprintf("fault %d at bucket call %d (%v)", kind, n, err)
				if err == nil && kind != faultblob.CrashAfter {
					w.heal(what, i)
				}
				fs.Kill()
				w.settle(what, fs.Process(), config())
			}
		}
	})
}

// TestAdopterCrash stops the adopter at every bucket call; a second one finishes, and the zombie wakes.
func TestAdopterCrash(t *testing.T) {
	ctx := context.Background()
	for n := 1; ; n += stride() {
		for _, kind := range []faultblob.Kind{faultblob.CrashBefore, faultblob.CrashAfter, faultblob.LoseAnswer} {
			w := newWorld(t, int64(n))
			fs := memfs.New()
			i := w.open(w.process(fs), config())
			if err := w.prepareZombie(i); err != nil {
				t.Fatal(err)
			}
			first := w.process(memfs.New())
			first.faults.SetHook(faultblob.Nth(n, faultblob.Action{Kind: kind}))
			_, err := Adopt(ctx, i.Writer(), first.c)
			if first.faults.Calls() < n {
				t.Logf("%d calls", first.faults.Calls())
				return
			}
			what := fmt.Sprintf("adopter stopped by fault %d at call %d (%v)", kind, n, err)
			if n%2 == 0 { // the zombie comes before the second adopter
				w.nowMs += 1000
				_, _ = i.Ship(ctx)
				w.heal(what, i)
				w.check(what, w.readBack(first.revive(w), tenants, i), false)
			}
			if _, err := Adopt(ctx, i.Writer(), w.process(memfs.New()).c); err != nil {
				t.Fatalf("%s: second adopter: %v", what, err)
			}
			fs.Kill()
			w.settle(what, fs.Process(), config())
		}
	}
}

func (p *process) revive(w *world) *process { return w.process(p.fs) }

// TestAdoptRaces runs a second adopter, or the living writer, at every bucket call of an adopter.
func TestAdoptRaces(t *testing.T) {
	ctx := context.Background()
	for _, rival := range []struct {
		name string
		run  func(w *world, i *Ingester)
	}{
		{"adopter", func(w *world, i *Ingester) {
			if _, err := Adopt(ctx, i.Writer(), w.process(memfs.New()).c); err != nil {
				w.t.Errorf("rival adopter: %v", err)
			}
		}},
		{"living writer", func(w *world, i *Ingester) {
			_ = w.sendBoth(i, 20)
			_ = i.Flush(ctx)
			w.nowMs += 2 * config().SegmentGrace.Milliseconds()
			_, _ = i.ReleaseStep(ctx) // deletes what the adopter may be about to read
			_ = w.sendBoth(i, 21)
			_, _ = i.Ship(ctx)
		}},
	} {
		t.Run(rival.name, func(t *testing.T) {
			for n := 1; ; n += stride() {
				w := newWorld(t, int64(n))
				fs := memfs.New()
				i := w.open(w.process(fs), config())
				if err := w.prepareZombie(i); err != nil {
					t.Fatal(err)
				}
				p := w.process(memfs.New())
				p.faults.SetHook(func(c faultblob.Call) faultblob.Action {
					if c.N == n {
						rival.run(w, i)
					}
					return faultblob.Action{}
				})
				dead := i.Writer()
				_, err := Adopt(ctx, dead, p.c)
				if p.faults.Calls() < n {
					return
				}
				if err != nil {
					t.Fatalf("call %d: %v", n, err)
				}
				fs.Kill()
				w.settle(fmt.Sprintf("rival at bucket call %d (%v)", n, err), fs.Process(), config())
			}
		})
	}
}

// TestAdoptRefusals: who cannot be adopted, and why.
func TestAdoptRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, 1)
	p := w.process(memfs.New())
	if _, err := Adopt(ctx, "nobody", p.c); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("unknown writer: %v, want not found", err)
	}
	if _, err := Adopt(ctx, "../..", p.c); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("bad name: %v, want invalid", err)
	}
	cfg := config()
	cfg.Shipping = ShippingOff
	i := w.open(p, cfg)
	if _, err := Adopt(ctx, i.Writer(), p.c); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("writer that does not ship: %v, want invalid", err)
	}
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	roster, err := p.c.Catalog.Roster(ctx, nil)
	if err != nil || roster.Find(i.Writer()).State != catalog.Clean {
		t.Errorf("roster %+v (%v), want a clean writer", roster, err)
	}
}
