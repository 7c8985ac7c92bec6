package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
)

func openDB(t *testing.T, o *varve.Options) *varve.DB {
	t.Helper()
	o.Openers = openers()
	if o.Bucket == "" {
		o.Bucket = "mem://"
	}
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	db, err := varve.Open(t.Context(), o)
	require.NoError(t, err)
	return db
}

// The self-scrape is what a Prometheus beside the server would write.
func TestSelfScrape(t *testing.T) {
	db := openDB(t, &varve.Options{})
	text := "# TYPE a counter\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"
	status := http.StatusOK
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	})
	s := newSelfScrape(db, h, "here:1", slog.New(slog.DiscardHandler))
	start := time.Now()
	require.NoError(t, s.scrape(t.Context(), start))
	ask := func(expr string, at time.Time) string {
		r, err := db.Query(t.Context(), "default", expr, at)
		require.NoError(t, err)
		require.NoError(t, r.Err)
		return r.String()
	}
	require.Contains(t, ask(`{__name__=~"a|h_sum|up"}`, start), `{__name__="a", instance="here:1", job="varve", x="1"} => 1`)
	require.Contains(t, ask("up", start), "=> 1 @")
	require.Contains(t, ask("scrape_samples_scraped", start), "=> 5 @")

	later := start.Add(15 * time.Second)
	text = "a{x=\"1\"} 5\n"
	require.NoError(t, s.scrape(t.Context(), later))
	require.Equal(t, 1, strings.Count(ask("a", later), "=>"), "the one that went away is stale")
	sel, err := db.Select(t.Context(), "default", model.TimeRange{MinMs: later.UnixMilli(), MaxMs: later.UnixMilli()}, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "x", "2")})
	require.NoError(t, err)
	defer sel.Close()
	var c model.Columns
	require.NoError(t, sel.Series[0].Samples(&c, model.TimeRange{MinMs: 0, MaxMs: math.MaxInt64}))
	require.True(t, value.IsStaleNaN(c.V[len(c.V)-1]))

	failed := later.Add(15 * time.Second)
	status = http.StatusInternalServerError
	require.Error(t, s.scrape(t.Context(), failed))
	require.Contains(t, ask("up", failed), "=> 0 @")
	require.Empty(t, ask("a", failed))
	require.NoError(t, db.Close(t.Context()))
}

// Check 8 of the issue through the whole server: what is wrong with a series is said, and the good series of the request are kept.
func TestRubbishSeries(t *testing.T) {
	db := openDB(t, &varve.Options{})
	o := &serveOptions{}
	cmd := newServe(&environment{})
	require.NoError(t, cmd.ParseFlags(nil))
	budget, no := byteSize(1<<30), interval(time.Minute)
	body, decoded := byteSize(32<<20), byteSize(128<<20)
	o.memoryBudget, o.queryTimeout, o.queryLookback, o.limitBody, o.limitDecoded = &budget, &no, &no, &body, &decoded
	srv, err := o.server(db, nil, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), time.Now())
	require.NoError(t, err)
	many := []string{"__name__", "rubbish"}
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("l%05d", i), "v")
	}
	for name, pairs := range map[string][]string{
		"NUL in a label name":  {"__name__", "rubbish", "a\x00b", "1"},
		"empty label name":     {"__name__", "rubbish", "", "1"},
		"value is not UTF-8":   {"__name__", "rubbish", "a", "\xff"},
		"label twice":          {"__name__", "rubbish", "a", "1", "a", "2"},
		"no name":              {"rubbish", "1"},
		"10,000 labels":        many,
		"a value of a MiB":     {"__name__", "rubbish", "a", strings.Repeat("v", 1<<20)},
		"a metric name of NUL": {"__name__", "rubbish\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			good := "good_" + strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r
				}
				return '_'
			}, strings.ToLower(name))
			w := post(t, srv.Handler(), []string{"__name__", good}, pairs)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Contains(t, w.Body.String(), "1 of 2 samples refused, the others are stored: series {")
			require.Contains(t, w.Body.String(), "rubbish")
			require.Less(t, w.Body.Len(), 2000)
			r, err := db.Query(t.Context(), "default", good, time.UnixMilli(1000))
			require.NoError(t, err)
			require.Contains(t, r.String(), "=> 1 @")
		})
	}
	require.NoError(t, db.Close(t.Context()))
}

func post(t *testing.T, h http.Handler, series ...[]string) *httptest.ResponseRecorder {
	t.Helper()
	req := &prompb.WriteRequest{}
	for _, pairs := range series {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: 1, Timestamp: 1000}}}
		for i := 0; i < len(pairs); i += 2 {
			ts.Labels = append(ts.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	msg, err := req.Marshal()
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(snappy.Encode(nil, msg))))
	return w
}

// A writer in mode object that is gone with its disk is adopted by the command line, in full.
func TestAdoptCommand(t *testing.T) {
	bucket := "file://" + t.TempDir()
	dead := openDB(t, &varve.Options{Bucket: bucket, Ingest: ingester.Config{Mode: ingester.ModeObject, ObjectBatch: -1}})
	_, err := dead.AppendSeries(t.Context(), "default", varve.Series{Labels: labels.FromStrings("__name__", "kept"), Samples: []model.Sample{{T: 1000, V: 7}}})
	require.NoError(t, err)

	varveRun := func(args ...string) (string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, &environment{out: &stdout, err: &stderr})
		require.Zero(t, code, stderr.String())
		return stdout.String(), stderr.String()
	}
	out, _ := varveRun("inspect", "wal", "--bucket", bucket, "--data-dir", t.TempDir())
	require.Contains(t, out, dead.Writer())
	out, _ = varveRun("adopt", dead.Writer(), "--bucket", bucket)
	require.Contains(t, out, "is adopted: 1 samples from 1 segments are in 1 new blocks")
	out, _ = varveRun("adopt", dead.Writer(), "--bucket", bucket)
	require.Contains(t, out, "was adopted before")
	out, _ = varveRun("adopt", dead.Writer(), "--bucket", bucket, "--json")
	require.Contains(t, out, `"AlreadyAdopted":true`)
	out, _ = varveRun("inspect", "--bucket", bucket, "--data-dir", t.TempDir())
	require.Contains(t, out, "adopted")
	require.Contains(t, out, "fence")
	out, warnings := varveRun("query", "kept", "--bucket", bucket, "--time", "1")
	require.Contains(t, out, `{__name__="kept"}  7`)
	require.Empty(t, warnings)
}

func TestParseDay(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]string{"2026-01-02": "2026-01-02", "now-1d": "2026-01-01", "2026-01-02T00:30:00+02:00": "2026-01-01", "86400": "1970-01-02"} {
		got, err := parseDay(s, now)
		require.NoError(t, err, s)
		require.Equal(t, want, got.Dashed(), s)
	}
	for _, s := range []string{"", "2026-13-01", "2026-01", "20260101T"} {
		_, err := parseDay(s, now)
		require.ErrorContains(t, err, "YYYY-MM-DD", s)
	}
}

// TestPrintDay: the column of rollups, and the jobs that are claimed.
func TestPrintDay(t *testing.T) {
	for want, x := range map[string]dayRow{
		"-": {Blocks: 1}, "expired": {Thinned: true}, "1.0 KiB, samples have expired": {Thinned: true, Rollups: 2, RollupBytes: 1024},
		"1.0 KiB of 1 blocks": {Rollups: 2, RollupBytes: 1024, Blocks: 2, Rolled: 1}, "1.0 KiB": {Rollups: 2, RollupBytes: 1024, Blocks: 1, Rolled: 1},
	} {
		require.Equal(t, want, rollups(&x))
	}
	p := &catalog.Partition{Claims: []catalog.Claim{{Job: "old", Holder: "w", UntilMs: 999}, {Job: "rollup", Holder: "w", UntilMs: 1000}}}
	rows := claimRows([]*catalog.Partition{p}, 1000)
	require.Equal(t, []claimRow{{p.Day.Dashed(), "rollup", "w", 1000}}, rows)
	var out strings.Builder
	require.NoError(t, (&report{Claims: rows}).print(&out))
	require.Contains(t, out.String(), "rollup  w       1970-01-01T00:00:01Z")
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"now": now, "now-1h": now.Add(-time.Hour), "now+1d": now.Add(24 * time.Hour),
		"0": time.Unix(0, 0).UTC(), "-1.5": time.UnixMilli(-1500).UTC(), "2026-01-02T03:04:05Z": now, "2026-01-02T05:04:05+02:00": now,
	} {
		got, err := parseTime(s, now)
		require.NoError(t, err, s)
		require.True(t, want.Equal(got), "%s: %s", s, got)
	}
	for _, s := range []string{"", "now1h", "now-", "1e300", "NaN", "yesterday", "now-x"} {
		_, err := parseTime(s, now)
		require.Error(t, err, s)
	}
}

func TestAdvertise(t *testing.T) {
	host, err := os.Hostname()
	require.NoError(t, err)
	for bound, want := range map[string]string{"127.0.0.1:9": "127.0.0.1:9", "[::]:9": host + ":9", "0.0.0.0:9": host + ":9", "[::1]:9": "[::1]:9"} {
		require.Equal(t, want, (&serveOptions{}).advertised(bound), bound)
	}
	require.Equal(t, "me:1", (&serveOptions{advertise: "me:1"}).advertised("[::]:9"))
}

// Every flag says what it is for, and help lists defaults and exit codes.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"query", "--help"}, {"inspect", "--help"}, {"adopt", "--help"}, {"completion", "bash"}} {
		var stdout, stderr bytes.Buffer
		require.Zero(t, run(t.Context(), args, &environment{out: &stdout, err: &stderr}))
		require.Empty(t, stderr.String())
		if args[0] != "completion" {
			require.Contains(t, stdout.String(), "Exit codes:")
		}
	}
	require.NoFileExists(t, filepath.Join("data", "wal"))
}
