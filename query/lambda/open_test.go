package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/model"
)

func openers(d blob.Driver) map[string]blob.Opener {
	return map[string]blob.Opener{"mem": func(context.Context, *url.URL) (blob.Driver, error) { return d, nil }}
}

func TestOpenRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		`scheme "gs"`:  {Bucket: "gs://b"},
		"scratch":      {Bucket: "mem://b", Scratch: "gs://b"},
		"at most 168h": {Bucket: "mem://b", Scratch: "mem://s", ScratchFor: 8 * 24 * time.Hour},
		"tenant":       {Bucket: "mem://b", Tenant: "../x"},
	} {
		_, err := Open(t.Context(), &cfg, Components{Openers: openers(mem.New())})
		if !errors.Is(err, model.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", cfg, err, want)
		}
	}
}

// TestEmptyBucket asks the whole function, from event to answer, over a bucket into which nothing was written yet.
func TestEmptyBucket(t *testing.T) {
	f, err := Open(t.Context(), &Config{Bucket: "mem://b", Version: "1.2.3"}, Components{Openers: openers(mem.New())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	for path, want := range map[string]string{
		"/api/v1/query":            `"resultType":"vector","result":[]`,
		"/api/v1/status/buildinfo": `"version":"1.2.3"`,
		"/api/v1/labels":           `"data":[]`,
		"/api/v1/format_query":     `"data":"up"`,
		"/api/v1/status/catalog":   `"success"`,
	} {
		a := invoke(t, f, asked{path: path, query: "query=up"})
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: answered %+v, want %s", path, a, want)
		}
	}
	if a := invoke(t, f, asked{path: "/federate", query: "match[]=up"}); a.status != 200 || !strings.HasPrefix(a.headers["content-type"], "text/plain") {
		t.Errorf("/federate: answered %+v", a)
	}
	a := invoke(t, f, asked{path: "/api/v1/query", query: "query=up{"})
	var e struct{ Status, ErrorType, Error string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != 400 || e.ErrorType != "bad_data" {
		t.Errorf("a query that cannot be parsed: %+v, %v", a, err)
	}
}
