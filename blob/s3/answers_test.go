package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers S3 requests as the test says and keeps what was asked.
type server struct {
	mu    sync.Mutex // guards asked
	asked []string
}

// serve starts a server and returns a bucket on it that never waits between tries.
func serve(t *testing.T, retries int, params string, answer func(w http.ResponseWriter, r *http.Request)) (*blob.Bucket, *server) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAHUNTER2")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	s := &server{}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body) // a client that goes away is its own fault
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	b, err := blob.Open(t.Context(), "s3://bucket?region=eu&use_path_style=true&endpoint="+h.URL+params, openers, &blob.Options{Retries: retries, Backoff: 1, HedgeAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, s
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Error><Code>%s</Code><Message>AKIAHUNTER2 hunter2</Message></Error>`, code)
}

// TestAnswers tells what each refusal of S3 becomes on a read and on a conditional write.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		code       string
		get, putIf error
	}{
		{404, "NoSuchKey", model.ErrNotFound, model.ErrConflict},
		{404, "NoSuchBucket", model.ErrInvalid, model.ErrInvalid},
		{412, "PreconditionFailed", model.ErrConflict, model.ErrConflict},
		{409, "ConditionalRequestConflict", model.ErrUnavailable, model.ErrUnavailable},
		{503, "SlowDown", model.ErrUnavailable, model.ErrUnavailable},
		{500, "InternalError", model.ErrUnavailable, model.ErrUnavailable},
		{429, "TooManyRequests", model.ErrUnavailable, model.ErrUnavailable},
		{400, "RequestTimeout", model.ErrUnavailable, model.ErrUnavailable},
		{403, "AccessDenied", model.ErrNotFound, blob.ErrDenied},
		{403, "AccessDenied", blob.ErrDenied, blob.ErrDenied},
		{501, "NotImplemented", model.ErrInvalid, model.ErrInvalid},
	} {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			b, s := serve(t, 2, "", func(w http.ResponseWriter, _ *http.Request) { refuse(w, c.status, c.code) })
			_, _, err := b.Get(t.Context(), "k")
			check(t, "get", err, c.get)
			_, err = b.PutIf(t.Context(), "k", []byte("x"), `"v"`)
			check(t, "put", err, c.putIf)
			want := 2
			if errors.Is(c.get, model.ErrUnavailable) {
				want = 6
			}
			if len(s.asked) != want {
				t.Errorf("%d requests %q, want %d: the SDK must not retry by itself", len(s.asked), s.asked, want)
			}
		})
	}
}

func check(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "hunter2") {
		t.Errorf("%s: the error shows a secret: %v", what, err)
	}
}

func TestNoAnswer(t *testing.T) {
	b, _ := serve(t, -1, "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := b.PutIfAbsent(t.Context(), "k", nil)
	check(t, "put", err, model.ErrUnavailable)
}

// TestEarlyRefusal: a store that refuses a write by its head alone, and closes the connection before the body has come, is understood though its answer is lost; one that
// only breaks off is not available.
func TestEarlyRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		head int
		v    blob.Version
		want error
	}{
		"taken":         {http.StatusOK, "", model.ErrConflict},
		"free":          {http.StatusNotFound, "", model.ErrUnavailable},
		"changed":       {http.StatusOK, `"old"`, model.ErrConflict},
		"gone":          {http.StatusNotFound, `"old"`, model.ErrConflict},
		"as it was":     {http.StatusOK, `"v1"`, model.ErrUnavailable},
		"no answer too": {http.StatusServiceUnavailable, "", model.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := serve(t, 2, "", func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("ETag", `"v1"`)
				w.WriteHeader(c.head)
			})
			_, err := b.PutIf(t.Context(), "k", make([]byte, 1<<20), c.v)
			check(t, "put", err, c.want)
			if want := 2; errors.Is(c.want, model.ErrConflict) && len(s.asked) != want {
				t.Errorf("%d requests %q, want %d", len(s.asked), s.asked, want)
			}
		})
	}
}

// TestShortBody: a connection that breaks within a body costs only the rest of it.
func TestShortBody(t *testing.T) {
	const body = "0123456789"
	broken := 0
	b, s := serve(t, 3, "", func(w http.ResponseWriter, r *http.Request) {
		var from int
		if rng := r.Header.Get("Range"); rng != "" {
			if _, err := fmt.Sscanf(rng, "bytes=%d-", &from); err != nil {
				t.Error(err)
			}
		}
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
		}
		if broken++; broken <= 2 {
			_, _ = w.Write([]byte(body[from : from+4]))
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte(body[from:]))
	})
	data, v, err := b.Get(t.Context(), "k")
	if err != nil || string(data) != body || v != `"v1"` {
		t.Errorf("got %q at %s, %v", data, v, err)
	}
	if len(s.asked) != 3 {
		t.Errorf("%d requests, want 3", len(s.asked))
	}
}

// TestRequests counts what calls cost: one PUT whatever the size, deletes without HEAD and in batches.
func TestRequests(t *testing.T) {
	var sse, condition, length string
	b, s := serve(t, -1, "&ssetype=aws:kms&kmskeyid=key-1", func(w http.ResponseWriter, r *http.Request) {
		sse = r.Header.Get("X-Amz-Server-Side-Encryption") + " " + r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")
		condition = r.Header.Get("If-None-Match") + r.Header.Get("If-Match")
		length = r.Header.Get("Content-Length")
		w.Header().Set("ETag", `"v"`)
		if r.Method == http.MethodPost {
			fmt.Fprint(w, `<DeleteResult/>`)
		}
	})
	if _, err := b.PutIfAbsent(t.Context(), "big", make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if sse != "aws:kms key-1" || condition != "*" {
		t.Errorf("the PUT has encryption %q and condition %q (length %s)", sse, condition, length)
	}
	if _, err := b.PutIf(t.Context(), "big", make([]byte, 20<<20), `"v"`); err != nil {
		t.Fatal(err)
	}
	if condition != `"v"` {
		t.Errorf("the second PUT has condition %q", condition)
	}
	keys := make([]string, 1500)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%d", i)
	}
	for _, k := range [][]string{keys[:1], keys} {
		if err := b.Delete(t.Context(), k...); err != nil {
			t.Fatal(err)
		}
	}
	want := "[PUT /bucket/big PUT /bucket/big DELETE /bucket/k0 POST /bucket POST /bucket]"
	if got := fmt.Sprint(s.asked); strings.ReplaceAll(got, "/bucket/]", "/bucket]") != want && strings.ReplaceAll(got, "/bucket/ ", "/bucket ") != want {
		t.Errorf("requests %s, want %s", got, want)
	}
}

func TestDeleteBatchReportsAFault(t *testing.T) {
	b, _ := serve(t, -1, "", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<DeleteResult><Error><Key>b</Key><Code>NoSuchKey</Code></Error><Error><Key>a</Key><Code>AccessDenied</Code></Error></DeleteResult>`)
	})
	err := b.Delete(t.Context(), "a", "b")
	check(t, "delete", err, blob.ErrDenied)
	if errors.Is(err, model.ErrNotFound) {
		t.Errorf("a refused delete says that something is missing: %v", err)
	}
}

func TestOpen(t *testing.T) {
	for raw, want := range map[string]string{
		"s3://bucket?region=eu&ssetype=AES256":               "",
		"s3://bucket?region=eu&ssetype=aws:kms&kmskeyid=k":   "",
		"s3://bucket?region=eu&ssetype=rot13":                "parameter ssetype must be one of",
		"s3://bucket?region=eu&kmskeyid=k":                   "kmskeyid needs ssetype",
		"s3://bucket?region=eu&encryption_scope=s":           `unknown parameter "encryption_scope"`,
		"s3://bucket/path?region=eu":                         "a path is given as prefix=",
		"s3://?region=eu":                                    "S3 URLs are s3://BUCKET",
		"s3://bucket?request_checksum_calculation=sometimes": "must be one of when_required",
	} {
		b, err := blob.Open(t.Context(), raw, openers, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, want %q", raw, err, want)
		}
		if err == nil {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
