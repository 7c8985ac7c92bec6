//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// TestSurface asks a real server what Grafana and promtool ask, and things that are wrong.
func TestSurface(t *testing.T) {
	s := startServer(t, "surface", fileBucket(t), "--retention", "100y", "--query-timeout", "20s")
	now := time.Now().Truncate(time.Second)
	importText(t, s, wideText(now))
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, *server, time.Time)
	}{
		{"promtool", checkPromtool},
		{"compression", checkCompression},
		{"index", checkIndex},
		{"status", checkStatus},
		{"unknown tenant", checkUnknownTenant},
		{"large body", checkLargeBody},
		{"deadline", checkDeadline},
		{"cancelled", checkCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, s, now) })
	}
}

const wideSeries, wideSamples = 2000, 60

// wideText has some series of one metric, a sample each 15 s up to now.
func wideText(now time.Time) string {
	var b strings.Builder
	for i := range wideSeries {
		for k := range wideSamples {
			fmt.Fprintf(&b, "wide_total{i=\"%04d\",parity=\"%d\"} %d %d\n", i, i%2, k*(i+1), now.Add(time.Duration(k-wideSamples+1)*15*time.Second).UnixMilli())
		}
	}
	return b.String()
}

func importText(t *testing.T, s *server, text string) {
	t.Helper()
	status, body, err := call(t.Context(), http.MethodPost, s.url("/api/v1/import/prometheus"), nil, strings.NewReader(text))
	if err != nil || status/100 != 2 {
		t.Fatalf("import: status %d, %v, %.300s", status, err, body)
	}
}

// checkPromtool runs Debian's promtool.
func checkPromtool(t *testing.T, s *server, now time.Time) {
	if _, err := exec.LookPath("promtool"); err != nil {
		needDebian(t, "prometheus")
	}
	from, to := fmt.Sprint("--start=", now.Add(-time.Minute).Unix()), fmt.Sprint("--end=", now.Unix())
	for _, c := range []struct {
		args []string
		want string
		ok   bool
	}{
		{[]string{"query", "instant", fmt.Sprint("--time=", now.Unix()), s.url(""), "count(wide_total)"}, fmt.Sprint("=> ", wideSeries), true},
		{[]string{"query", "range", from, to, "--step=15s", s.url(""), "count by (parity) (wide_total)"}, fmt.Sprint(wideSeries/2, " @"), true},
		{[]string{"query", "series", from, to, `--match=wide_total{i="0007"}`, s.url("")}, `parity="1"`, true},
		{[]string{"query", "labels", from, to, s.url(""), "parity"}, "0\n1\n", true},
		{[]string{"query", "instant", s.url(""), "sum("}, "1:5: parse error", false},
	} {
		out, err := exec.CommandContext(t.Context(), "promtool", c.args...).CombinedOutput()
		if !strings.Contains(string(out), c.want) || (err == nil) != c.ok {
			t.Errorf("promtool %q: %v, %.400s, want %q", c.args, err, out, c.want)
		}
	}
}

// fetched asks by GET, with headers, and wants a status.
func fetched(t *testing.T, s *server, path string, form url.Values, header map[string]string, want int) (http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url(path)+"?"+form.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %v: status %d, want %d, %v, %.300s", path, form, resp.StatusCode, want, err, body)
	}
	return resp.Header, body
}

// checkCompression wants one envelope under each encoding.
func checkCompression(t *testing.T, s *server, now time.Time) {
	form := url.Values{"query": {"wide_total"}, "time": {fmt.Sprint(now.Unix())}}
	for accept, want := range map[string]string{"": "", "gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "br": "", "zstd;q=0, gzip": "gzip"} {
		h, body := fetched(t, s, "/api/v1/query", form, map[string]string{"Accept-Encoding": accept}, http.StatusOK)
		if got := h.Get("Content-Encoding"); got != want {
			t.Errorf("accepting %q: encoding %q, want %q", accept, got, want)
			continue
		}
		var r io.Reader = bytes.NewReader(body)
		var err error
		switch want {
		case "gzip":
			r, err = gzip.NewReader(r)
		case "zstd":
			r, err = zstd.NewReader(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(r)
		if err != nil || !json.Valid(plain) || bytes.Count(plain, []byte(`"metric"`)) != wideSeries {
			t.Errorf("accepting %q: %v, %.200s", accept, err, plain)
		}
	}
	if h, _ := fetched(t, s, "/api/v1/query", url.Values{"query": {"1"}}, map[string]string{"Accept-Encoding": "gzip"}, http.StatusOK); h.Get("Content-Encoding") != "" {
		t.Error("an answer of a few bytes is compressed")
	}
}

// checkIndex wants what is asked of labels to decode no sample, and limits to warn.
func checkIndex(t *testing.T, s *server, now time.Time) {
	span := func(kv ...string) url.Values {
		v := url.Values{"start": {fmt.Sprint(now.Add(-time.Hour).Unix())}, "end": {fmt.Sprint(now.Unix())}, "explain": {"true"}}
		for i := 0; i < len(kv); i += 2 {
			v.Add(kv[i], kv[i+1])
		}
		return v
	}
	for _, c := range []struct {
		path, match string
		n           int
	}{
		{"/api/v1/series", "wide_total", wideSeries},
		{"/api/v1/labels", "", 3},
		{"/api/v1/labels", "wide_total", 3},
		{"/api/v1/label/i/values", "", wideSeries},
		{"/api/v1/label/i/values", `wide_total{parity="1"}`, wideSeries / 2},
	} {
		for _, limit := range []int{0, 2} {
			form := span()
			if c.match != "" {
				form = span("match[]", c.match)
			}
			want := c.n
			if limit > 0 {
				form.Set("limit", fmt.Sprint(limit))
				want = limit
			}
			h, body := fetched(t, s, c.path, form, nil, http.StatusOK)
			var a answer[[]any]
			if err := json.Unmarshal(body, &a); err != nil || len(a.Data) != want || (len(a.Warnings) > 0) != (limit > 0) {
				t.Errorf("%s %s limit %d: %d of %d, warnings %q, %v", c.path, c.match, limit, len(a.Data), want, a.Warnings, err)
			}
			var e struct {
				Samples int64 `json:"samples"`
				Blocks  int   `json:"blocks"`
			}
			if err := json.Unmarshal([]byte(h.Get("X-Varve-Explain")), &e); err != nil || e.Samples != 0 || e.Blocks == 0 {
				t.Errorf("%s %s: %v, explain %s", c.path, c.match, err, h.Get("X-Varve-Explain"))
			}
		}
	}
}

// checkStatus wants the status pages to be about this server.
func checkStatus(t *testing.T, s *server, _ time.Time) {
	for path, want := range map[string]string{
		"status/flags": `"retention":"100y"`, "status/config": `query-timeout: 20s\n`, "status/runtimeinfo": `"storageRetention":"100y"`, "status/buildinfo": `"goVersion"`,
		"status/tsdb": `"wide_total"`, "rules": `"groups":[]`, "alerts": `"alerts":[]`,
	} {
		if _, body := fetched(t, s, "/api/v1/"+path, nil, nil, http.StatusOK); !strings.Contains(string(body), want) {
			t.Errorf("%s: %.500s, want %s", path, body, want)
		}
	}
}

// checkUnknownTenant wants a tenant that never wrote to be an empty one.
func checkUnknownTenant(t *testing.T, s *server, _ time.Time) {
	for path, form := range map[string]url.Values{
		"query": {"query": {"wide_total"}}, "series": {"match[]": {"wide_total"}}, "labels": nil, "label/i/values": nil, "metadata": nil, "query_exemplars": {"query": {"wide_total"}},
	} {
		_, body := fetched(t, s, "/api/v1/"+path, form, map[string]string{"X-Scope-OrgID": "nobody"}, http.StatusOK)
		if !strings.Contains(string(body), `[]`) && !strings.Contains(string(body), `{}`) {
			t.Errorf("%s: %.300s", path, body)
		}
	}
}

// checkLargeBody wants a form that is too large refused.
func checkLargeBody(t *testing.T, s *server, _ time.Time) {
	status, body, err := call(t.Context(), http.MethodPost, s.url("/api/v1/query"), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader("query="+strings.Repeat("1", 4<<20)))
	if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), `"bad_data"`) {
		t.Errorf("status %d, %v, %.300s", status, err, body)
	}
}

// heavy takes many seconds of work.
func heavy(now time.Time) url.Values {
	return url.Values{
		"query": {`sum(quantile_over_time(0.5, wide_total[15m:1s])) + sum(stddev_over_time(wide_total[15m:1s]))`},
		"start": {fmt.Sprint(now.Add(-15 * time.Minute).Unix())}, "end": {fmt.Sprint(now.Unix())}, "step": {"1"},
	}
}

// checkDeadline wants the envelope of a timeout.
func checkDeadline(t *testing.T, s *server, now time.Time) {
	form := heavy(now)
	form.Set("timeout", "300ms")
	h, body := fetched(t, s, "/api/v1/query_range", form, nil, http.StatusServiceUnavailable)
	if !strings.Contains(string(body), `"errorType":"timeout"`) || h.Get("Retry-After") == "" {
		t.Errorf("%.300s, %v", body, h)
	}
}

// checkCancelled wants the server to stop soon after its client has gone: what the process computes afterwards is measured in CPU time, which other load does not change. The
// query goes on for 20 s if nobody stops it.
func checkCancelled(t *testing.T, s *server, now time.Time) {
	idle := busySeconds(t, s, 500*time.Millisecond)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		_, _, err := call(ctx, http.MethodPost, s.url("/api/v1/query_range"), map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader(heavy(now).Encode()))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the query was not under way any more: %v", err)
		}
		const most = 3.0 // seconds: to see that the client has gone, to end, and to collect the garbage
		for total := 0.0; ; {
			took := busySeconds(t, s, 500*time.Millisecond)
			if took <= idle+0.1 {
				break
			}
			if total += took; total > most {
				t.Fatalf("its client has gone, and the server works on: %.0f ms of CPU time in the last half second, %.0f when idle, and %.1f s in all", took*1000, idle*1000, total)
			}
		}
	}
}

// busySeconds is the CPU time that the server takes within a while.
func busySeconds(t *testing.T, s *server, while time.Duration) float64 {
	t.Helper()
	before := s.metric("process_cpu_seconds_total")
	time.Sleep(while)
	return s.metric("process_cpu_seconds_total") - before
}
