//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/process"
)

// TestExport gives a server some days of series of every kind and writes them in the forms of others, which their own tools then read: all that a form can hold
// comes out to the bit.
func TestExport(t *testing.T) {
	needDebian(t, "prometheus", "victoria-metrics")
	p := newPast(random(t), time.Now().Add(-2*time.Minute), long(8, 3))
	b := fileBucket(t)
	s := startServer(t, "export", b)
	p.write(t, s.url("/api/v1/write"))
	testExportBeside(t, b)
	s.stop()
	varve(t, b, "lifecycle", "--bucket", b.url, "--once", "--compact-settle", "0s")
	e := &exported{b: b, past: p, want: p.contents(), dir: t.TempDir()}
	t.Run("blocks of a day", func(t *testing.T) { e.testBlocks(t, "24h") })
	t.Run("blocks of two hours", func(t *testing.T) { e.testBlocks(t, "2h") })
	t.Run("openmetrics", e.testOpenMetrics)
	t.Run("jsonl", e.testVictoria)
	t.Run("another bucket", func(t *testing.T) {
		backfillTwice(t, fileBucket(t), e.want, "--from", "varve", b.url)
	})
}

// exported is a bucket that is written in other forms, and what is in it.
type exported struct {
	b    bucket
	past *past
	want contents
	dir  string
}

type exportSummary struct {
	Samples int64            `json:"samples"`
	Files   int              `json:"files"`
	Left    map[string]int64 `json:"left_out"`
	Skipped map[string]int64 `json:"skipped"`
}

func runExport(t *testing.T, b bucket, args ...string) exportSummary {
	t.Helper()
	out := varve(t, b, append([]string{"export", "--bucket", b.url, "--json"}, args...)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var last struct{ Summary *exportSummary }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Summary == nil {
		t.Fatalf("no summary (%v) in %.1000s", err, out)
	}
	return *last.Summary
}

// testExportBeside: a server that keeps its log for itself is named, as what it holds is not in the export.
func testExportBeside(t *testing.T, b bucket) {
	t.Helper()
	out, err := runVarve(t, b, "export", "--bucket", b.url, "--to", "jsonl", "--dry-run")
	if err != nil || !strings.Contains(out, "does not ship its log") {
		t.Errorf("%v: the server is not named: %s", err, out)
	}
	if _, err := runVarve(t, b, "export", "--bucket", b.url, "--to", "jsonl", "--dry-run", "--strict"); err == nil {
		t.Error("a strict export goes on without the log of a server")
	}
}

// testBlocks has promtool and a Prometheus of its own read the blocks, and takes them over again.
func (e *exported) testBlocks(t *testing.T, duration string) {
	dir := filepath.Join(e.dir, "tsdb"+duration)
	args := []string{"--to", "tsdb", "--out", dir, "--block-duration", duration}
	r := runExport(t, e.b, args...)
	if _, samples, _ := e.want.count(); r.Samples != int64(samples) || len(r.Left)+len(r.Skipped) > 0 {
		t.Errorf("%d samples, want %d; left %v, skipped %v", r.Samples, samples, r.Left, r.Skipped)
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "tsdb", "list", dir).CombinedOutput()
	if err != nil || strings.Count(string(out), "\n") != r.Files+1 {
		t.Errorf("promtool lists, %v, of %d blocks: %s", err, r.Files, out)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "tsdb", "analyze", dir).CombinedOutput(); err != nil {
		t.Errorf("promtool analyze: %v: %s", err, out)
	}
	backfillTwice(t, fileBucket(t), e.want, "--from", "prometheus", dir)
	if _, err := runVarve(t, e.b, append([]string{"export", "--bucket", e.b.url}, args...)...); err == nil {
		t.Error("a second export goes over the first one")
	}
	requireEqual(t, "what Prometheus reads", e.want, e.askPrometheus(t, dir), false)
}

// askPrometheus starts a Prometheus on a data directory, and reads all that it has.
func (e *exported) askPrometheus(t *testing.T, dir string) contents {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(t.Context(), "prometheus", &process.Options{
		Args: []string{
			"--config.file=" + config, "--storage.tsdb.path=" + dir, "--storage.tsdb.retention.time=10y", "--web.listen-address=" + addr,
			"--enable-feature=native-histograms",
		},
		Log: filepath.Join(t.TempDir(), "prometheus.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.WaitReady(t.Context(), "http://"+addr+"/-/ready"); err != nil {
		t.Fatal(err)
	}
	return remoteReadChunks(t, "http://"+addr, e.past.from.Add(-time.Hour), time.Now())
}

// plain is what text can hold: no histograms, and no staleness markers.
func (e *exported) plain() contents {
	out := maps.Clone(e.want)
	for key := range out {
		if strings.Contains(key, "past_seconds") || strings.Contains(key, "past_float_seconds") {
			delete(out, key)
		}
	}
	return out.withoutStale()
}

// testOpenMetrics has promtool make blocks of the text.
func (e *exported) testOpenMetrics(t *testing.T) {
	file := filepath.Join(e.dir, "text.om")
	r := runExport(t, e.b, "--to", "openmetrics", "--out", file)
	if len(r.Skipped) > 0 || r.Left["native histograms"] == 0 || r.Left["stale markers"] == 0 {
		t.Errorf("left %v, skipped %v", r.Left, r.Skipped)
	}
	dir := filepath.Join(e.dir, "from-text")
	out, err := exec.CommandContext(t.Context(), "promtool", "tsdb", "create-blocks-from", "openmetrics", file, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool: %v: %s", err, out)
	}
	b := fileBucket(t)
	backfill(t, b, "--from", "prometheus", dir)
	requireEqual(t, "what promtool reads", e.plain(), readBucket(t, b).contents, true)
}

// testVictoria imports lines into a VictoriaMetrics, and reads what it exports again. It keeps decimals, so only series with few digits are compared.
func (e *exported) testVictoria(t *testing.T) {
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(t.Context(), "victoria-metrics", &process.Options{
		Args: []string{"-httpListenAddr=" + addr, "-storageDataPath=" + filepath.Join(t.TempDir(), "data"), "-retentionPeriod=100y"},
		Log:  filepath.Join(t.TempDir(), "victoria.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	}()
	base := "http://" + addr
	if err := p.WaitReady(t.Context(), base+"/health"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(e.dir, "lines.jsonl")
	runExport(t, e.b, "--to", "jsonl", "--out", file, "--match", `{__name__=~"past_(gauge|total|constant|up|sparse)"}`)
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	if status, answer, err := call(t.Context(), http.MethodPost, base+"/api/v1/import", nil, text); err != nil || status/100 != 2 {
		t.Fatalf("import: %d, %v: %.300s", status, err, answer)
	}
	if status, _, err := call(t.Context(), http.MethodPost, base+"/internal/force_flush", nil, nil); err != nil || status/100 != 2 {
		t.Fatal(status, err)
	}
	back := filepath.Join(e.dir, "back.jsonl")
	if err := os.WriteFile(back, exportVictoria(t, base), 0o600); err != nil {
		t.Fatal(err)
	}
	b := fileBucket(t)
	backfill(t, b, "--from", "victoria", back)
	want := contents{}
	for key, points := range e.plain() {
		if !strings.Contains(key, "past_random") && !strings.Contains(key, "past_odd") {
			want[key] = points
		}
	}
	requireEqual(t, "what VictoriaMetrics has", want, readBucket(t, b).contents, false)
}
