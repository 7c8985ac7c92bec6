package faultblob_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func TestConformanceWithoutFaults(t *testing.T) {
	d := faultblob.Wrap(mem.New())
	blobtest.Run(t, func(*testing.T) *blob.Bucket { return blob.New(d, &blob.Options{PartBytes: 9999}) }, &blobtest.Options{PartBytes: 9999})
}

// TestPut tells for each kind of fault what a create answers, whether it was executed, and what the next call answers.
func TestPut(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		name    string
		action  faultblob.Action
		want    error
		done    bool
		crashed bool
	}{
		{"none", faultblob.Action{}, nil, true, false},
		{"fail", faultblob.Action{Kind: faultblob.Fail}, model.ErrUnavailable, false, false},
		{"fail with an error", faultblob.Action{Kind: faultblob.Fail, Err: other}, other, false, false},
		{"delay", faultblob.Action{Kind: faultblob.Delay, Delay: 1}, nil, true, false},
		{"lose the answer", faultblob.Action{Kind: faultblob.LoseAnswer}, model.ErrUnavailable, true, false},
		{"tear", faultblob.Action{Kind: faultblob.Tear}, model.ErrUnavailable, false, false},
		{"crash before", faultblob.Action{Kind: faultblob.CrashBefore}, faultblob.ErrCrashed, false, true},
		{"crash after", faultblob.Action{Kind: faultblob.CrashAfter}, faultblob.ErrCrashed, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := mem.New()
			d := faultblob.Wrap(inner)
			d.SetHook(faultblob.Nth(1, c.action))
			_, err := d.Put(t.Context(), "k", []byte("v"), blob.Condition{Absent: true})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			_, err = inner.Get(t.Context(), "k", 0, -1, "")
			if done := err == nil; done != c.done {
				t.Errorf("executed: %v, want %v", done, c.done)
			}
			_, err = d.Get(t.Context(), "k", 0, -1, "")
			if crashed := errors.Is(err, faultblob.ErrCrashed); crashed != c.crashed {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestTear(t *testing.T) {
	inner := mem.New()
	for i := range 4 {
		if _, err := inner.Put(t.Context(), fmt.Sprintf("k%d", i), []byte("0123456789"), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	d := faultblob.Wrap(inner)
	d.SetHook(func(faultblob.Call) faultblob.Action { return faultblob.Action{Kind: faultblob.Tear, Keep: 3} })

	r, err := d.Get(t.Context(), "k0", 2, -1, "")
	if !errors.Is(err, model.ErrUnavailable) || string(r.Data) != "234" || r.Version == "" || r.Size != 10 {
		t.Errorf("get: %+v, %v", r, err)
	}
	listed := 0
	for _, err = range d.List(t.Context(), "") {
		if err == nil {
			listed++
		}
	}
	if listed != 3 || !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("list: %d objects, %v", listed, err)
	}
	if err := d.Delete(t.Context(), []string{"k0", "k1", "k2", "k3"}); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("delete: %v", err)
	}
	if _, err := inner.Get(t.Context(), "k3", 0, -1, ""); err != nil {
		t.Errorf("the fourth key: %v", err)
	}
	if _, err := inner.Get(t.Context(), "k2", 0, -1, ""); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("the third key: %v", err)
	}
}

// TestHookMayUseTheBucket: the hook runs another process' code, which sees the state before the call.
func TestHookMayUseTheBucket(t *testing.T) {
	inner := mem.New()
	d := faultblob.Wrap(inner)
	var calls []faultblob.Call
	d.SetHook(func(c faultblob.Call) faultblob.Action {
		calls = append(calls, c)
		if c.N == 1 {
			if _, err := d.Put(t.Context(), "k", []byte("other"), blob.Condition{Absent: true}); err != nil {
				t.Error(err)
			}
		}
		return faultblob.Action{}
	})
	if _, err := d.Put(t.Context(), "k", []byte("mine"), blob.Condition{Absent: true}); !errors.Is(err, model.ErrConflict) {
		t.Errorf("got %v, want the other to have won", err)
	}
	want := "[{1 put k {true }} {2 put k {true }}]"
	if got := fmt.Sprint(calls); got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	if d.Calls() != 2 {
		t.Errorf("counted %d calls", d.Calls())
	}
}
