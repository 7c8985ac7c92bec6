package azure_test

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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server that answers as the test says, and returns a bucket on it that hardly waits between tries. The credential
// is a signature in the URL, as with a shared access signature.
func serve(t *testing.T, retries int, params string, answer http.HandlerFunc) *blob.Bucket {
	t.Helper()
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2021-12-02&sig=hunter2")
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a client that goes away is its own fault
		if !strings.Contains(r.URL.RawQuery, "sig=hunter2") {
			t.Errorf("the request has no signature: %s", r.URL)
		}
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	url := "azblob://container?protocol=http&localemu=true&domain=" + strings.TrimPrefix(h.URL, "http://") + params
	b, err := blob.Open(t.Context(), url, openers, &blob.Options{Retries: retries, Backoff: 1, HedgeAfter: -1})
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

// TestAnswers tells what each refusal of Azure becomes on a read and on a conditional write, and that the client does not retry by itself.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status     int
		code       string
		get, putIf error
		tries      int
	}{
		{404, "BlobNotFound", model.ErrNotFound, model.ErrConflict, 2},
		{404, "ContainerNotFound", model.ErrInvalid, model.ErrInvalid, 2},
		{412, "ConditionNotMet", model.ErrConflict, model.ErrConflict, 2},
		{409, "BlobAlreadyExists", model.ErrConflict, model.ErrConflict, 2},
		{409, "BlobBeingRehydrated", model.ErrUnavailable, model.ErrUnavailable, 6},
		{503, "ServerBusy", model.ErrUnavailable, model.ErrUnavailable, 6},
		{500, "OperationTimedOut", model.ErrUnavailable, model.ErrUnavailable, 6},
		{403, "AuthorizationFailure", model.ErrNotFound, blob.ErrDenied, 2},
		{403, "AuthenticationFailed", blob.ErrDenied, blob.ErrDenied, 2},
	} {
		t.Run(fmt.Sprint(c.status, c.code), func(t *testing.T) {
			asked := 0
			b := serve(t, 2, "", func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("X-Ms-Error-Code", c.code)
				w.WriteHeader(c.status)
			})
			_, _, err := b.Get(t.Context(), "k")
			check(t, "get", err, c.get)
			_, err = b.PutIf(t.Context(), "k", []byte("x"), `"v"`)
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
		t.Errorf("%s: the error shows the signature: %v", what, err)
	}
}

// TestNoAnswer: errors of the network quote the URL, and with it the signature.
func TestNoAnswer(t *testing.T) {
	b := serve(t, -1, "", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, _, err := b.Get(t.Context(), "k")
	check(t, "get", err, model.ErrUnavailable)
	_, err = b.Put(t.Context(), "k", nil)
	check(t, "put", err, model.ErrUnavailable)
	check(t, "delete", b.Delete(t.Context(), "k"), model.ErrUnavailable)
	for _, err := range b.List(t.Context(), "") {
		check(t, "list", err, model.ErrUnavailable)
	}
}

// TestNotModified: a 304 without any header is what made the portable reader panic.
func TestNotModified(t *testing.T) {
	b := serve(t, -1, "", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `"v"` {
			t.Errorf("condition %q", r.Header.Get("If-None-Match"))
		}
		w.WriteHeader(http.StatusNotModified)
	})
	_, v, modified, err := b.GetIf(t.Context(), "k", `"v"`)
	if err != nil || modified || v != `"v"` {
		t.Errorf("modified %v, version %s, %v", modified, v, err)
	}
}

func TestEncryptionScopeIsSent(t *testing.T) {
	var scope, condition string
	puts := 0
	b := serve(t, -1, "&encryption_scope=metrics", func(w http.ResponseWriter, r *http.Request) {
		puts++
		scope, condition = r.Header.Get("X-Ms-Encryption-Scope"), r.Header.Get("If-None-Match")
		w.Header().Set("ETag", `"v"`)
		w.WriteHeader(http.StatusCreated)
	})
	if _, err := b.PutIfAbsent(t.Context(), "big", make([]byte, 20<<20)); err != nil {
		t.Fatal(err)
	}
	if scope != "metrics" || condition != "*" || puts != 1 {
		t.Errorf("%d writes, the last with scope %q and condition %q", puts, scope, condition)
	}
}

func TestOpen(t *testing.T) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sig=hunter2")
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "")
	for raw, want := range map[string]string{
		"azblob://container?storage_account=a&encryption_scope=s": "",
		"azblob://container?storage_account=a&ssetype=AES256":     `unknown parameter "ssetype"`,
		"azblob://container":                           "no storage account",
		"azblob://container/path?storage_account=a":    "a path is given as prefix=",
		"azblob://?storage_account=a":                  "azure URLs are azblob://CONTAINER",
		"azblob://c?storage_account=a&protocol=gopher": "must be one of http, https",
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
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "hunter2")
	_, err := blob.Open(t.Context(), "azblob://container", openers, nil)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a bad connection string: %v", err)
	}
}
