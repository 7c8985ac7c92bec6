package blob_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

// slow delays the calls that the test names by their number.
func slow(delays map[int]time.Duration) faultblob.Hook {
	return func(c faultblob.Call) faultblob.Action {
		return faultblob.Action{Kind: faultblob.Delay, Delay: delays[c.N]}
	}
}

// cloud makes a driver look like a cloud's, for which reads are hedged.
type cloud struct{ blob.Driver }

func (cloud) Scheme() string { return "cloud" }

func TestHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := mem.New()
		f := faultblob.Wrap(cloud{inner})
		b := blob.New(f, &blob.Options{HedgeAfter: 100 * time.Millisecond})
		if _, err := inner.Put(t.Context(), "k", []byte("v"), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
		f.SetHook(slow(map[int]time.Duration{1: time.Hour, 2: 30 * time.Millisecond, 3: 40 * time.Millisecond}))
		start := time.Now()
		if _, _, err := b.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 130*time.Millisecond {
			t.Errorf("a read whose first request hangs took %s, want the 100 ms of waiting and the 30 ms of the second", took)
		}
		start = time.Now()
		if _, _, err := b.Get(t.Context(), "k"); err != nil || time.Since(start) != 40*time.Millisecond {
			t.Errorf("a quick read took %s, %v", time.Since(start), err)
		}
		if f.Calls() != 3 {
			t.Errorf("%d requests, want 3", f.Calls())
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHedgesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := mem.New()
		f := faultblob.Wrap(cloud{inner})
		b := blob.New(f, &blob.Options{HedgeAfter: 10 * time.Millisecond})
		if _, err := inner.Put(t.Context(), "k", []byte("v"), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
		f.SetHook(func(faultblob.Call) faultblob.Action {
			return faultblob.Action{Kind: faultblob.Delay, Delay: 50 * time.Millisecond}
		})
		const reads = 400
		for range reads {
			if _, _, err := b.Get(t.Context(), "k"); err != nil {
				t.Fatal(err)
			}
		}
		if hedges := f.Calls() - reads; hedges < 10 || hedges > 10+reads/20+1 {
			t.Errorf("%d reads of a slow store made %d hedges, want at most one in twenty and ten saved", reads, hedges)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHangingTryIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := faultblob.Wrap(mem.New())
		b := blob.New(f, &blob.Options{TryTimeout: time.Second, Retries: 1})
		f.SetHook(slow(map[int]time.Duration{1: time.Hour, 3: time.Hour, 4: time.Hour}))
		if _, err := b.Put(t.Context(), "k", nil); err != nil {
			t.Fatalf("the second try answers: %v", err)
		}
		if _, err := b.Put(t.Context(), "k", nil); !errors.Is(err, model.ErrUnavailable) {
			t.Fatalf("both tries hang: got %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		f.SetHook(func(faultblob.Call) faultblob.Action {
			return faultblob.Action{Kind: faultblob.Delay, Delay: time.Hour}
		})
		if _, err := b.Put(ctx, "k", nil); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, model.ErrUnavailable) {
			t.Fatalf("the caller's deadline: got %v", err)
		}
	})
}
