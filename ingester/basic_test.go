package ingester

import (
	"context"
	"testing"

	"github.com/varvedb/varve/internal/vfs/memfs"
)

// script is a run through everything that one process does between two starts. It stops at the first error.
func (w *world) script(i *Ingester, first int) error {
	ctx := context.Background()
	for _, f := range []func() error{
		func() error { return w.sendBoth(i, first) },
		func() error { _, err := i.Ship(ctx); return err },
		func() error { return w.sendBoth(i, first+1) },
		func() error { return i.Rotate(ctx) },
		func() error { return w.sendBoth(i, first+2) },
		func() error { _, err := i.Ship(ctx); return err },
		func() error { _, err := i.FlushStep(ctx); return err }, // build
		func() error { _, err := i.FlushStep(ctx); return err }, // commit one partition
		func() error { return i.Rotate(ctx) },
		func() error { return w.sendBoth(i, first+3) },
		func() error { return i.Flush(ctx) },
		func() error { return w.sendBoth(i, first+4) },
		func() error { _, err := i.Ship(ctx); return err },
		func() error { return w.sendBoth(i, first+5) },
		func() error { return i.Rotate(ctx) },
		func() error { _, err := i.BuildStep(ctx); return err },
		func() error { return w.sendBoth(i, first+6) },
		func() error { _, err := i.ReleaseStep(ctx); return err },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func TestScript(t *testing.T) {
	w := newWorld(t, 1)
	fs := memfs.New()
	p := w.process(fs)
	i := w.open(p, config())
	if err := w.script(i, 0); err != nil {
		t.Fatal(err)
	}
	w.check("running", w.readBack(p, tenants, i), false)
	t.Logf("%d file calls, %d bucket calls", fs.Calls(), p.faults.Calls())
	t.Logf("%+v", i.Status())
	fs = fs.Crash(nil)
	w.settle("after power loss", fs, config())
	w.nowMs += config().SegmentGrace.Milliseconds()
	w.settle("started once more", fs, config())
}
