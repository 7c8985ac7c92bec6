//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

// testBeside takes over a snapshot into a bucket whose calls are slow, while a server on it gets and flushes samples of the same days, some of them the same ones, and workers merge
// what is there.
func (s *source) testBeside(t *testing.T) {
	behind, direct, k := killable(t)
	server := startServer(t, "beside", direct)
	ctx, done := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	live := contents{}
	wg.Go(func() { s.writeBeside(ctx, t, server, live) })
	merges := 0
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := runVarve(t, direct, "lifecycle", "--bucket", direct.url, "--once", "--compact-settle", "0s"); err != nil {
				t.Error(err)
			}
			merges++
		}
	})
	k.mu.Lock()
	k.delay = long(200*time.Millisecond, 80*time.Millisecond)
	k.mu.Unlock()
	r := backfill(t, behind, "--from", "prometheus", s.snapshot)
	done()
	wg.Wait()
	server.stop()
	varve(t, direct, "lifecycle", "--bucket", direct.url, "--once", "--compact-settle", "0s")
	t.Logf("%d days in %d blocks; meanwhile %d series came in, and was merged %d times", r.Days, r.Blocks, len(live), merges)
	if len(live) == 0 || merges == 0 {
		t.Error("nothing happened beside it, so this proves nothing")
	}
	want := maps.Clone(s.want)
	maps.Copy(want, live)
	requireEqual(t, "what was taken over and what came in beside it", want, readBucket(t, direct).contents, false)
}

// besideRounds bounds the flushes: who commits to the same days without a pause, and next to the bucket, could keep off for ever who is far from it.
const besideRounds = 12

// writeBeside writes series of its own to all days of the past, and samples that are in it, and flushes, until ctx ends. What is acknowledged it notes.
func (s *source) writeBeside(ctx context.Context, t *testing.T, server *server, live contents) {
	for round := 0; round < besideRounds && ctx.Err() == nil; round++ {
		name := fmt.Sprintf("beside_%d", round)
		var b strings.Builder
		var points []point
		for n := 0; n < s.past.samples; n += 30 {
			at := s.past.from.Add(time.Duration(n) * pastStep).UnixMilli()
			fmt.Fprintf(&b, "%s{} %d %d\n", name, n, at)
			points = append(points, point{at, math.Float64bits(float64(n))})
		}
		importText(t, server, b.String())
		live[keyOf(map[string]string{"__name__": name})] = points
		req := &prompb.WriteRequest{}
		for _, ts := range s.past.slice(0, s.past.samples) {
			if ts.Histograms == nil && ts.Labels[0].Value == "past_random" {
				ts.Samples = slices.DeleteFunc(ts.Samples, func(p prompb.Sample) bool { return p.Timestamp/60_000%7 != int64(round%7) })
				req.Timeseries = append(req.Timeseries, *ts)
			}
		}
		status, body, err := call(context.WithoutCancel(ctx), http.MethodPost, server.url("/api/v1/write"), writeHeader(), bytes.NewReader(encodeWrite(t, req)))
		if err != nil || status/100 != 2 {
			t.Errorf("write beside: %d, %v: %.300s", status, err, body)
		}
		if err := server.flush(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}
}
