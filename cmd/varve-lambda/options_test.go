package main

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadOptions(t *testing.T) {
	o, err := readOptions([]string{
		"PATH=/bin", "VARVE_BUCKET=s3://b?region=eu&kmskeyid=hidden", "VARVE_QUERY_TIMEOUT=1d", "VARVE_SCRATCH_FOR=90s", "VARVE_RESPONSE_STREAM=true", "VARVE_LOG_LEVEL=warn",
		"VARVE_QUERY_BUDGET_BYTES=2GiB", "VARVE_QUERY_BUDGET_COST=0.001", "VARVE_QUERY_MAX_SAMPLES=1000", "VARVE_TENANT=", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=1769",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.Engine.Timeout != 24*time.Hour || o.ScratchFor != 90*time.Second || !o.Stream || o.Limits.Bytes != 2<<30 || o.Limits.Cost != 0.001 ||
		o.Engine.MaxSamples != 1000 || o.MemoryBytes != 1769<<20 || o.level != slog.LevelWarn || o.Tenant != "" {
		t.Errorf("got %+v", o)
	}
	if _, ok := o.Flags["VARVE_BUCKET"]; ok || o.Flags["VARVE_QUERY_TIMEOUT"] != "1d" {
		t.Errorf("status/flags would show %v", o.Flags)
	}
}

func TestReadOptionsRefuses(t *testing.T) {
	for pair, want := range map[string]string{
		"VARVE_BUCKET=":                     "VARVE_BUCKET: not set",
		"VARVE_QUERY_TIMEOUT=soon":          `"soon" is no duration`,
		"VARVE_QUERY_TIMEOUT=-1s":           "negative",
		"VARVE_QUERY_MAX_SAMPLES=-1":        "no number",
		"VARVE_QUERY_BUDGET_BYTES=lots":     "no number of bytes",
		"VARVE_QUERY_BUDGET_COST=NaN":       "no amount",
		"VARVE_RESPONSE_STREAM=maybe":       "neither true nor false",
		"VARVE_LOG_LEVEL=loud":              "VARVE_LOG_LEVEL",
		"VARVE_QUERY_TIMOUT=1m":             "VARVE_QUERY_TIMOUT: no such setting",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=x": "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
	} {
		env := []string{"VARVE_BUCKET=s3://b", pair}
		if strings.HasPrefix(pair, "VARVE_BUCKET") {
			env = env[1:]
		}
		if _, err := readOptions(env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", pair, err, want)
		}
	}
}

// TestDocumented compares the settings with the table of the documentation.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "lambda.md"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(VARVE_[A-Z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, m[1])
	}
	var known []string
	for name := range maps.Keys((&options{}).settings()) {
		if strings.HasPrefix(name, "VARVE_") {
			known = append(known, name)
		}
	}
	slices.Sort(listed)
	slices.Sort(known)
	if !slices.Equal(listed, known) {
		t.Errorf("docs/lambda.md lists\n%q, the program reads\n%q", listed, known)
	}
}

func TestReportInit(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}))
	defer s.Close()
	reportInit(strings.TrimPrefix(s.URL, "http://"), os.ErrInvalid)
	if got != "POST /2018-06-01/runtime/init/error Varve.Configuration" {
		t.Errorf("reported %q", got)
	}
	reportInit("", os.ErrInvalid) // nobody to tell
}
