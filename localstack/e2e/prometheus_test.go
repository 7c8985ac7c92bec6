//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// needDebian finds the binaries of Debian packages of the same name; as root it installs what is missing.
func needDebian(t *testing.T, packages ...string) {
	t.Helper()
	for _, name := range packages {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		apt, err := exec.LookPath("apt-get")
		if err != nil || os.Geteuid() != 0 {
			t.Skipf("SKIPPED: %s is not installed, and it takes root and apt-get to do so", name)
		}
		for _, args := range [][]string{{"-qq", "update"}, {"-qq", "install", "-y", "--no-install-recommends", name}} {
			cmd := exec.CommandContext(t.Context(), apt, args...)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("SKIPPED: %s cannot be installed: apt-get %v: %v\n%s", name, args, err, out)
			}
		}
	}
}

// A prometheus scrapes itself and a node exporter every second and remote-writes to servers.
type prometheus struct {
	t       *testing.T
	addr    string
	config  string
	p       *process.Process
	began   time.Time
	servers []*server
	node    *nodeExporter
}

func startPrometheus(t *testing.T, servers []*server) *prometheus {
	t.Helper()
	needDebian(t, "prometheus", "prometheus-node-exporter")
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &prometheus{t: t, addr: addr, config: filepath.Join(dir, "prometheus.yml"), began: time.Now(), servers: servers, node: startNodeExporter(t)}
	p.writeConfig(true)
	p.p, err = process.Start(t.Context(), "prometheus", &process.Options{
		Args: []string{"--config.file=" + p.config, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr},
		Log:  filepath.Join(dir, "prometheus.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.p.Kill(); err != nil {
			t.Error(err)
		}
	})
	if err := p.p.WaitReady(t.Context(), p.url("/-/ready")); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *prometheus) url(path string) string { return "http://" + p.addr + path }

// writeConfig writes the configuration, with or without targets. The jobs stay, because series of a job that is gone get no
// staleness markers; and the remote write part stays the same to the byte, so that a reload keeps its queues.
func (p *prometheus) writeConfig(scrape bool) {
	p.t.Helper()
	var b strings.Builder
	b.WriteString("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n")
	b.WriteString("scrape_configs:\n")
	for job, target := range map[string]string{"prometheus": p.addr, "node": p.node.addr} {
		fmt.Fprintf(&b, "  - job_name: %s\n", job)
		if scrape {
			fmt.Fprintf(&b, "    static_configs: [{targets: ['%s']}]\n", target)
		}
	}
	b.WriteString("remote_write:\n")
	for _, s := range p.servers {
		fmt.Fprintf(&b, "  - name: %s\n    url: %s\n    queue_config: {max_shards: 4, batch_send_deadline: 1s, min_backoff: 30ms, max_backoff: 1s}\n", s.name, s.url("/api/v1/write"))
	}
	if err := os.WriteFile(p.config, []byte(b.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// stopScraping takes the targets away, which makes Prometheus write a staleness marker to every series, and waits
// until all it has is sent to every server.
func (p *prometheus) stopScraping() {
	p.t.Helper()
	p.writeConfig(false)
	if err := p.p.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
	deadline := time.Now().Add(3 * time.Minute)
	for p.targets() > 0 {
		time.Sleep(200 * time.Millisecond)
		if time.Now().After(deadline) {
			p.t.Fatal("Prometheus does not let its targets go")
		}
	}
	// The markers come two intervals after the last scrape.
	for calm, before := 0, -1.0; calm < 6; time.Sleep(time.Second) {
		in, behind := p.backlog()
		if behind == 0 && in == before {
			calm++
		} else {
			calm = 0
		}
		if before = in; time.Now().After(deadline) {
			p.t.Fatalf("Prometheus has still %v samples to send", behind)
		}
	}
}

// targets is how many targets Prometheus scrapes.
func (p *prometheus) targets() float64 {
	p.t.Helper()
	_, body, err := call(p.t.Context(), http.MethodGet, p.url("/metrics"), nil, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	n, ok := sumMetric(string(body), "prometheus_target_scrape_pool_targets")
	if !ok {
		p.t.Fatal("Prometheus does not say how many targets it has")
	}
	return n
}

// backlog returns the samples that Prometheus has stored, and how many of them some server has not got yet.
func (p *prometheus) backlog() (in, behind float64) {
	p.t.Helper()
	_, body, err := call(p.t.Context(), http.MethodGet, p.url("/metrics"), nil, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(body)
	in, ok := sumMetric(text, "prometheus_remote_storage_samples_in_total")
	if !ok {
		p.t.Fatal("Prometheus does not say how many samples it has")
	}
	for _, s := range p.servers {
		remote := fmt.Sprintf("remote_name=%q", s.name)
		sent, _ := sumMetric(text, "prometheus_remote_storage_samples_total", remote)
		failed, _ := sumMetric(text, "prometheus_remote_storage_samples_failed_total", remote)
		dropped, _ := sumMetric(text, "prometheus_remote_storage_samples_dropped_total", remote)
		if failed > 0 || dropped > 0 {
			p.t.Fatalf("Prometheus gave up: %v samples failed, %v dropped for %s", failed, dropped, s.name)
		}
		behind = max(behind, in-sent)
	}
	return in, behind
}

// contents reads everything that Prometheus stored, to the bit.
func (p *prometheus) contents(end time.Time) contents {
	p.t.Helper()
	return remoteRead(p.t, p.url(""), p.began.Add(-time.Hour), end)
}
