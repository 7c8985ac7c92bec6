package process

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseCPU(t *testing.T) {
	got, err := parseCPU("7 (a (odd) name) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1")
	if err != nil || got != 3*time.Second {
		t.Errorf("got %v, %v, want 3s", got, err)
	}
	if _, err := parseCPU("7 (x) S"); err == nil {
		t.Error("no error for a short line")
	}
}

func TestLife(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := filepath.Join(t.TempDir(), "log")
	start := func(script string) *Process {
		t.Helper()
		p, err := Start(ctx, "/bin/sh", &Options{Args: []string{"-c", script}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}

	p := start("while :; do :; done")
	for u := (Usage{}); u.CPU == 0; {
		var err error
		if u, err = p.Usage(); err != nil || u.RSS <= 0 || u.PeakRSS < u.RSS {
			t.Fatalf("usage %+v, %v", u, err)
		}
	}
	if err := p.Kill(); err != nil || p.Running() {
		t.Fatalf("kill: %v, running %v", err, p.Running())
	}

	p = start("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done")
	short, cancelShort := context.WithCancel(ctx)
	defer cancelShort()
	asked := 0
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if printed, _ := os.ReadFile(log); strings.Contains(string(printed), "up\n") { // it has set its trap
			if asked++; asked == 3 {
				cancelShort() // in the middle of a request
			}
		}
		http.NotFound(w, r)
	}))
	defer refuses.Close()
	if err := p.WaitReady(short, refuses.URL); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("not ready: %v, want the last answer in it", err)
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}

	p = start("echo because; exit 3")
	if err := p.WaitReady(ctx, refuses.URL); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("ended early: %v, want its log in it", err)
	}
}

func TestDebianNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Debian(t.Context(), "no-such-server"); err == nil || !strings.Contains(err.Error(), "no-such-server is not installed") {
		t.Errorf("%v, want the name in it", err)
	}
}

// TestFreeAddr: ports are not those that the system gives to others.
func TestFreeAddr(t *testing.T) {
	for range 200 {
		addr, err := FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		first, last := portsOfSystem()
		if err != nil || n >= first && n <= last && (first > 12_000 || last < 63_000) {
			t.Fatalf("%s (%v), and the system has %d to %d", addr, err, first, last)
		}
	}
	for want, c := range map[[2]int][2]int{
		{10_000, 32_767}: {32_768, 60_999}, {61_001, 65_535}: {9000, 61_000}, {1024, 65_535}: {1024, 65_535}, {10_000, 11_999}: {12_000, 65_535},
	} {
		if first, last := portsBeside(c[0], c[1]); first != want[0] || last != want[1] {
			t.Errorf("beside %v lie %d to %d, want %v", c, first, last, want)
		}
	}
}
