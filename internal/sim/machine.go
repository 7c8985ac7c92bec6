package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	mathrand "math/rand"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// machine is a place where one ingester runs: a disk, and a way to the bucket.
type machine struct {
	name string
	// disk tells the series of one disk from those of the next in the same place, so that one disk alone decides
	// the order of the writes of a sample.
	disk   string
	fs     *memfs.FS
	bucket *faultblob.Driver
	c      ingester.Components
	cfg    ingester.Config
	// ing is nil while the process does not run.
	ing *ingester.Ingester
	// busy: a call of it is under way, and somebody else is taking a turn meanwhile.
	busy bool
	// keys are what it has written, to be written over.
	keys []key
	// files and calls are the faults that wait for its calls; fate is how it died in the call that is returning.
	files, calls plan
	fate         fault
	// skew is by how much its clock is off.
	skew time.Duration
}

// clock is the world's, off by skew. Waits take no time.
type clock struct {
	w    *world
	skew time.Duration
}

func (c clock) Now() time.Time { return time.UnixMilli(c.w.nowMs).UTC().Add(c.skew) }

func (c clock) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// components makes a new process's way to the bucket and, with fs, to a disk. Its clock is off by skew.
func (w *world) components(fs *memfs.FS, skew time.Duration) (ingester.Components, *faultblob.Driver) {
	d, now := faultblob.Wrap(w.bucket), clock{w, skew}
	b := blob.New(d, &blob.Options{MaxInFlight: 1, Retries: 2, PartBytes: 600, Clock: now, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 1))})
	ids := rand.NewChaCha8(w.seedBytes())
	c := ingester.Components{
		Dir: "data", Bucket: b, Now: now.Now, Sleep: now.Sleep, Rand: ids,
		Catalog: catalog.New(b, &catalog.Options{Sequential: true}, catalog.Components{Rand: ids, Now: now.Now, Sleep: now.Sleep}),
	}
	if fs != nil {
		c.FS = fs
	}
	return c, d
}

func (w *world) seedBytes() (s [32]byte) {
	binary.LittleEndian.PutUint64(s[:], w.rng.Uint64())
	return s
}

func (w *world) newMachine(name string) *machine {
	m := &machine{name: name, cfg: ingester.Config{
		FlushParallel: 1, ObjectBatch: -1, SegmentBytes: 2 << 10, SegmentGrace: time.Hour, SkipProbe: true,
	}}
	if w.rng.IntN(4) == 0 {
		m.cfg.Mode = ingester.ModeObject
	}
	w.newDisk(m)
	return m
}

// newDisk gives the machine an empty disk.
func (w *world) newDisk(m *machine) {
	w.disks++
	m.disk, m.fs, m.ing, m.keys = fmt.Sprintf("%s-%d", m.name, w.disks), memfs.New(), nil, nil
}

// start runs the process on the machine's disk. It may fail while faults are armed.
func (w *world) start(m *machine) error {
	m.fs = m.fs.Process()
	if w.rng.IntN(3) == 0 {
		m.skew = w.skew() // its clock was set while it was down
	}
	m.c, m.bucket = w.components(m.fs, m.skew)
	w.hookUp(m)
	ing, err := ingester.Open(context.Background(), m.cfg, m.c)
	switch {
	case err == nil:
		m.ing = ing
	case m.fate == noFault:
		w.stop(m)
	}
	return err
}

// stop ends the process as kill -9 does: its calls end, its disk stays as it is.
func (w *world) stop(m *machine) {
	m.bucket.Crash()
	m.fs.Kill()
	m.ing = nil
}

// powerOff ends the process and forgets what was not synced, all of it or a part.
func (w *world) powerOff(m *machine) {
	m.bucket.Crash()
	var rng *mathrand.Rand
	if w.rng.IntN(2) == 0 {
		rng = mathrand.New(mathrand.NewSource(w.rng.Int64()))
	}
	m.fs = m.fs.Crash(rng)
	m.ing = nil
}

// tool is a process without a disk, for the length of one step, half of the time with a fault of its own within so many calls of the bucket.
func (w *world) tool(name string, within int) *machine {
	m := &machine{name: name, disk: name}
	m.c, m.bucket = w.components(nil, w.skew())
	m.bucket.SetHook(func(c faultblob.Call) faultblob.Action { return w.bucketCall(m, c) })
	if w.rng.IntN(2) == 0 {
		m.calls = plan{fault: bucketFaults[w.rng.IntN(len(bucketFaults))], in: w.rng.IntN(within), calls: 1}
	}
	return m
}

// dead reports whether the error says that the process is no more.
func dead(err error) bool {
	return errors.Is(err, memfs.ErrCrashed) || errors.Is(err, faultblob.ErrCrashed)
}

// allowed reports whether a step may fail like this while faults are about.
func allowed(err error) bool {
	return dead(err) || errors.Is(err, faultblob.ErrInjected) || errors.Is(err, errDisk) ||
		errors.Is(err, model.ErrUnavailable) || errors.Is(err, model.ErrConflict)
}
