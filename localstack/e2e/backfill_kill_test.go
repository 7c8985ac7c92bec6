//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
)

// A killer stands before a store and counts its calls. At one of them it kills a process, before the store has heard of the call or before it has answered.
type killer struct {
	forward *httputil.ReverseProxy
	server  *httptest.Server

	mu    sync.Mutex // guards all below
	calls int
	at    int // 0 is never
	late  bool
	kill  func()
	delay time.Duration // of each call
}

// killable is a bucket in a cloud behind a killer, and the same one without.
func killable(t *testing.T) (behind, direct bucket, k *killer) {
	t.Helper()
	stores := clouds(t, emulator.S3)
	if len(stores) == 0 {
		t.Skip("SKIPPED: no S3 store")
	}
	direct = stores[0]
	endpoint := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(direct.url)
	if endpoint == "" {
		t.Skipf("SKIPPED: %s names no local endpoint", direct.url)
	}
	k = &killer{forward: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: endpoint})}
	k.forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	k.server = httptest.NewServer(k)
	t.Cleanup(k.server.Close)
	behind = direct
	behind.url = strings.ReplaceAll(direct.url, endpoint, strings.TrimPrefix(k.server.URL, "http://"))
	return behind, direct, k
}

// ServeHTTP implements http.Handler.
func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.calls++
	now, late, kill, delay := k.calls == k.at, k.late, k.kill, k.delay
	k.mu.Unlock()
	time.Sleep(delay)
	if now && !late {
		kill()
		panic(http.ErrAbortHandler)
	}
	if !now {
		k.forward.ServeHTTP(w, r)
		return
	}
	// The store hears of the call to its end although the caller is gone.
	answer := httptest.NewRecorder()
	k.forward.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
	kill()
	panic(http.ErrAbortHandler)
}

// run runs a command that is killed at its n-th call, and reports whether it was. 0 lets it live.
func (k *killer) run(t *testing.T, b bucket, n int, late bool, args ...string) (killed bool, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), b.env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ended := make(chan struct{})
	k.mu.Lock()
	k.calls, k.at, k.late = 0, n, late
	k.kill = func() {
		_ = cmd.Process.Kill()
		<-ended // its other calls are then broken off as well
	}
	k.mu.Unlock()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Exited()) {
		t.Fatalf("varve %v: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	return err != nil, stdout.String()
}

func (k *killer) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls
}

// testKilled kills backfills at random calls of the store: what is there at the end is there once.
func (s *source) testKilled(t *testing.T) {
	rng := random(t)
	b, direct, k := killable(t)
	args := func(b bucket) []string {
		return []string{"backfill", "--bucket", b.url, "--json", "--from", "prometheus", s.snapshot}
	}
	if killed, _ := k.run(t, b, 0, false, args(b)...); killed {
		t.Fatal("nobody was to be killed")
	}
	all := k.count()
	for round := range long(5, 1) {
		b, direct := again(t, b, direct)
		var at []int
		for try := 0; try < 200; try++ {
			n, late := 1+rng.IntN(max(2, all/2)), rng.IntN(2) == 0
			if try >= long(12, 4) {
				n = 0
			}
			killed, out := k.run(t, b, n, late, args(b)...)
			if killed {
				at = append(at, n)
				continue
			}
			t.Logf("round %d: %d calls without kills; killed at calls %v", round, all, at)
			if summaryOf(t, out).Days == 0 {
				t.Errorf("the last run found no days: %s", out)
			}
			break
		}
		if len(at) == 0 {
			t.Error("no run was killed, so this proves nothing")
		}
		requireHolds(t, direct, s.want)
	}
}

// again makes another bucket in the same store.
func again(t *testing.T, behind, direct bucket) (nextBehind, nextDirect bucket) {
	t.Helper()
	next := direct.fresh(t)
	endpoint := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	behind.url = strings.ReplaceAll(next.url, endpoint.FindString(next.url), endpoint.FindString(behind.url))
	return behind, next
}
