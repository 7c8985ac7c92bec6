//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
)

// What the proxy before a store does with a call.
const (
	storePasses int32 = iota
	storeDelays       // by 5 s
	storeRefuses
	storeHangs // takes the call and never answers
)

// TestBucketOutage puts a store behind a proxy that delays each call, then refuses all: what is written waits on the disk up to its budget and
// takes no memory, writes are then refused with the reason, readiness and metrics say it, and when the store is back everything acknowledged is found.
func TestBucketOutage(t *testing.T) { outage(t, storeRefuses) }

// TestBucketHangs is the same with a store that answers nothing any more, not even the calls it has taken: they end when the server gives them
// up, after two minutes.
func TestBucketHangs(t *testing.T) {
	if !full() {
		t.Skip("SKIPPED: takes minutes, only with E2E=full")
	}
	outage(t, storeHangs)
}

func outage(t *testing.T, then int32) {
	stores := clouds(t, emulator.S3)
	if len(stores) == 0 {
		t.Skip("SKIPPED: no S3 store")
	}
	b := stores[0]
	endpoint := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(b.url)
	if endpoint == "" {
		t.Skipf("SKIPPED: %s names no local endpoint", b.url)
	}
	var mode atomic.Int32
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: endpoint})
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case storeDelays:
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
				return
			}
		case storeHangs:
			_, _ = io.Copy(io.Discard, r.Body) // only then the end of the connection ends the context
			<-r.Context().Done()
			return
		case storeRefuses:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	direct := b
	b.url = strings.ReplaceAll(b.url, endpoint, strings.TrimPrefix(proxy.URL, "http://"))
	s := startServer(t, "outage", b, "--memory-budget", "128MiB", "--disk-budget", "96MiB")
	f := &flood{t: t, url: s.url("/api/v1/write"), start: time.Now().Truncate(time.Second).Add(-2 * time.Hour), acked: map[floodBatch]bool{}, status: map[int]int{}}
	mode.Store(storeDelays)
	full := ""
	for n := 0; full == "" && n < 2000; n++ {
		if n == 20 {
			mode.Store(then)
		}
		k := floodBatch{n % 4, n / 4 % 5, n / 20}
		status, retryAfter, text, err := f.post(f.body(k, batchSeries))
		switch {
		case err != nil:
			t.Fatal(err)
		case status == http.StatusNoContent:
			f.acked[k] = true
		case status != http.StatusServiceUnavailable || retryAfter == "":
			t.Fatalf("status %d, Retry-After %q: %s", status, retryAfter, text)
		case strings.Contains(text, "until the bucket has taken them"):
			full = text
		}
	}
	u, err := s.process().Usage()
	if err != nil {
		t.Fatal(err)
	}
	status, ready, err := call(t.Context(), http.MethodGet, s.url("/-/ready"), nil, nil)
	t.Logf("%d requests accepted, then %q; peak RSS %d MiB; ready: %d %s", len(f.acked), full, u.PeakRSS>>20, status, ready)
	if full == "" || err != nil || status != http.StatusServiceUnavailable || !strings.Contains(string(ready), "data directory hold") {
		t.Error("the disk budget is reached in silence")
	}
	if held, limit := s.metric("varve_ingester_disk_bytes"), s.metric("varve_ingester_disk_limit_bytes"); limit != 96<<20 || held < limit {
		t.Errorf("metrics say %.0f bytes of %.0f", held, limit)
	}
	if u.PeakRSS > floodBudget+floodOver {
		t.Errorf("peak RSS is %d MiB, want at most %d", u.PeakRSS>>20, (floodBudget+floodOver)>>20)
	}
	mode.Store(storePasses)
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.recovered(floodBatch{sender: 9})
	s.stop()
	f.check(direct)
}
