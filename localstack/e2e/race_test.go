//go:build e2e

package e2e

import (
	"sync"
	"testing"
	"time"
)

// wantConflicts is how often the two processes must have met for the check to mean anything.
const wantConflicts = 100

// TestRacingCommits lets two processes on one bucket write and flush the same partition at the same moments. All that
// either acknowledged must be there, once.
func TestRacingCommits(t *testing.T) {
	b := fileBucket(t)
	servers := [2]*server{startServer(t, "left", b), startServer(t, "right", b)}
	writers := [2]*writer{newWriter(t, "left", 7), newWriter(t, "right", 7)}

	begin := time.Now()
	atLeast, atMost := long(time.Minute, 10*time.Second), 10*time.Minute
	rounds, conflicts := 0, 0.0
	for time.Since(begin) < atLeast || (conflicts < wantConflicts && time.Since(begin) < atMost) {
		var wg sync.WaitGroup
		for i, s := range servers {
			wg.Go(func() {
				if err := writers[i].write(t.Context(), s.url("/api/v1/write")); err != nil {
					t.Error(err)
				}
				if err := s.flush(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		if rounds++; rounds%10 == 0 {
			conflicts = servers[0].metric("varve_catalog_conflicts_total") + servers[1].metric("varve_catalog_conflicts_total")
			time.Sleep(time.Until(begin.Add(time.Duration(rounds) * 100 * time.Millisecond))) // a catalog holds some thousand blocks
		}
	}
	conflicts = servers[0].metric("varve_catalog_conflicts_total") + servers[1].metric("varve_catalog_conflicts_total")
	t.Logf("%d rounds in %s, %v conflicts", rounds, time.Since(begin).Round(time.Second), conflicts)
	if conflicts < wantConflicts {
		t.Errorf("%v conflicts, want at least %d", conflicts, wantConflicts)
	}
	for _, s := range servers {
		s.stop()
	}
	requireOnce(t, b, writers[:], always)
}

// requireOnce reads the bucket: what must be there of each writer is, and the blocks hold no sample twice.
func requireOnce(t *testing.T, b bucket, writers []*writer, must func(ack) bool) {
	t.Helper()
	found := readBucket(t, b)
	for _, w := range writers {
		kept, lost := w.check(found.contents, must)
		t.Logf("%s: %d acknowledged requests found, %d may be lost and are", w.name, kept, lost)
	}
	if _, distinct, _ := found.contents.count(); int64(distinct) != found.inBlocks {
		t.Errorf("the live blocks hold %d samples, of which %d are distinct", found.inBlocks, distinct)
	}
}
