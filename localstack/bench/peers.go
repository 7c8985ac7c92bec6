package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/varvedb/varve/localstack/process"
)

// A peerKind is a server to compare with. Debian's package and program have the same name.
type peerKind struct {
	program, title string
	// prepare fills in how to run it at addr in an empty directory.
	prepare func(s *server, addr string) error
	// weigh are patterns of the directories that hold samples and index after the flush.
	weigh []string
}

var peerKinds = []*peerKind{
	{"prometheus", "Prometheus", prometheusServer, []string{"data/snapshots/*"}},
	{"victoria-metrics", "VictoriaMetrics", victoriaServer, []string{"data/data", "data/indexdb"}},
}

func prometheusServer(s *server, addr string) error {
	config := filepath.Join(s.dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("scrape_configs: []\n"), 0o600); err != nil {
		return err
	}
	s.args = []string{
		"--config.file=" + config, "--web.listen-address=" + addr, "--storage.tsdb.path=" + filepath.Join(s.dir, "data"),
		"--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver", "--web.enable-admin-api",
	}
	s.ready, s.flush = "/-/ready", "/api/v1/admin/tsdb/snapshot"
	return nil
}

func victoriaServer(s *server, addr string) error {
	s.args = []string{"-httpListenAddr=" + addr, "-storageDataPath=" + filepath.Join(s.dir, "data"), "-retentionPeriod=100y"}
	s.ready, s.flush = "/health", "/internal/force_flush"
	s.parameters = url.Values{"nocache": {"1"}}
	return nil
}

// measurePeers gives each peer that can be had the load, one after the other. A peer that fails is left out by name.
func measurePeers(ctx context.Context, o *options, l *load, r *report, say func(string, ...any)) error {
	for _, kind := range peerKinds {
		p, err := kind.measure(ctx, o, l, say)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			say("skipped: %v", err)
			r.Skipped = append(r.Skipped, err.Error())
			continue
		}
		for i, q := range p.Queries {
			if want := r.Queries[i].Series; q.Series != want {
				say("%s: %s: %d series in the answer, Varve has %d", kind.program, q.Name, q.Series, want)
			}
		}
		r.Peers = append(r.Peers, *p)
	}
	return nil
}

func (k *peerKind) measure(ctx context.Context, o *options, l *load, say func(string, ...any)) (*peer, error) {
	bin, err := process.Debian(ctx, k.program)
	if err != nil {
		return nil, err
	}
	p := &peer{Name: k.title, Version: version(ctx, bin)}
	addr, err := process.FreeAddr()
	if err != nil {
		return nil, err
	}
	s := &server{name: k.program, bin: bin, dir: filepath.Join(o.dir, k.program)}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of %s: %w", k.program, err)
	}
	if err := k.prepare(s, addr); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", k.program, err)
	}
	if err := s.load(ctx, o, addr, l, &p.figures, say); err != nil {
		return nil, fmt.Errorf("%s: %w", k.program, err)
	}
	size, err := weighDirs(s.dir, k.weigh)
	if err != nil {
		return nil, fmt.Errorf("weigh %s: %w", k.program, err)
	}
	p.BytesPerSample = float64(size) / float64(l.samples)
	return p, nil
}

// weighDirs adds up the files below the directories that match, of which there must be some.
func weighDirs(dir string, patterns []string) (size int64, err error) {
	for _, pattern := range patterns {
		dirs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return 0, err
		}
		if len(dirs) == 0 {
			return 0, fmt.Errorf("no directory %s", pattern)
		}
		for _, d := range dirs {
			if err := walk(d, func(_, _ string, n int64) error { size += n; return nil }); err != nil {
				return 0, err
			}
		}
	}
	return size, nil
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// version is what dpkg, or else the program, says of its version; empty if neither knows.
func version(ctx context.Context, bin string) string {
	for _, args := range [][]string{{"dpkg-query", "--show", "--showformat=${Version}", filepath.Base(bin)}, {bin, "--version"}} {
		out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if v := versionNumber.Find(out); err == nil && v != nil {
			return string(v)
		}
	}
	return ""
}
