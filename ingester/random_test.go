package ingester

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

var (
	firstSeed = flag.Int64("seed", 0, "first seed of TestRandomSteps")
	moreSeeds = flag.Int64("more", 1, "factor for the number of seeds of TestRandomSteps")
)

// life is one data directory through crashes and restarts.
type life struct {
	*world
	cfg   Config
	fs    *memfs.FS
	p     *process
	i     *Ingester // nil while down
	last  string    // the id at the last start
	trace []string
}

// TestRandomSteps lets two writers live through random steps, faults, crashes and adoptions, and reads everything back.
func TestRandomSteps(t *testing.T) {
	first, seeds := *firstSeed, int64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := first; seed < first+seeds**moreSeeds; seed++ {
		w := newWorld(t, seed)
		cfg := config()
		if seed%3 == 2 {
			cfg.Mode = ModeObject
		}
		lives := []*life{{world: w, cfg: cfg, fs: memfs.New()}, {world: w, cfg: cfg, fs: memfs.New()}}
		for n := range 120 {
			l := lives[w.rand.Intn(len(lives))]
			if l.i == nil {
				if l.last != "" && w.rand.Intn(3) == 0 {
					l.trace = append(l.trace, "adopt while down")
					_, _ = Adopt(context.Background(), l.last, w.process(memfs.New()).c)
				}
				l.restart()
				continue
			}
			l.step(n, lives)
			if t.Failed() {
				t.Fatalf("seed %d: %v", seed, l.trace)
			}
		}
		var running []*Ingester
		for _, l := range lives {
			l.fs.Kill()
			l.fs, l.i = l.fs.Process(), nil
			l.restart()
			w.nowMs += 777 // heal sends samples too
			l.heal(fmt.Sprint(l.trace), l.i)
			running = append(running, l.i)
		}
		w.check(fmt.Sprint("end ", lives[0].trace, lives[1].trace), w.readBack(lives[0].p, tenants, running...), true)
	}
}

// restart starts the process, over what the last one left, unless a fault keeps it from starting.
func (l *life) restart() {
	if l.i != nil {
		return
	}
	l.p = l.process(l.fs)
	l.cfg.Shipping = []Shipping{ShippingOn, ShippingOn, ShippingOff}[l.rand.Intn(3)]
	i, err := Open(context.Background(), l.cfg, l.p.c)
	if err != nil {
		l.t.Fatalf("seed %d: open: %v after %v", l.seed, err, l.trace)
	}
	l.i, l.last = i, i.Writer()
	l.trace = append(l.trace, "open "+string(l.cfg.Shipping))
}

// step does one random thing.
func (l *life) step(n int, all []*life) {
	ctx := context.Background()
	ops := []struct {
		name   string
		weight int
		run    func()
	}{
		{"send", 12, func() { l.once(n) }},
		{"ship", 6, func() { _, _ = l.i.Ship(ctx) }},
		{"rotate", 3, func() { _ = l.i.Rotate(ctx) }},
		{"maintain", 3, func() {
			_, _ = l.i.RotateStep(ctx)
			_, _ = l.i.EnterStep(ctx)
			_, _ = l.i.FenceStep(ctx)
		}},
		{"build", 3, func() { _, _ = l.i.BuildStep(ctx) }},
		{"commit", 6, func() { _, _ = l.i.commitStep(ctx, 1, true) }},
		{"release", 3, func() { _, _ = l.i.ReleaseStep(ctx) }},
		{"flush", 1, func() { _ = l.i.Flush(ctx) }},
		{"later", 2, func() { l.nowMs += time.Hour.Milliseconds() }},
		{"adopt", 1, func() {
			other := l.process(memfs.New())
			if l.rand.Intn(2) == 0 { // and dies of it
				other.faults.SetHook(faultblob.Nth(1+l.rand.Intn(20), faultblob.Action{Kind: faultblob.CrashAfter}))
			}
			_, _ = Adopt(ctx, l.i.Writer(), other.c)
		}},
		{"file fault", 1, func() {
			l.fs.SetHook(memfs.At(1+l.rand.Intn(30), []error{syscall.EIO, syscall.ENOSPC}[l.rand.Intn(2)]))
		}},
		{"crash soon", 1, func() { l.fs.SetHook(memfs.At(1+l.rand.Intn(60), memfs.ErrCrashed)) }},
		{"bucket fault", 2, func() {
			kind := []faultblob.Kind{faultblob.Fail, faultblob.LoseAnswer, faultblob.CrashAfter, faultblob.CrashBefore}[l.rand.Intn(4)]
			l.p.faults.SetHook(faultblob.Nth(l.p.faults.Calls()+1+l.rand.Intn(20), faultblob.Action{Kind: kind, Err: errors.New("boom")}))
		}},
		{"kill", 1, func() { l.fs.Kill(); l.fs, l.i = l.fs.Process(), nil }},
		{"power", 1, func() { l.fs, l.i = l.fs.Crash(l.rand), nil }},
		{"close", 1, func() {
			_ = l.i.Close(ctx)
			l.fs.Kill()
			l.fs, l.i = l.fs.Process(), nil
		}},
	}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	pick := l.rand.Intn(total)
	for _, o := range ops {
		if pick -= o.weight; pick < 0 {
			l.trace = append(l.trace, o.name)
			o.run()
			break
		}
	}
}

// once sends samples that are never sent again.
func (l *life) once(n int) {
	base := l.nowMs + int64(n)*7
	_ = l.send(l.i, tenants[n%2], map[string][]model.Sample{
		"once_" + fmt.Sprint(n%7): {{T: base + int64(n%3)*model.MsPerDay, V: float64(n)}, {T: base + 1, V: 1}},
	})
}
