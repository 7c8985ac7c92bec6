package lambda

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// function is a Function before a handler of the test's own in place of the API.
func function(t *testing.T, cfg Config, read http.HandlerFunc) *Function {
	t.Helper()
	f := &Function{cfg: cfg.withDefaults(), log: slog.New(slog.DiscardHandler)}
	f.serve(read)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// Domain names that events carry.
const (
	urlDomain     = "abc123.lambda-url.eu-west-1.on.aws"
	gatewayDomain = "abc123.execute-api.eu-west-1.amazonaws.com"
)

// asked is an event in the making.
type asked struct {
	method, path, query, body, domain, stage string
	base64                                   bool
	headers                                  map[string]string
}

func (a asked) payload(t *testing.T) []byte {
	t.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	if a.domain == "" {
		a.domain = urlDomain
	}
	if a.stage == "" {
		a.stage = "$default"
	}
	p, err := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": a.path, "rawQueryString": a.query, "headers": a.headers, "body": a.body, "isBase64Encoded": a.base64,
		"requestContext": map[string]any{
			"domainName": a.domain, "stage": a.stage, "requestId": "r1",
			"http": map[string]any{"method": a.method, "path": a.path, "sourceIp": "192.0.2.1"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answered is what the client of a function URL or of API Gateway would get.
type answered struct {
	status  int
	headers map[string]string
	body    string
	// err is how the body broke off.
	err error
}

// invoke asks and reads the answer, whichever form it has.
func invoke(t *testing.T, f *Function, a asked) answered {
	t.Helper()
	r, err := f.Invoke(t.Context(), a.payload(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	raw, rerr := io.ReadAll(r)
	var head struct {
		StatusCode      int               `json:"statusCode"`
		Headers         map[string]string `json:"headers"`
		Body            string            `json:"body"`
		IsBase64Encoded bool              `json:"isBase64Encoded"`
	}
	document, streamed := raw, []byte(nil)
	if r.ContentType() == streamType {
		var ok bool
		if document, streamed, ok = bytes.Cut(raw, make([]byte, 8)); !ok {
			t.Fatalf("a streamed answer without its eight zeros: %.200q", raw)
		}
	} else if len(raw) > maxPayload {
		t.Errorf("a response of %d bytes", len(raw))
	}
	if err := json.Unmarshal(document, &head); err != nil {
		t.Fatalf("%v in %.200q", err, document)
	}
	body := []byte(head.Body)
	if head.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(head.Body); err != nil {
			t.Fatal(err)
		}
	}
	if r.ContentType() == streamType {
		body = streamed
	}
	return answered{head.StatusCode, head.Headers, plain(t, head.Headers, body), rerr}
}

func plain(t *testing.T, headers map[string]string, body []byte) string {
	t.Helper()
	if headers["content-encoding"] != "gzip" {
		return string(body)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// modes are the forms of an answer.
func modes() map[string]asked {
	return map[string]asked{"buffered": {domain: gatewayDomain}, "streamed": {domain: urlDomain}}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body, who string
	f := function(t, Config{Stream: true}, func(_ http.ResponseWriter, r *http.Request) {
		got, who = r, tenant.FromContext(r.Context())
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(b)
	})
	for name, c := range map[string]struct {
		asked
		path, body, tenant string
	}{
		"get":            {asked{path: "/api/v1/query", query: "query=up%7B%7D"}, "/api/v1/query", "", tenant.Default},
		"post":           {asked{method: "POST", path: "/api/v1/query", body: "query=up"}, "/api/v1/query", "query=up", tenant.Default},
		"base64":         {asked{method: "POST", path: "/api/v1/read", body: "AAEC", base64: true}, "/api/v1/read", "\x00\x01\x02", tenant.Default},
		"tenant":         {asked{path: "/api/v1/labels", headers: map[string]string{"x-scope-orgid": "team-a"}}, "/api/v1/labels", "", "team-a"},
		"stage":          {asked{path: "/prod/api/v1/labels", domain: gatewayDomain, stage: "prod"}, "/api/v1/labels", "", tenant.Default},
		"no stage":       {asked{path: "/api/v1/labels", domain: gatewayDomain}, "/api/v1/labels", "", tenant.Default},
		"a stage's name": {asked{path: "/api/v1/labels", domain: gatewayDomain, stage: "ap"}, "/api/v1/labels", "", tenant.Default},
		"escaped":        {asked{path: "/api/v1/label/a%2Fb/values"}, "/api/v1/label/a/b/values", "", tenant.Default},
		"odd escape":     {asked{path: "/api/v1/label/100%/values"}, "/api/v1/label/100%/values", "", tenant.Default},
	} {
		t.Run(name, func(t *testing.T) {
			got = nil
			if a := invoke(t, f, c.asked); a.status != http.StatusOK || got == nil {
				t.Fatalf("answered %+v", a)
			}
			if got.URL.Path != c.path || body != c.body || who != c.tenant || got.URL.RawQuery != c.query || got.RemoteAddr != "192.0.2.1" {
				t.Errorf("got %s %s from %s with body %q for tenant %s", got.Method, got.URL, got.RemoteAddr, body, who)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	f := function(t, Config{Stream: true}, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	only := function(t, Config{Stream: true, Tenant: "team-a"}, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	for name, c := range map[string]struct {
		f      *Function
		asked  asked
		status int
		text   string
	}{
		"write":          {f, asked{method: "POST", path: "/api/v1/write"}, 405, "only reads"},
		"otlp":           {f, asked{method: "POST", path: "/api/v1/otlp/v1/metrics"}, 405, "only reads"},
		"import":         {f, asked{method: "POST", path: "/api/v1/import/prometheus"}, 405, "only reads"},
		"delete":         {f, asked{method: "POST", path: "/api/v1/admin/tsdb/delete_series"}, 405, "only reads"},
		"nothing there":  {f, asked{path: "/favicon.ico"}, 404, "nothing is at"},
		"bad tenant":     {f, asked{path: "/api/v1/labels", headers: map[string]string{"x-scope-orgid": "a,b"}}, 400, "X-Scope-OrgID"},
		"foreign tenant": {only, asked{path: "/api/v1/labels", headers: map[string]string{"x-scope-orgid": "team-b"}}, 403, "another one only"},
		"bad base64":     {f, asked{method: "POST", path: "/api/v1/read", body: "?", base64: true}, 400, "body"},
		"bad method":     {f, asked{method: "NO WAY", path: "/api/v1/labels"}, 400, "method"},
	} {
		for mode, as := range modes() {
			t.Run(name+", "+mode, func(t *testing.T) {
				c.asked.domain = as.domain
				a := invoke(t, c.f, c.asked)
				var e struct{ Status, ErrorType, Error string }
				if err := json.Unmarshal([]byte(a.body), &e); err != nil {
					t.Fatalf("%v in %q", err, a.body)
				}
				if a.status != c.status || e.Status != "error" || e.ErrorType == "" || !strings.Contains(e.Error, c.text) {
					t.Errorf("answered %d %+v, want %d with %q", a.status, e, c.status, c.text)
				}
				if strings.HasSuffix(e.Error, model.ErrInvalid.Error()) {
					t.Errorf("%q ends with the kind of error, which the status says", e.Error)
				}
			})
		}
	}
}

// TestForeignEvents are no requests: nobody waits for an HTTP answer.
func TestForeignEvents(t *testing.T) {
	f := function(t, Config{}, func(http.ResponseWriter, *http.Request) {})
	for payload, want := range map[string]string{
		`{`: "parse event",
		`{"version":"1.0","path":"/api/v1/query"}`: "payload format",
		`{"Records":[]}`: "no rawPath",
	} {
		_, err := f.Invoke(t.Context(), []byte(payload))
		if !errors.Is(err, model.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", payload, err, want)
		}
	}
}

func TestHealth(t *testing.T) {
	f := function(t, Config{Version: "1.2.3"}, func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"/", "/-/healthy", "/-/ready"} {
		if a := invoke(t, f, asked{path: path}); a.status != http.StatusOK || !strings.Contains(a.body, "Varve 1.2.3") {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

func TestAnswer(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "text": `{"status":"success","data":"<ä>"}`, "binary": "\xff\x00\x01", "compressible": strings.Repeat("abc", 10_000),
	} {
		for mode, as := range modes() {
			for _, accept := range []string{"", "gzip"} {
				t.Run(fmt.Sprintf("%s, %s, %q", name, mode, accept), func(t *testing.T) {
					f := function(t, Config{Stream: true}, func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", "application/json")
						w.Header().Add("X-Two", "1")
						w.Header().Add("X-Two", "2")
						w.WriteHeader(http.StatusAccepted)
						_, _ = io.WriteString(w, body)
					})
					a := invoke(t, f, asked{path: "/api/v1/x", domain: as.domain, headers: map[string]string{"accept-encoding": accept}})
					if a.status != http.StatusAccepted || a.body != body || a.headers["x-two"] != "1, 2" || a.headers["content-type"] != "application/json" {
						t.Errorf("answered %+v", a)
					}
					if wants := accept != "" && len(body) > 10_000; wants != (a.headers["content-encoding"] == "gzip") {
						t.Errorf("encoding is %q", a.headers["content-encoding"])
					}
				})
			}
		}
	}
}

func TestPanic(t *testing.T) {
	for mode, as := range modes() {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %v", mode, late), func(t *testing.T) {
				f := function(t, Config{Stream: true}, func(w http.ResponseWriter, _ *http.Request) {
					if late {
						_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
					}
					panic("a bug")
				})
				a := invoke(t, f, asked{path: "/api/v1/x", domain: as.domain})
				switch {
				case mode == "streamed" && late:
					if a.err == nil {
						t.Error("a broken stream ended as if it were whole")
					}
				case a.status != http.StatusInternalServerError || !strings.Contains(a.body, `"error"`):
					t.Errorf("answered %+v", a)
				}
			})
		}
	}
}

// TestClientGoes closes a streamed answer that is not read to its end: the handler ends.
func TestClientGoes(t *testing.T) {
	ended := make(chan error, 1)
	f := function(t, Config{Stream: true}, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				ended <- errors.Join(err, r.Context().Err())
				return
			}
		}
	})
	r, err := f.Invoke(t.Context(), asked{path: "/api/v1/x"}.payload(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, errClosed) || !errors.Is(err, context.Canceled) {
		t.Errorf("the handler ended with %v", err)
	}
}

// TestDeadline: a query ends before the invocation does, and before API Gateway gives up.
func TestDeadline(t *testing.T) {
	synctest.Test(t, deadline) // in which nothing that is computed takes time
}

func deadline(t *testing.T) {
	var left time.Duration
	f := function(t, Config{}, func(_ http.ResponseWriter, r *http.Request) {
		end, _ := r.Context().Deadline()
		left = time.Until(end)
	})
	for _, c := range []struct {
		domain   string
		lasts    time.Duration
		min, max time.Duration
	}{
		{urlDomain, 10 * time.Second, 8 * time.Second, 9 * time.Second},
		{urlDomain, time.Second, 0, 500 * time.Millisecond},
		{urlDomain, 15 * time.Minute, 14 * time.Minute, 15*time.Minute - answerMargin},
		{gatewayDomain, 15 * time.Minute, 25 * time.Second, gatewayPatience - answerMargin},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
		r, err := f.Invoke(ctx, asked{path: "/api/v1/x", domain: c.domain}.payload(t))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if left < c.min || left > c.max {
			t.Errorf("%s, %s: %s are left, want %s to %s", c.domain, c.lasts, left, c.min, c.max)
		}
	}
}

// TestLimit finds no length at which a response is longer than what AWS Lambda takes.
func TestLimit(t *testing.T) {
	for _, n := range []int{maxPayload - 1000, maxPayload - 200, maxPayload - 100, maxPayload - 1, maxPayload, maxPayload + 1} {
		f := function(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte{'x'}, n)) })
		if a := invoke(t, f, asked{path: "/api/v1/x"}); a.status != http.StatusOK && a.status != http.StatusUnprocessableEntity || a.status == http.StatusOK && len(a.body) != n {
			t.Errorf("%d bytes: answered %d with %d", n, a.status, len(a.body))
		}
	}
}
