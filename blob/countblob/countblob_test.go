package countblob_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/blobtest"
	"github.com/varvedb/varve/blob/countblob"
	"github.com/varvedb/varve/blob/mem"
)

func TestConformance(t *testing.T) {
	d := countblob.Wrap(mem.New(), nil)
	blobtest.Run(t, func(*testing.T) *blob.Bucket { return blob.New(d, &blob.Options{PartBytes: 9999}) }, &blobtest.Options{PartBytes: 9999})
}

func TestCounts(t *testing.T) {
	d := countblob.Wrap(mem.New(), nil)
	b := blob.New(d, nil)
	v, err := b.Put(t.Context(), "k", []byte("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.GetIf(t.Context(), "k", v); err != nil {
		t.Fatal(err)
	}
	if _, err := b.GetRange(t.Context(), "k", 2, 5); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), "k", "l"); err != nil {
		t.Fatal(err)
	}
	s := d.Stats()
	if got := fmt.Sprint(s.Requests, s.Keys, s.NotModified, s.Bytes, s.WrittenBytes, s.Stages); got != "map[delete:1 get:2 list:1 put:1] map[k:2] 1 5 10 5" {
		t.Errorf("counted %s", got)
	}
	d.Reset()
	if s := d.Stats(); len(s.Requests) != 0 || s.Stages != 0 {
		t.Errorf("after Reset: %+v", s)
	}
}

// TestStages draws  a ─┬─ b ──── d
//
//	└─ c            and a call that lasts all the while.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := countblob.Wrap(mem.New(), &countblob.Options{Latency: time.Second})
		get := func() { _, _ = d.Get(t.Context(), "k", 0, -1, "") } // not found is an answer too
		var all sync.WaitGroup
		all.Go(get)
		get() // a
		var pair sync.WaitGroup
		pair.Go(get) // b
		pair.Go(get) // c
		pair.Wait()
		get() // d
		all.Wait()
		if s := d.Stats(); s.Stages != 3 || s.Requests[countblob.OpGet] != 5 {
			t.Errorf("%d stages of %d requests, want 3 of 5", s.Stages, s.Requests[countblob.OpGet])
		}
	})
}
