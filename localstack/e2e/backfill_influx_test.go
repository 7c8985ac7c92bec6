//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
	"github.com/varvedb/varve/localstack/process"
)

// TestBackfillInflux gives Debian's InfluxDB 1.6 points of each type of field, in two databases and three retention policies, some of which lie in
// its log when it is killed, exports them with influx_inspect, and takes over the file.
func TestBackfillInflux(t *testing.T) {
	influxd, inspect, err := emulator.Influx(t.Context())
	if errors.Is(err, emulator.ErrNoTool) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	want := fillInflux(t, influxd, dir)
	for _, c := range []struct{ name, file, flag string }{{"file", "export.lp", ""}, {"compressed", "export.lp.gz", "-compress"}} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(dir, c.file)
			args := []string{"export", "-datadir", filepath.Join(dir, "data"), "-waldir", filepath.Join(dir, "wal"), "-out", file}
			if c.flag != "" {
				args = append(args, c.flag)
			}
			if out, err := exec.CommandContext(t.Context(), inspect, args...).CombinedOutput(); err != nil {
				t.Fatalf("influx_inspect %v: %v\n%s", args, err, out)
			}
			b := fileBucket(t)
			for range 2 {
				r := summaryOf(t, varve(t, b, "backfill", "--bucket", b.url, "--json", "--from", "influx", file))
				if len(r.Skipped) != 1 || r.Skipped["samples"] != 1 {
					t.Errorf("it left out %v, want one field of text", r.Skipped)
				}
				requireHolds(t, b, want)
			}
		})
	}
}

// fillInflux runs an InfluxDB on a directory until it has all points, the second half of them in its log only.
func fillInflux(t *testing.T, influxd, dir string) contents {
	t.Helper()
	addr, err := process.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(t.Context(), influxd, &process.Options{
		Args: []string{"run", "-config", "/dev/null"},
		Env: []string{
			"INFLUXDB_META_DIR=" + filepath.Join(dir, "meta"), "INFLUXDB_DATA_DIR=" + filepath.Join(dir, "data"), "INFLUXDB_DATA_WAL_DIR=" + filepath.Join(dir, "wal"),
			"INFLUXDB_HTTP_BIND_ADDRESS=" + addr, "INFLUXDB_BIND_ADDRESS=127.0.0.1:0", "INFLUXDB_REPORTING_DISABLED=true", "INFLUXDB_MONITOR_STORE_ENABLED=false",
			"INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION=1s",
		},
		Log: filepath.Join(dir, "influxd.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
	})
	base := "http://" + addr
	if err := p.WaitReady(t.Context(), base+"/query?q="+url.QueryEscape("SHOW DATABASES")); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		`CREATE DATABASE telegraf`, `CREATE DATABASE "my weather"`,
		`CREATE RETENTION POLICY long ON telegraf DURATION INF REPLICATION 1`, `CREATE RETENTION POLICY "a b" ON "my weather" DURATION INF REPLICATION 1 DEFAULT`,
	} {
		influxCall(t, base+"/query?q="+url.QueryEscape(q), "")
	}
	rng, want := random(t), contents{}
	n := long(12, 3) * 24 * 60
	from := time.Now().Add(-time.Duration(n) * time.Minute).Truncate(time.Minute)
	for half := range 2 {
		for _, target := range []struct{ db, rp string }{{"telegraf", "autogen"}, {"telegraf", "long"}, {"my weather", "a b"}} {
			lines := influxPoints(rng, want, target.db, target.rp, from.Add(time.Duration(half*n/2)*time.Minute), n/2)
			influxCall(t, base+"/write?"+url.Values{"db": {target.db}, "rp": {target.rp}}.Encode(), lines)
		}
		if half == 0 {
			awaitFiles(t, filepath.Join(dir, "data", "*", "*", "*", "*.tsm"))
		}
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	return want
}

// influxPoints are lines with a field of each type, a minute apart, and adds what they mean to want.
func influxPoints(rng *rand.Rand, want contents, db, rp string, from time.Time, n int) string {
	var b strings.Builder
	for i := range n {
		at := from.Add(time.Duration(i) * time.Minute)
		for host := range 2 {
			load, jobs, up := math.Round(rng.NormFloat64()*1e6)/1e3, rng.Int64N(1<<53)-1<<52, rng.IntN(2)
			fmt.Fprintf(&b, `sys\ tem,host=h%d,ro\=om=a\ b\,c load=%v,jobs=%di,up=%t,note="text, \"quoted\" no %d" %d`+"\n", host, load, jobs, up == 1, i, at.UnixNano()+rng.Int64N(1e6))
			for field, v := range map[string]float64{"load": load, "jobs": float64(jobs), "up": float64(up)} {
				m := map[string]string{"__name__": "sys tem_" + field, "host": fmt.Sprint("h", host), "ro=om": "a b,c", "db": db}
				if rp != "autogen" {
					m["rp"] = rp
				}
				key := keyOf(m)
				want[key] = append(want[key], point{at.UnixMilli(), math.Float64bits(v)})
			}
		}
	}
	return b.String()
}

func influxCall(t *testing.T, to, body string) {
	t.Helper()
	status, answer, err := call(t.Context(), http.MethodPost, to, nil, strings.NewReader(body))
	if err != nil || status/100 != 2 || strings.Contains(string(answer), `"error"`) {
		t.Fatalf("%s: %d, %v: %.300s", to, status, err, answer)
	}
}

// awaitFiles waits until there is a file of such a name.
func awaitFiles(t *testing.T, pattern string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s", pattern)
		}
	}
}
