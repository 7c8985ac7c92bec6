//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/localstack/emulator"
	"github.com/varvedb/varve/localstack/lambdaruntime"
)

// lambda is a function over a bucket, and the URLs in front of it.
type lambda struct {
	function               *lambdaruntime.Function
	url, streamed, gateway string
}

// startLambda makes a function of the program. It is ended with the test.
func startLambda(t *testing.T, program string, b bucket, env ...string) *lambda {
	t.Helper()
	l := &lambda{function: lambdaruntime.New(&lambdaruntime.Options{
		Program: program, Env: append(append([]string{"VARVE_BUCKET=" + b.url}, b.env...), env...), Log: filepath.Join(t.TempDir(), "lambda.log"),
	})}
	t.Cleanup(func() {
		if err := l.function.Close(); err != nil {
			t.Error(err)
		}
	})
	serve := func(f *lambdaruntime.Front) string {
		f.Function = l.function
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	l.url, l.streamed = serve(&lambdaruntime.Front{}), serve(&lambdaruntime.Front{Stream: true})
	l.gateway = serve(&lambdaruntime.Front{Gateway: true, Stage: "prod"})
	return l
}

// data is the answer to a GET but for its warnings, and these.
func data(t *testing.T, base, path string) (string, []string) {
	t.Helper()
	status, body, err := call(t.Context(), http.MethodGet, base+path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var a answer[json.RawMessage]
	if err := json.Unmarshal(body, &a); err != nil || status != http.StatusOK {
		t.Fatalf("%s%s: status %d, %v: %.500s", base, path, status, err, body)
	}
	return string(a.Data), a.Warnings
}

// TestLambda has varve-lambda, in an emulated AWS Lambda, answer over the bucket of a server: as the server does, from cold and from
// warm, about 5 s after a write, when the server is gone, and when the answer is longer than a response may be.
func TestLambda(t *testing.T) {
	found := clouds(t, emulator.S3)
	if len(found) == 0 {
		t.Skip("no S3 server")
	}
	b := found[0]
	program := filepath.Join(t.TempDir(), "bootstrap")
	if err := lambdaruntime.Build(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(program); err != nil {
		t.Fatal(err)
	} else if info.Size() > 35e6 {
		t.Errorf("the program has %d bytes, want at most 35 MB", info.Size())
	}
	s := startServer(t, "shipping", b, "--ship", "on", "--detached-readers")
	now := time.Now()
	for back := 3; back > 0; back-- {
		send(t, s, now.Add(-time.Duration(back)*6*time.Hour), 200)
		if err := s.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(t, s, now.Add(-10*time.Minute), 20)
	waitShipped(t, b, now.Add(-10*time.Minute))

	at := func(back time.Duration) string { return strconv.FormatInt(now.Add(-back).Unix(), 10) }
	day := "&start=" + at(24*time.Hour) + "&end=" + at(0)
	paths := []string{
		"/api/v1/query?query=sum(e2e_cold)&time=" + at(12*time.Minute),
		"/api/v1/query_range?step=60&query=" + url.QueryEscape(`sum by (job) (rate(e2e_cold[10m]))`) + day,
		"/api/v1/query_range?step=300&query=" + url.QueryEscape(`e2e_cold / e2e_other`) + day,
		"/api/v1/series?match[]=e2e_cold" + day,
		"/api/v1/labels?x=1" + day,
		"/api/v1/label/series/values?match[]=e2e_other" + day,
	}
	want := map[string]string{}
	for _, path := range paths {
		want[path], _ = data(t, s.url(""), path)
	}
	l := startLambda(t, program, b, "VARVE_RESPONSE_STREAM=true")
	same := func(t *testing.T, base string) {
		t.Helper()
		for _, path := range paths {
			got, warnings := data(t, base, path)
			if got != want[path] {
				t.Errorf("%s: the function answers %.300s, the server %.300s", path, got, want[path])
			}
			if strings.HasPrefix(path, "/api/v1/query") && !strings.Contains(strings.Join(warnings, ""), "its shipped log reaches") {
				t.Errorf("%s: warnings %q do not say up to when", path, warnings)
			}
		}
	}
	t.Run("as the server", func(t *testing.T) {
		same(t, l.streamed)
		same(t, l.gateway)
	})
	t.Run("cold", func(t *testing.T) {
		for _, path := range paths {
			if err := l.function.Cool(); err != nil {
				t.Fatal(err)
			}
			if got, _ := data(t, l.streamed, path); got != want[path] {
				t.Errorf("%s: a cold function answers %.300s, the server %.300s", path, got, want[path])
			}
		}
		t.Logf("exec to the first request for an event: %s", l.function.LastInit())
	})
	t.Run("read only", func(t *testing.T) {
		status, body, err := call(t.Context(), http.MethodPost, l.streamed+"/api/v1/write", writeHeader(), strings.NewReader("x"))
		if err != nil || status != http.StatusMethodNotAllowed || !strings.Contains(string(body), "only reads") {
			t.Errorf("a write: %d, %v: %s", status, err, body)
		}
	})
	t.Run("tail", func(t *testing.T) { lambdaTail(t, l, s) })
	t.Run("long answers", func(t *testing.T) { lambdaLong(t, program, b, s, day) })
	t.Run("the server is gone", func(t *testing.T) {
		s.kill()
		same(t, l.gateway)
	})
}

// lambdaTail writes and looks how long it takes until the function sees it.
func lambdaTail(t *testing.T, l *lambda, s *server) {
	t.Helper()
	w := newWriter(t, "tail", 3)
	if err := w.write(t.Context(), s.url("/api/v1/write")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		got, warnings := data(t, l.gateway, "/api/v1/query?query="+url.QueryEscape(`count({writer="tail"})`))
		if strings.Contains(got, `"3"`) {
			t.Logf("seen after %s: %q", time.Since(began).Round(100*time.Millisecond), warnings)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Error("five minutes after it was acknowledged a write is not seen")
}

// lambdaLong asks for 14 MB: streamed, by way of a scratch bucket, and of a function that has neither.
func lambdaLong(t *testing.T, program string, b bucket, s *server, day string) {
	path := "/api/v1/query_range?step=8&query=" + url.QueryEscape(`{job=~".+"}`) + day
	want, _ := data(t, s.url(""), path)
	if len(want) < 2*lambdaruntime.MaxPayload {
		t.Fatalf("the answer has %d bytes, so this proves nothing", len(want))
	}
	whole := map[string]string{"Accept-Encoding": "identity"}
	check := func(name, base string) {
		status, body, err := call(t.Context(), http.MethodGet, base+path, whole, nil) // follows redirects
		var a answer[json.RawMessage]
		if err == nil {
			err = json.Unmarshal(body, &a)
		}
		if err != nil || status != http.StatusOK || string(a.Data) != want {
			t.Errorf("%s: status %d, %v, %d bytes, want %d", name, status, err, len(a.Data), len(want))
		}
	}
	check("streamed", startLambda(t, program, b, "VARVE_RESPONSE_STREAM=true").streamed)

	scratch := b.fresh(t)
	spills := startLambda(t, program, b, "VARVE_SCRATCH="+scratch.url)
	check("by a scratch bucket", spills.url)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, spills.gateway+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSeeOther || !strings.Contains(resp.Header.Get("Location"), "X-Amz-Signature") {
		t.Errorf("with a scratch bucket: %s %v", resp.Status, resp.Header)
	}

	neither := startLambda(t, program, b)
	status, body, err := call(t.Context(), http.MethodGet, neither.url+path, whole, nil)
	if err != nil || status != http.StatusUnprocessableEntity || !strings.Contains(string(body), fmt.Sprint(lambdaruntime.MaxPayload)) {
		t.Errorf("with neither: %d, %v: %.300s", status, err, body)
	}
	// Compressed it fits.
	if got, _ := data(t, neither.url, path); got != want {
		t.Errorf("compressed: %d bytes, want %d", len(got), len(want))
	}
}
