package lambda

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
)

// signing is a bucket in memory that presigns, as S3 does.
type signing struct{ *mem.Driver }

func (signing) Presign(_ context.Context, key string, o *blob.PresignOptions) (string, error) {
	return fmt.Sprintf("https://scratch/%s?for=%s&type=%s&encoding=%s", key, o.For, o.ContentType, o.ContentEncoding), nil
}

// long is an answer in JSON that compresses by about a half.
func long(n int) string {
	var b strings.Builder
	b.WriteByte('[')
	for x := uint64(1); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		fmt.Fprintf(&b, "%q,", fmt.Sprint(x))
	}
	return b.String() + `""]`
}

func TestTooLong(t *testing.T) {
	body := long(13 << 20)
	read := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(explainHeader, "{}")
		w.Header().Set("Access-Control-Allow-Origin", "https://a.example")
		w.Header().Add("Vary", "Origin")
		if r.URL.Path == "/api/v1/wrong" {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, body)
	}
	gz := map[string]string{"accept-encoding": "gzip"}

	t.Run("streamed", func(t *testing.T) {
		a := invoke(t, function(t, Config{Stream: true}, read), asked{path: "/api/v1/x"})
		if a.status != http.StatusOK || a.body != body {
			t.Errorf("answered %d with %d bytes", a.status, len(a.body))
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := function(t, Config{}, read)
		a := invoke(t, f, asked{path: "/api/v1/x"})
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, fmt.Sprintf("%d bytes", len(body))) || !strings.Contains(a.body, "Accept-Encoding") || a.headers["x-varve-explain"] != "{}" ||
			a.headers["access-control-allow-origin"] != "https://a.example" || !strings.Contains(a.headers["vary"], "Origin") {
			t.Errorf("answered %+v", a)
		}
		a = invoke(t, f, asked{path: "/api/v1/x", headers: gz})
		if a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, "Accept-Encoding") || a.headers["content-encoding"] != "" {
			t.Errorf("answered %+v", a)
		}
	})
	t.Run("scratch", func(t *testing.T) {
		d := signing{mem.New()}
		f := function(t, Config{ScratchFor: time.Hour}, read)
		f.scratch = blob.New(d, nil)
		f.closers = append(f.closers, f.scratch.Close)
		for _, headers := range []map[string]string{nil, gz} {
			a := invoke(t, f, asked{path: "/api/v1/x", headers: headers})
			if a.status != http.StatusSeeOther || !strings.Contains(a.body, "see_other") || a.headers["x-varve-explain"] != "{}" {
				t.Fatalf("answered %+v", a)
			}
			key, query, _ := strings.Cut(strings.TrimPrefix(a.headers["location"], "https://scratch/"), "?")
			if want := "for=1h0m0s&type=application/json&encoding=" + headers["accept-encoding"]; query != want {
				t.Errorf("the URL says %s, want %s", query, want)
			}
			stored, _, err := f.scratch.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if got := plain(t, map[string]string{"content-encoding": headers["accept-encoding"]}, stored); got != body {
				t.Errorf("the scratch bucket holds %d bytes, want %d", len(got), len(body))
			}
		}
		if a := invoke(t, f, asked{path: "/api/v1/wrong"}); a.status != http.StatusServiceUnavailable {
			t.Errorf("a long error was answered %+v", a)
		}
	})
	t.Run("no rights to scratch", func(t *testing.T) {
		f := function(t, Config{}, read)
		f.scratch = blob.New(mem.New(), nil) // which does not presign
		f.closers = append(f.closers, f.scratch.Close)
		a := invoke(t, f, asked{path: "/api/v1/x"})
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "scratch bucket") || strings.Contains(a.body, "presign") {
			t.Errorf("answered %+v", a)
		}
	})
}
