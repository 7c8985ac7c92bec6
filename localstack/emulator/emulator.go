// Package emulator starts servers that speak the protocols of the clouds' object
// stores, on loopback, for tests: versitygw (S3), fake-gcs-server (GCS) and Azurite (Azure Blob).
//
// The programs are built, or for Azurite installed with npm, on first use and kept in
// .tools/ at the root of the checkout (VARVE_TOOLS names another place); the versions are pinned in localstack/tools and here.
// Several processes may ask for the same program at once. A backend whose program a machine cannot have fails with
// ErrNoTool, and tests skip it by name.
//
// A Server is one process with an empty store, gone with it. Whoever starts one closes it. Safe for concurrent use.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// Kind is a backend, named as its URL scheme.
type Kind string

// The backends.
const (
	S3    Kind = "s3"
	GCS   Kind = "gs"
	Azure Kind = "azblob"
)

// Kinds returns all backends.
func Kinds() []Kind { return []Kind{S3, GCS, Azure} }

// Server is a running emulator.
type Server struct {
	Kind Kind
	// Env is what a process needs in its environment to use the server.
	Env []string

	backend backend
	addr    string
	dir     string // scratch, removed at Close
	process *process.Process
}

// backend is what differs between the emulators.
type backend interface {
	// command returns the program and its arguments to serve at addr, with scratch files in dir.
	command(ctx context.Context, addr, dir string) (path string, opts process.Options, err error)
	// env is for the clients.
	env() []string
	// create makes a bucket.
	create(ctx context.Context, addr, dir, name string) error
	// url is the Varve URL of a bucket.
	url(addr, name string) string
}

func backendOf(k Kind) (backend, error) {
	switch k {
	case S3:
		return versity{}, nil
	case GCS:
		return fakeGCS{}, nil
	case Azure:
		return azurite{}, nil
	}
	return nil, fmt.Errorf("no emulator for %q", k)
}

// startTries is how often a server is started: another process may take the free port first.
const startTries = 3

// Start starts an emulator and waits until it answers. It is killed when ctx ends, or by Close. An error may be ErrNoTool.
func Start(ctx context.Context, k Kind) (*Server, error) {
	b, err := backendOf(k)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		s := &Server{Kind: k, backend: b, Env: b.env()}
		err := s.start(ctx)
		if err == nil {
			return s, nil
		}
		if cerr := s.Close(); cerr != nil || try == startTries || errors.Is(err, ErrNoTool) {
			return nil, fmt.Errorf("start %s emulator: %w", k, errors.Join(err, cerr))
		}
	}
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "varve-emulator-"); err != nil {
		return err
	}
	if s.addr, err = process.FreeAddr(); err != nil {
		return err
	}
	path, opts, err := s.backend.command(ctx, s.addr, s.dir)
	if err != nil {
		return err
	}
	opts.Log = filepath.Join(s.dir, "log")
	if s.process, err = process.Start(ctx, path, &opts); err != nil {
		return err
	}
	return s.waitListening(ctx)
}

// startTimeout is long because several suites start at once on small machines.
const startTimeout = time.Minute

func (s *Server) waitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", s.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.process.Done():
			return fmt.Errorf("it ended at once: %s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("not listening after %s: %s", startTimeout, s.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// Addr is the host and port of the server.
func (s *Server) Addr() string { return s.addr }

// Bucket makes an empty bucket and returns its URL, for a process that has Env in its environment.
func (s *Server) Bucket(ctx context.Context, name string) (string, error) {
	if err := s.backend.create(ctx, s.addr, s.dir, name); err != nil {
		return "", fmt.Errorf("make bucket %s: %w", name, err)
	}
	return s.backend.url(s.addr, name), nil
}

// Close kills the server and removes what it kept.
func (s *Server) Close() error {
	var err error
	if s.process != nil {
		err = s.process.Kill()
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// ForTest starts an emulator for a test, puts its Env into the environment and ends it with the test. Where the
// program cannot be had it skips the test by name.
func ForTest(t testing.TB, k Kind) *Server {
	t.Helper()
	s, err := Start(t.Context(), k)
	if errors.Is(err, ErrNoTool) {
		t.Skipf("SKIPPED BACKEND %s: %v", k, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close %s emulator: %v", k, err)
		}
	})
	for _, kv := range s.Env {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	return s
}
