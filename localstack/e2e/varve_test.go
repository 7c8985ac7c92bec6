//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// A server is one data directory and the process that runs on it, now and after each kill.
type server struct {
	t       *testing.T
	name    string
	bucket  bucket
	dataDir string
	addr    string
	args    []string
	log     string

	mu sync.Mutex // guards p
	p  *process.Process
}

// startServer starts varve serve on an empty data directory and waits until it is ready. It is stopped with the test.
func startServer(t *testing.T, name string, b bucket, args ...string) *server {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, name: name, bucket: b, dataDir: t.TempDir(), addr: addr, args: args, log: filepath.Join(t.TempDir(), name+".log")}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p := s.process(); p.Running() {
			if err := p.Kill(); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			s.showLog()
		}
	})
	return s
}

// start starts the process on the server's directory, which may hold what a killed one left.
func (s *server) start() error {
	args := append([]string{"serve", "--listen", s.addr, "--bucket", s.bucket.url, "--data-dir", s.dataDir, "--self-scrape=false"}, s.args...)
	p, err := process.Start(s.t.Context(), program, &process.Options{Args: args, Env: s.bucket.env, Log: s.log})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.p = p
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	return p.WaitReady(ctx, s.url("/-/ready"))
}

func (s *server) process() *process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// kill is kill -9.
func (s *server) kill() {
	s.t.Helper()
	if err := s.process().Kill(); err != nil {
		s.t.Fatal(err)
	}
}

// stop asks the process to flush and leave.
func (s *server) stop() {
	s.t.Helper()
	if err := s.process().Stop(5 * time.Minute); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) url(path string) string { return "http://" + s.addr + path }

// flush asks the server to commit all that it holds.
func (s *server) flush(ctx context.Context) error {
	status, body, err := call(ctx, http.MethodPost, s.url("/api/v1/admin/tsdb/flush"), nil, nil)
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("status %d: %s", status, body)
	}
	if err != nil {
		return fmt.Errorf("flush %s: %w", s.name, err)
	}
	return nil
}

// metric adds up the series of one of the server's own metrics whose lines contain each of the parts.
func (s *server) metric(name string, parts ...string) float64 {
	s.t.Helper()
	status, body, err := call(s.t.Context(), http.MethodGet, s.url("/metrics"), nil, nil)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("metrics of %s: %d, %v", s.name, status, err)
	}
	sum, found := sumMetric(string(body), name, parts...)
	if !found {
		s.t.Fatalf("%s has no metric %s %v", s.name, name, parts)
	}
	return sum
}

// sumMetric reads Prometheus' text format as far as these checks need it.
func sumMetric(text, name string, parts ...string) (sum float64, found bool) {
lines:
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != '{' && rest[0] != ' ') {
			continue
		}
		for _, p := range parts {
			if !strings.Contains(rest, p) {
				continue lines
			}
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err == nil {
			sum += v
			found = true
		}
	}
	return sum, found
}

// showLog prints the end of the server's log, for failed tests.
func (s *server) showLog() {
	data, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Log(err)
		return
	}
	lines := strings.Split(string(data), "\n")
	s.t.Logf("log of %s ends with:\n%s", s.name, strings.Join(lines[max(0, len(lines)-30):], "\n"))
}

// logged reports whether the server has ever written the text to its log.
func (s *server) logged(text string) bool {
	data, err := os.ReadFile(s.log)
	return err == nil && strings.Contains(string(data), text)
}

var client = &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// call makes a request and reads the whole answer.
func call(ctx context.Context, method, url string, header map[string]string, body io.Reader) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 1<<30))
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

// varve runs a subcommand to its end and returns what it printed.
func varve(t *testing.T, b bucket, args ...string) string {
	t.Helper()
	out, err := runVarve(t, b, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
