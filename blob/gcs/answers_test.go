package gcs_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/model"
)

func TestMain(m *testing.M) {
	// The client library starts the worker of its statistics and never ends it.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// serve starts a server that answers as the test says, and returns a bucket on it that hardly waits between tries.
func serve(t *testing.T, retries int, params string, answer http.HandlerFunc) *blob.Bucket {
	t.Helper()
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that goes away is its own fault
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	b, err := blob.Open(t.Context(), "gs://bucket?endpoint="+h.URL+params, openers, &blob.Options{Retries: retries, Backoff: 1, HedgeAfter: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestAnswers tells what each refusal of GCS becomes on a read and on a conditional write, and that the client does not retry by itself.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		reason     string
		get, putIf error
		tries      int
	}{
		{404, "notFound", model.ErrNotFound, model.ErrConflict, 2},
		{412, "conditionNotMet", model.ErrConflict, model.ErrConflict, 2},
		{429, "rateLimitExceeded", model.ErrUnavailable, model.ErrUnavailable, 6},
		{503, "backendError", model.ErrUnavailable, model.ErrUnavailable, 6},
		{403, "forbidden", model.ErrNotFound, blob.ErrDenied, 2},
		{403, "forbidden", blob.ErrDenied, blob.ErrDenied, 2},
		{401, "required", blob.ErrDenied, blob.ErrDenied, 2},
	} {
		t.Run(fmt.Sprint(c.status, c.reason), func(t *testing.T) {
			asked := 0
			b := serve(t, 2, "", func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `{"error":{"code":%d,"message":"hunter2","errors":[{"reason":%q}]}}`, c.status, c.reason)
			})
			_, _, err := b.Get(t.Context(), "k")
			check(t, "get", err, c.get)
			_, err = b.PutIf(t.Context(), "k", []byte("x"), "7")
			check(t, "put", err, c.putIf)
			if asked != c.tries {
				t.Errorf("%d requests, want %d", asked, c.tries)
			}
		})
	}
}

func check(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: the error quotes the answer: %v", what, err)
	}
}

func TestEncryptionKeyIsSent(t *testing.T) {
	var query string
	b := serve(t, -1, "&kmskeyname=projects/p/k", func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"generation":"42","bucket":"bucket","name":"k"}`)
	})
	v, err := b.PutIfAbsent(t.Context(), "k", []byte("x"))
	if err != nil || v != "42" {
		t.Fatalf("version %q, %v", v, err)
	}
	if !strings.Contains(query, "kmsKeyName=projects%2Fp%2Fk") || !strings.Contains(query, "ifGenerationMatch=0") {
		t.Errorf("the write asks for %s", query)
	}
}

func TestForeignVersionIsAConflict(t *testing.T) {
	b := serve(t, -1, "", func(http.ResponseWriter, *http.Request) { t.Error("asked the store") })
	for _, v := range []blob.Version{"0", `"etag"`} {
		if _, err := b.PutIf(t.Context(), "k", nil, v); !errors.Is(err, model.ErrConflict) {
			t.Errorf("swap at version %s: %v", v, err)
		}
	}
}

func TestOpen(t *testing.T) {
	for raw, want := range map[string]string{
		"gs://bucket?anonymous=true&kmskeyname=k":    "",
		"gs://bucket?anonymous=true&kmskeyid=k":      `unknown parameter "kmskeyid"`,
		"gs://bucket?anonymous=true&ssetype=AES256":  `unknown parameter "ssetype"`,
		"gs://bucket/path?anonymous=true":            "a path is given as prefix=",
		"gs://?anonymous=true":                       "GCS URLs are gs://BUCKET",
		"gs://bucket?anonymous=if-you-do-not-mind-x": "must be true or false",
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
