//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// TestLocalstack is what make localstack does: everything answers, and a SIGTERM ends all that was started.
func TestLocalstack(t *testing.T) {
	dir := t.TempDir()
	up, log := filepath.Join(dir, "localstack"), filepath.Join(dir, "log")
	build := exec.Command("go", "build", "-o", up, "./localstack/up")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p, err := process.Start(t.Context(), up, &process.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	text := waitPrinted(t, p, log, "\nready")
	if !strings.Contains(text, "VARVE_LAMBDA_URL=") {
		t.Skipf("no S3 server, so no Lambda:\n%s", text)
	}
	for _, name := range []string{"VARVE_LAMBDA_URL", "VARVE_LAMBDA_HTTP_API"} {
		url := regexp.MustCompile(name + "=(.*)").FindStringSubmatch(text)[1]
		status, body, err := call(t.Context(), http.MethodGet, url+"/api/v1/query?query=up", nil, nil)
		if err != nil || status != http.StatusOK {
			t.Errorf("%s: %d, %v: %.300s", name, status, err, body)
		}
	}
	children := childrenOf(t, p.Pid())
	if len(children) < 2 {
		t.Errorf("its children are %v, want at least a store and a function", children)
	}
	if err := p.Stop(2 * time.Minute); err != nil {
		t.Error(err)
	}
	for _, pid := range children {
		if _, err := os.Stat("/proc/" + pid); err == nil {
			t.Errorf("process %s is left", pid)
		}
	}
}

// waitPrinted waits until the process has printed the text, and returns all that it printed.
func waitPrinted(t *testing.T, p *process.Process, log, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // it builds programs
	defer cancel()
	for {
		raw, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), want) {
			return string(raw)
		}
		select {
		case <-p.Done():
			t.Fatalf("it ended:\n%s", raw)
		case <-ctx.Done():
			t.Fatalf("it has printed no %q:\n%s", want, raw)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// childrenOf are the processes that a process has started, by /proc.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		out = append(out, strings.Fields(string(raw))...)
	}
	return out
}
