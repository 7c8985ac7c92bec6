//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestAdopt kills a writer, takes its disk away, and recovers it from what it had shipped.
func TestAdopt(t *testing.T) {
	for _, mode := range []string{"fsync", "object"} {
		for _, b := range shippable(t) {
			t.Run(fmt.Sprintf("%s on %s", mode, b.name), func(t *testing.T) { adopt(t, mode, b.fresh(t)) })
		}
	}
}

func adopt(t *testing.T, mode string, b bucket) {
	s := startServer(t, "doomed", b, "--durability", mode, "--ship", "on")
	stop, writers := startWriters(t, s, 4)
	awaitShipped(t, b, writers)
	time.Sleep(long(30*time.Second, 2*time.Second))
	s.kill()
	killed := time.Now()
	stop()
	if err := os.RemoveAll(s.dataDir); err != nil {
		t.Fatal(err)
	}

	last := lastShipped(t, b)
	if last.IsZero() {
		t.Fatal("nothing was shipped")
	}
	t.Logf("the last shipment was complete %s before the kill", killed.Sub(last).Round(time.Millisecond))
	if killed.Sub(last) > 10*time.Second {
		t.Errorf("the last shipment was complete %s before the kill, want at most 10s", killed.Sub(last))
	}
	t.Log(varve(t, b, "adopt", "--bucket", b.url, activeWriter(t, b)))

	must := always
	if mode == "fsync" {
		// The times of objects have the grain of a second, so last may lie up to one second before the end of the upload.
		must = func(a ack) bool { return a.at.Before(last.Add(-lostAtMost)) }
	}
	requireOnce(t, b, writers, must)
}

// lostAtMost is by how much what was acknowledged may be younger than the newest shipment and be lost nevertheless.
const lostAtMost = 5 * time.Second

// awaitShipped waits until a segment was shipped so long after the first acknowledgement of each writer that these must be in the bucket.
func awaitShipped(t *testing.T, b bucket, writers []*writer) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		last := lastShipped(t, b)
		early := func(w *writer) bool {
			acks := w.acknowledged()
			return len(acks) > 0 && acks[0].at.Before(last.Add(-lostAtMost-time.Second))
		}
		if !slices.ContainsFunc(writers, func(w *writer) bool { return !early(w) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last shipment is of %v", last)
		}
	}
}

// TestZombie adopts a writer that was only asleep. It wakes up, goes on, and nothing is lost or doubled.
func TestZombie(t *testing.T) {
	for _, mode := range []string{"fsync", "object"} {
		for _, b := range shippable(t) {
			t.Run(fmt.Sprintf("%s on %s", mode, b.name), func(t *testing.T) { zombie(t, mode, b.fresh(t)) })
		}
	}
}

func zombie(t *testing.T, mode string, b bucket) {
	s := startServer(t, "zombie", b, "--durability", mode, "--ship", "on")
	stop, writers := startWriters(t, s, 4)
	time.Sleep(long(20*time.Second, 8*time.Second))
	if err := s.process().Pause(); err != nil {
		t.Fatal(err)
	}
	t.Log(varve(t, b, "adopt", "--bucket", b.url, activeWriter(t, b)))
	if err := s.process().Resume(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(long(20*time.Second, 8*time.Second))
	stop()
	if !s.process().Running() {
		// It may rather leave than live on without its log; then it must recover at the next start.
		if err := s.start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stop()
	requireOnce(t, b, writers, always)
}

// startWriters writes to the server from several senders until stop is called, which waits for them.
func startWriters(t *testing.T, s *server, n int) (stop func(), writers []*writer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		w := newWriter(t, fmt.Sprintf("w%d", i), 5)
		writers = append(writers, w)
		wg.Go(func() { w.run(ctx, s.url("/api/v1/write"), 5*time.Millisecond) })
	}
	return func() { cancel(); wg.Wait() }, writers
}
