package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/localstack/emulator"
)

// TestPresign reads an object by its URL, without credentials, with the headers that were asked for, and another object not.
func TestPresign(t *testing.T) {
	srv := emulator.ForTest(t, emulator.S3)
	raw, err := srv.Bucket(t.Context(), "presign")
	if err != nil {
		t.Fatal(err)
	}
	b, err := blob.Open(t.Context(), raw+"&prefix=team/a", openers, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, key := range []string{"results/1.json", "results/2.json"} {
		if _, err := b.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := b.Presign(t.Context(), "results/1.json", &blob.PresignOptions{For: time.Minute, ContentType: "application/json", ContentEncoding: "identity"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(signed, "varve-test-secret") {
		t.Errorf("the URL %s shows the secret", signed)
	}
	status, header, body := read(t, signed)
	if status != http.StatusOK || body != "results/1.json" {
		t.Errorf("read %s: %d %s", signed, status, body)
	}
	if got := header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if got := header.Get("Content-Encoding"); got != "identity" {
		t.Errorf("Content-Encoding is %q", got)
	}
	if status, _, _ := read(t, strings.Replace(signed, "1.json", "2.json", 1)); status != http.StatusForbidden {
		t.Errorf("the URL of one object reads another: %d", status)
	}
}

func read(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}
