//go:build e2e

package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
)

// TestPrometheus lets one Prometheus remote-write to a server on each kind of bucket, kills the servers
// again and again, and then holds every store against what Prometheus kept itself:
// the running servers by raw range selectors, second processes that were started fresh on the same bucket, and the
// bucket as such, read to the bit.
func TestPrometheus(t *testing.T) {
	rng := random(t)
	var servers []*server
	for _, b := range append(clouds(t, emulator.Kinds()...), fileBucket(t)) {
		servers = append(servers, startServer(t, b.name, b))
	}
	p := startPrometheus(t, servers)
	disturb(t, rng, p)
	p.stopScraping()

	end := time.Now().Add(time.Minute)
	length := time.Since(p.began) + 10*time.Minute
	want := p.contents(end)
	series, samples, stale := want.count()
	t.Logf("Prometheus has %d series, %d samples, of which %d are staleness markers", series, samples, stale)
	if stale < 100 || samples < 10*series {
		t.Fatal("that is too little to compare with")
	}
	names, err := metricNames(t.Context(), p.url(""))
	if err != nil {
		t.Fatal(err)
	}
	byQuery := queryRaw(t, p.url(""), names, end, length)
	requireEqual(t, "Prometheus by query and by remote read", want.withoutStale(), byQuery, true)

	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			same := func(what string, s *server) {
				t.Helper()
				requireEqual(t, what+", by query", byQuery, queryRaw(t, s.url(""), names, end, length), true)
				requireEqual(t, what+", by remote read", want, remoteRead(t, s.url(""), p.began.Add(-time.Hour), end), false)
			}
			same("the running server", s)
			second := startServer(t, s.name+"-second", s.bucket)
			same("a second process beside it, before the flush", second)
			if err := s.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			same("a second process beside it, after the flush", second)
			s.stop()
			same("a second process alone", second)
			second.stop()
			third := startServer(t, s.name+"-third", s.bucket)
			same("a third process, cold", third)
			third.stop()
			requireEqual(t, "the bucket itself", want, readBucket(t, s.bucket).contents, false)
		})
	}
}

// disturb runs for the time of the check: kills every server, flushes, and restarts the node exporter once.
func disturb(t *testing.T, rng *rand.Rand, p *prometheus) {
	t.Helper()
	duration, kills, every := long(10*time.Minute, 45*time.Second), long(10, 3), long(time.Minute, 9*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range p.servers {
		at := make([]time.Duration, kills)
		for i := range at {
			at[i] = time.Duration(rng.Int64N(int64(duration)))
			if i%2 == 0 { // into a flush, which takes a few hundredths of a second
				at[i] = at[i].Truncate(every) + every + time.Duration(rng.Int64N(int64(100*time.Millisecond)))
			}
		}
		slices.Sort(at)
		down := time.Duration(rng.Int64N(int64(2 * time.Second)))
		wg.Go(func() { killAt(t, s, at, down) })
		wg.Go(func() { flushEvery(ctx, t, s, every) })
	}
	time.Sleep(duration / 2)
	p.node.kill()
	time.Sleep(3 * time.Second)
	p.node.start()
	wg.Wait()
}

// killAt kills and restarts a server at the given times after now. A kill may hit a flush, a shipment or a replay.
func killAt(t *testing.T, s *server, at []time.Duration, down time.Duration) {
	begin := time.Now()
	for _, a := range at {
		time.Sleep(time.Until(begin.Add(a)))
		if err := s.process().Kill(); err != nil {
			t.Error(err)
		}
		time.Sleep(down)
		start := time.Now()
		if err := s.start(); err != nil {
			t.Error(err)
			return
		}
		t.Logf("%s killed at %s, ready again %s after its start", s.name, a.Round(time.Second), time.Since(start).Round(time.Millisecond))
	}
}

// flushEvery asks for flushes; one that meets a kill fails, and the last one must not.
func flushEvery(ctx context.Context, t *testing.T, s *server, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	done, failed := 0, 0
	for {
		select {
		case <-ctx.Done():
			t.Logf("%s flushed %d times, %d flushes met a kill", s.name, done, failed)
			if done == 0 {
				t.Errorf("%s: no flush succeeded", s.name)
			}
			return
		case <-ticker.C:
		}
		if err := s.flush(t.Context()); err != nil {
			failed++
		} else {
			done++
		}
	}
}
