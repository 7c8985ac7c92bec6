//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/varvedb/varve/localstack/process"
)

// TestBackfillVictoria gives Debian's VictoriaMetrics some days of samples, exports them with its own /api/v1/export, and takes over the file, plain,
// compressed and from standard input, and what the running server exports.
func TestBackfillVictoria(t *testing.T) {
	needDebian(t, "victoria-metrics")
	base, want := startVictoria(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "export.jsonl")
	text := exportVictoria(t, base)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".zst", z.EncodeAll(text, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("file", func(t *testing.T) { backfillTwice(t, fileBucket(t), want, "--from", "victoria", file) })
	t.Run("compressed", func(t *testing.T) {
		// So little memory that it is sorted on disk.
		backfillTwice(t, fileBucket(t), want, "--from", "victoria", "--sort-memory", "1", "--temp-dir", dir, file+".zst")
	})
	t.Run("live", func(t *testing.T) {
		start := time.Now().UTC().Add(-30 * 24 * time.Hour).Format(time.RFC3339)
		b := fileBucket(t)
		backfill(t, b, "--from", "victoria", "--start", start, base)
		requireHolds(t, b, want)
		backfill(t, b, "--from", "victoria", "--start", start, base)
		requireHolds(t, b, want)
	})
	t.Run("standard input", func(t *testing.T) {
		b := fileBucket(t)
		cmd := exec.CommandContext(t.Context(), program, "backfill", "--bucket", b.url, "--json", "--from", "victoria", "-")
		cmd.Stdin = bytes.NewReader(text)
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Fatalf("%v: %s", err, exit.Stderr)
			}
			t.Fatal(err)
		}
		if r := summaryOf(t, string(out)); len(r.Skipped) > 0 {
			t.Errorf("it left out %v", r.Skipped)
		}
		requireHolds(t, b, want)
	})
}

// startVictoria starts a VictoriaMetrics that has got some days, and returns what it has: as it keeps decimals, what it was given has few digits.
func startVictoria(t *testing.T) (base string, want contents) {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := process.Start(t.Context(), "victoria-metrics", &process.Options{
		Args: []string{"-httpListenAddr=" + addr, "-storageDataPath=" + filepath.Join(dir, "data"), "-retentionPeriod=100y"},
		Log:  filepath.Join(dir, "victoria.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	base = "http://" + addr
	if err := p.WaitReady(t.Context(), base+"/health"); err != nil {
		t.Fatal(err)
	}
	lines, text, want := victoriaPast(random(t), time.Now().Add(-time.Hour), long(12, 3))
	for _, c := range []struct{ path, body string }{{"/api/v1/import", lines}, {"/api/v1/import/prometheus", text}, {"/internal/force_flush", ""}} {
		status, body, err := call(t.Context(), http.MethodPost, base+c.path, nil, strings.NewReader(c.body))
		if err != nil || status/100 != 2 {
			t.Fatalf("%s: %d, %v: %.300s", c.path, status, err, body)
		}
	}
	return base, want
}

// victoriaPast are lines of /api/v1/import, and in text what they cannot say; and what both mean.
func victoriaPast(rng *rand.Rand, end time.Time, days int) (lines, text string, want contents) {
	kinds := []func(n int, before float64) float64{
		func(_ int, before float64) float64 { return before + float64(rng.IntN(1000)) },
		func(int, float64) float64 { return float64(rng.IntN(20_000)-10_000) / 100 },
		func(int, float64) float64 { return 1 },
		func(int, float64) float64 { return float64(rng.IntN(1000)) * 1e12 },
	}
	want = contents{}
	var b strings.Builder
	for i := range 20 {
		m := map[string]string{"__name__": fmt.Sprintf("victoria_%d", i%len(kinds)), "i": fmt.Sprint(i), "job": "αβ \"\\\n"}
		var values []float64
		var times []int64
		var points []point
		v := 0.0
		at := end.Add(-time.Duration(days) * 24 * time.Hour).UnixMilli()
		for n := 0; at < end.UnixMilli(); n++ {
			at += int64(30_000 + rng.IntN(60_000))
			v = kinds[i%len(kinds)](n, v)
			values, times, points = append(values, v), append(times, at), append(points, point{at, math.Float64bits(v)})
		}
		line, err := json.Marshal(map[string]any{"metric": m, "values": values, "timestamps": times})
		if err != nil {
			panic(err) // strings and numbers
		}
		b.Write(append(line, '\n'))
		want[keyOf(m)] = points
	}
	odd := map[string]string{"__name__": "victoria_infinite", "i": "0"}
	for n := range 500 {
		at := end.Add(time.Duration(n-500) * time.Minute).UnixMilli()
		v := []float64{0, math.Inf(1), math.Inf(-1), -5}[n%4]
		text += fmt.Sprintf("victoria_infinite{i=\"0\"} %v %d\n", v, at)
		want[keyOf(odd)] = append(want[keyOf(odd)], point{at, math.Float64bits(v)})
	}
	return b.String(), text, want
}

// exportVictoria exports everything.
func exportVictoria(t *testing.T, base string) []byte {
	t.Helper()
	form := url.Values{"match[]": {`{__name__!=""}`}}
	header := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	status, body, err := call(t.Context(), http.MethodPost, base+"/api/v1/export", header, strings.NewReader(form.Encode()))
	if err != nil || status != http.StatusOK || len(body) == 0 {
		t.Fatalf("export: %d, %v, %d bytes: %.300s", status, err, len(body), body)
	}
	return body
}
