//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPage drives the page at / in a real browser: completion, graph, table, what a query cost, the catalog, cardinality, tenants, keys, dark and
// narrow. The screenshots are left in E2E_ARTIFACTS, if it is set.
func TestPage(t *testing.T) {
	ui, err := filepath.Abs(filepath.Join("..", "..", "web", "ui"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node", "npm", "chromium"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: .ci/browser installs it where it may", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute) // the script bounds its steps
	defer cancel()
	if _, err := os.Stat(filepath.Join(ui, "node_modules", "playwright-core")); err != nil {
		run(ctx, t, ui, "npm", "ci", "--no-audit", "--no-fund")
	}
	s := startServer(t, "page", bucket{url: "file://" + filepath.ToSlash(t.TempDir())}, "--self-scrape=true", "--self-scrape-interval", "1s")
	until := time.Now().Add(5 * time.Minute)
	for !scraped(ctx, t, s) {
		if time.Now().After(until) {
			t.Fatal("the server did not scrape itself within five minutes")
		}
		time.Sleep(200 * time.Millisecond) // it is another process
	}
	if err := s.flush(ctx); err != nil {
		t.Fatal(err)
	}
	shots := os.Getenv("E2E_ARTIFACTS")
	if shots == "" {
		shots = t.TempDir()
	}
	if shots, err = filepath.Abs(shots); err != nil {
		t.Fatal(err)
	}
	t.Log(run(ctx, t, ui, "node", "e2e/page.mjs", s.url("/"), shots))
}

// scraped reports whether a rate of requests can be had at the last two of the times at which the page asks for it, which are multiples of its step.
func scraped(ctx context.Context, t *testing.T, s *server) bool {
	t.Helper()
	const step = 15
	at := (time.Now().Unix()/step - 1) * step
	_, body, err := call(ctx, "GET", s.url("/api/v1/query?query=rate(varve_http_requests_total%5B1m%5D)&time="+strconv.FormatInt(at, 10)), nil, nil)
	return err == nil && strings.Contains(string(body), `"value"`)
}

// run runs a program to its end and returns what it printed.
func run(ctx context.Context, t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
