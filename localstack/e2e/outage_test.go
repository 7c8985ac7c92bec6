//go:build e2e

package e2e

import (
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

// TestBucketOutage puts a store behind a proxy that delays each call by 5 s, then answers none: what is written waits on the disk up to its budget and
// takes no memory, writes are then refused with the reason, readiness and metrics say it, and when the store is back everything acknowledged is found.
func TestBucketOutage(t *testing.T) {
	stores := clouds(t, emulator.S3)
	if len(stores) == 0 {
		t.Skip("SKIPPED: no S3 store")
	}
	b := stores[0]
	endpoint := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(b.url)
	if endpoint == "" {
		t.Skipf("SKIPPED: %s names no local endpoint", b.url)
	}
	var mode atomic.Int32 // 0 passes, 1 delays, 2 refuses
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: endpoint})
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case 1:
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
				return
			}
		case 2:
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
	mode.Store(1)
	full := ""
	for n := 0; full == "" && n < 2000; n++ {
		if n == 20 {
			mode.Store(2)
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
	mode.Store(0)
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.recovered(floodBatch{sender: 9})
	s.stop()
	f.check(direct)
}
