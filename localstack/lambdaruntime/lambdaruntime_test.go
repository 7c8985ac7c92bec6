package lambdaruntime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"go.uber.org/goleak"
)

// TestMain is also the function that is tested: this binary started by the emulator.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_FUNCTION") {
	case "url":
		lambda.Start(urlFunction)
	case "stream":
		lambda.Start(streamFunction)
	case "broken":
		os.Exit(3)
	}
	goleak.VerifyTestMain(m)
}

// urlFunction does what the path says.
func urlFunction(_ context.Context, e events.LambdaFunctionURLRequest) (any, error) {
	switch e.RawPath {
	case "/fail":
		return nil, errors.New("as asked")
	case "/panic":
		panic("as asked")
	case "/exit":
		os.Exit(1)
	case "/hang":
		time.Sleep(time.Hour)
	case "/plain":
		return "no response of format 2.0", nil
	case "/long":
		return events.LambdaFunctionURLResponse{StatusCode: 200, Body: strings.Repeat("x", MaxPayload)}, nil
	}
	if e.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, err
		}
		e.Body = "decoded " + string(body)
	}
	seen, err := json.Marshal(e)
	return events.LambdaFunctionURLResponse{
		StatusCode: 201, Headers: map[string]string{"X-Pid": fmt.Sprint(os.Getpid())}, Cookies: []string{"a=b"},
		Body: base64.StdEncoding.EncodeToString(seen), IsBase64Encoded: true,
	}, err
}

// breaking gives its text and then the error.
type breaking struct {
	io.Reader
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func streamFunction(_ context.Context, e events.LambdaFunctionURLRequest) (*events.LambdaFunctionURLStreamingResponse, error) {
	r := &events.LambdaFunctionURLStreamingResponse{StatusCode: 202, Headers: map[string]string{"X-A": "b"}}
	switch e.RawPath {
	case "/long":
		r.Body = strings.NewReader(strings.Repeat("x", 2*MaxPayload))
	case "/broken":
		r.Body = &breaking{strings.NewReader("begun"), errors.New("as asked")}
	default:
		r.Body = strings.NewReader("hello")
	}
	return r, nil
}

// start makes a function of this binary.
func start(t *testing.T, kind string, opts Options) *Function {
	t.Helper()
	opts.Program, opts.Env = os.Args[0], []string{"TEST_FUNCTION=" + kind}
	f := New(&opts)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ask makes a request of a front and reads the whole answer.
func ask(t *testing.T, front *Front, method, path, contentType, body string) (*http.Response, string, error) {
	t.Helper()
	s := httptest.NewServer(front)
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp, string(raw), err
}

func TestURL(t *testing.T) {
	f := start(t, "url", Options{OneCPU: true, Concurrency: 1})
	front := &Front{Function: f}
	var pids []string
	for _, c := range []struct{ method, path, contentType, body, want string }{
		{"GET", "/a%2Fb?x=1&x=2", "", "", `"rawPath":"/a%2Fb","rawQueryString":"x=1\u0026x=2"`},
		{"POST", "/", "text/plain", "ü", `"body":"ü"`},
		{"POST", "/", "application/x-www-form-urlencoded", "a=b", `"body":"decoded a=b"`},
	} {
		resp, body, err := ask(t, front, c.method, c.path, c.contentType, c.body)
		if err != nil || resp.StatusCode != http.StatusCreated || !strings.Contains(body, c.want) || resp.Header.Get("Set-Cookie") != "a=b" {
			t.Errorf("%+v: %s, %v: %s", c, resp.Status, err, body)
		}
		pids = append(pids, resp.Header.Get("X-Pid"))
	}
	if pids[0] == "" || pids[0] != pids[2] {
		t.Errorf("requests one after another were answered by the processes %v, want one", pids)
	}
	if err := f.Cool(); err != nil {
		t.Fatal(err)
	}
	if resp, _, _ := ask(t, front, "GET", "/", "", ""); resp.Header.Get("X-Pid") == pids[0] {
		t.Error("a function that was cooled answers from the old process")
	}
}

func TestGateway(t *testing.T) {
	front := &Front{Function: start(t, "url", Options{}), Gateway: true, Stage: "prod"}
	resp, body, err := ask(t, front, "GET", "/a%2Fb", "", "")
	if err != nil || resp.StatusCode != http.StatusCreated || !strings.Contains(body, `"rawPath":"/prod/a/b"`) || !strings.Contains(body, ".execute-api.") {
		t.Errorf("%s, %v: %s", resp.Status, err, body)
	}
}

// TestFailures: each costs its invocation and no other.
func TestFailures(t *testing.T) {
	f := start(t, "url", Options{Timeout: 5 * time.Second, Concurrency: 1})
	front := &Front{Function: f}
	for _, c := range []struct{ path, kind string }{
		{"/fail", "errorString"}, {"/panic", "string"}, {"/exit", "Runtime.ExitError"}, {"/long", "Function.ResponseSizeTooLarge"},
	} {
		resp, body, err := ask(t, front, "GET", c.path, "", "")
		if err != nil || resp.StatusCode != http.StatusBadGateway || resp.Header.Get("X-Amzn-Errortype") != c.kind || strings.Contains(body, "as asked") {
			t.Errorf("%s: %s %v, %v: %s", c.path, resp.Status, resp.Header, err, body)
		}
		if resp, _, _ := ask(t, front, "GET", "/", "", ""); resp.StatusCode != http.StatusCreated {
			t.Errorf("after %s: %s", c.path, resp.Status)
		}
	}
	if resp, body, _ := ask(t, front, "GET", "/plain", "", ""); resp.StatusCode != http.StatusOK || !strings.Contains(body, "no response") {
		t.Errorf("%s: %s", resp.Status, body)
	}
	if resp, _, _ := ask(t, front, "POST", "/", "text/plain", strings.Repeat("x", MaxPayload+1)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long request: %s", resp.Status)
	}
}

func TestTimeout(t *testing.T) {
	f := start(t, "url", Options{Timeout: time.Second})
	resp, _, _ := ask(t, &Front{Function: f}, "GET", "/hang", "", "")
	if resp.StatusCode != http.StatusBadGateway || resp.Header.Get("X-Amzn-Errortype") != "Sandbox.Timedout" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestInitFails(t *testing.T) {
	f := start(t, "broken", Options{})
	_, err := f.Invoke(t.Context(), []byte("{}"))
	if e, ok := errors.AsType[*Error](err); !ok || e.Type != "Runtime.ExitError" {
		t.Errorf("got %v", err)
	}
}

func TestStream(t *testing.T) {
	front := &Front{Function: start(t, "stream", Options{}), Stream: true}
	resp, body, err := ask(t, front, "GET", "/", "", "")
	if err != nil || resp.StatusCode != http.StatusAccepted || body != "hello" || resp.Header.Get("X-A") != "b" {
		t.Errorf("%s %v, %v: %s", resp.Status, resp.Header, err, body)
	}
	if resp, body, err = ask(t, front, "GET", "/long", "", ""); err != nil || len(body) != 2*MaxPayload {
		t.Errorf("%s, %v: %d bytes", resp.Status, err, len(body))
	}
	if resp, body, err = ask(t, front, "GET", "/broken", "", ""); err == nil {
		t.Errorf("a broken stream ended as if it were whole: %s %s", resp.Status, body)
	}
	// A stream that answers a buffered URL arrives as it is.
	front.Stream = false
	if _, body, _ = ask(t, front, "GET", "/", "", ""); !strings.Contains(body, "statusCode") || !strings.Contains(body, "\x00hello") {
		t.Errorf("got %q", body)
	}
}

// TestClosed leaves no process behind.
func TestClosed(t *testing.T) {
	f := start(t, "url", Options{})
	r, err := f.Invoke(t.Context(), []byte(`{"rawPath":"/"}`))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Cold || r.Init <= 0 {
		t.Errorf("a first invocation says %+v", r)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	var in *instance
	for in = range f.live {
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if in.process.Running() {
		t.Error("a process is left")
	}
	if _, err := f.Invoke(t.Context(), nil); err == nil {
		t.Error("a closed function answers")
	}
}
