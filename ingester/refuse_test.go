package ingester

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/internal/vfs/memfs"
	"github.com/varvedb/varve/model"
)

// TestOurTroubleIsNotTheSenders: whatever the bucket or the disk says, a write that could not be made durable is
// unavailable and of no other kind. A sender throws away what it is told was invalid, not found or too much.
func TestOurTroubleIsNotTheSenders(t *testing.T) {
	ctx := t.Context()
	only := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", what, err)
		}
		for _, kind := range []error{model.ErrInvalid, model.ErrNotFound, model.ErrConflict, model.ErrLimit, model.ErrCorrupt, model.ErrVersion} {
			if errors.Is(err, kind) {
				t.Errorf("%s: %v is also %v", what, err, kind)
			}
		}
	}
	for _, cause := range []error{
		fmt.Errorf("there is no such bucket: %w", model.ErrInvalid), blob.DeniedRead("HTTP 403"), blob.ErrDenied, model.ErrCorrupt, model.ErrVersion, model.ErrLimit,
	} {
		w := newWorld(t, 1)
		p := w.process(memfs.New())
		cfg := config()
		cfg.Mode = ModeObject
		i := w.open(p, cfg)
		p.faults.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Fail, Err: cause} })
		_, err := i.Append(ctx, "a", one("s", 1, 1))
		only("object mode", err)
		if !errors.Is(cause, model.ErrCorrupt) && !errors.Is(cause, model.ErrVersion) {
			only("flush", i.Flush(ctx))
		}

		i.note(troubleEnter, cause)
		if err := i.changeFile(func(f *writerFile) { f.Registered = false }); err != nil {
			t.Fatal(err)
		}
		_, err = i.Append(ctx, "a", one("s", 1, 1))
		only("not in the roster", err)
		only("not ready", i.Ready())
	}

	w := newWorld(t, 1)
	fs := memfs.New()
	i := w.open(w.process(fs), config())
	if _, err := i.EnterStep(ctx); err != nil {
		t.Fatal(err)
	}
	fs.SetHook(memfs.From(1, syscall.ENOSPC))
	_, err := i.Append(ctx, "a", one("s", 1, 1))
	only("full disk", err)
	i.try(ctx, &step{trouble: troubleRotate, run: i.RotateStep})
	only("full disk, not ready", i.Ready())
	if err := i.Ready(); !errors.Is(err, model.ErrUnavailable) || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("not ready: %v, want the reason", err)
	}
}

// TestArrivalsAreCounted: how samples came is told across rotations, and the fsyncs of the log are measured.
func TestArrivalsAreCounted(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t, 1)
	p := w.process(memfs.New())
	reg := prometheus.NewRegistry()
	p.c.Registerer = reg
	i := w.open(p, config())
	for round := range 2 {
		for _, b := range []*model.Batch{one("s", 10, 1), one("s", 10, 1), one("s", 10, 2), one("s", 5, 1)} {
			if _, err := i.Append(ctx, "a", b); err != nil {
				t.Fatal(err)
			}
		}
		if err := i.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		want := int64(round + 1)
		if got := i.arrivals(); got != (arrivals{want, want, want}) {
			t.Errorf("round %d: %+v, want %d of each", round, got, want)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]float64{}
	for _, f := range families {
		seen[f.GetName()] = f.Metric[0].GetCounter().GetValue() + float64(f.Metric[0].GetHistogram().GetSampleCount())
	}
	if seen["varve_ingester_overwritten_samples_total"] != 2 || seen["varve_ingester_log_fsync_seconds"] < 8 {
		t.Errorf("metrics: %v", seen)
	}
}

// TestStartBesideASilentBucket: a bucket that takes calls and never answers delays a start by seconds, and a writer that is in the roster
// accepts writes then.
func TestStartBesideASilentBucket(t *testing.T) {
	w := newWorld(t, 1)
	fs := memfs.New()
	i := w.open(w.process(fs), config())
	if err := i.Abandon(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := w.process(fs)
		p.faults.SetHook(func(faultblob.Call) faultblob.Action {
			return faultblob.Action{Kind: faultblob.Delay, Delay: 24 * time.Hour}
		})
		began := time.Now()
		i, err := Open(t.Context(), config(), p.c)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > startPatience {
			t.Errorf("start took %s", took)
		}
		if _, err := i.Append(t.Context(), "a", one("s", 1, 1)); err != nil {
			t.Errorf("append: %v", err)
		}
		if err := i.Abandon(); err != nil {
			t.Fatal(err)
		}
	})
}
