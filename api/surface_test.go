package api

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

// Every option of the language is on: each of these parses and is evaluated.
func TestLanguage(t *testing.T) {
	h := newHandler(t, &fake{})
	for name, expr := range map[string]string{
		"experimental functions":    `sort_by_label(mad_over_time(up[1m]) + ts_of_max_over_time(up[1m]), "job")`,
		"experimental aggregations": `limitk(1, up) + limit_ratio(1, up)`,
		"double exponential":        `double_exponential_smoothing(up[1m], 0.5, 0.5)`,
		"first over time":           `first_over_time(up[1m])`,
		"info":                      `info(up)`,
		"duration expression":       `sum_over_time(up[1m + 2 * 10s] offset (5s + 5s))`,
		"step in a duration":        `sum_over_time(up[2 * step() + 10s])`,
		"smallest duration":         `sum_over_time(up[min_of(1m, 2m)])`,
		"anchored":                  `increase(up[30s] anchored)`,
		"smoothed":                  `rate(up[30s] smoothed)`,
		"fill":                      `up + on(job) fill(3) (up unless up)`,
		"fill of one side":          `up + on(job) fill_right(3) (up unless up)`,
		"at and negative offset":    `up @ end() offset -10s`,
		"quoted names":              `{"up", "job"="a b"}`,
		"bare UTF-8 names":          `up or température.moyenne`,
		"delayed removal of names":  `label_replace(rate(up[1m]), "kept", "$1", "__name__", "(.+)")`,
		"subquery":                  `max_over_time(rate(up[30s])[1m:10s])`,
	} {
		t.Run(name, func(t *testing.T) {
			status, e := call(t, h, http.MethodPost, "/query_range", "start=1050&end=1060&step=10&query="+url.QueryEscape(expr))
			require.Equal(t, http.StatusOK, status, "%+v", e)
			require.Contains(t, string(e.Data), `"a b"`, "has a result")
			status, e = call(t, h, http.MethodPost, "/parse_query", "query="+url.QueryEscape(expr))
			require.Equal(t, http.StatusOK, status, "%+v", e)
			status, e = call(t, h, http.MethodPost, "/format_query", "query="+url.QueryEscape(expr))
			require.Equal(t, http.StatusOK, status, "%+v", e)
		})
	}
	_, e := call(t, h, http.MethodPost, "/query", "time=1060&query="+url.QueryEscape(`label_replace(rate(up[1m]), "kept", "$1", "__name__", "(.+)")`))
	require.Contains(t, string(e.Data), `"kept":"up"`)
}

// TestBadInput has what is wrong answered as Prometheus does, per endpoint.
func TestBadInput(t *testing.T) {
	h := newHandler(t, &fake{})
	for _, c := range []struct {
		method, path, form string
		status             int
		errorType, says    string
	}{
		{"GET", "/query", "query=up%2B", 400, "bad_data", "1:4: parse error"},
		{"POST", "/query", "query=" + url.QueryEscape("sum(\n  up{job=}\n)"), 400, "bad_data", "2:10: parse error"},
		{"GET", "/query", "query=up&time=noon", 400, "bad_data", `"time"`},
		{"GET", "/query", "query=up&timeout=soon", 400, "bad_data", `"timeout"`},
		{"GET", "/query", "query=up&timeout=-1", 400, "bad_data", `"timeout"`},
		{"GET", "/query", "query=up&limit=-1", 400, "bad_data", `"limit"`},
		{"GET", "/query", "query=up&lookback_delta=x", 400, "bad_data", "lookback delta"},
		{"GET", "/query", "query=up&resolution=7m", 400, "bad_data", `"resolution"`},
		{"GET", "/query_range", "query=up&start=0&end=11001&step=1", 400, "bad_data", "11,000 points"},
		{"GET", "/query_range", "query=up&start=0&end=9e9&step=1e-9", 400, "bad_data", "11,000 points"},
		{"GET", "/query_range", "query=up&start=0&end=1&step=0", 400, "bad_data", `"step"`},
		{"GET", "/query_range", "query=up&start=0&end=1&step=NaN", 400, "bad_data", `"step"`},
		{"GET", "/query_range", "query=up&start=0&end=9e15&step=1e15", 400, "bad_data", `"step"`},
		{"GET", "/query_range", "query=up&start=2&end=1&step=1", 400, "bad_data", `"end"`},
		{"GET", "/query_range", "query=up&end=1&step=1", 400, "bad_data", `"start"`},
		{"GET", "/query_range", "query=up[5m]&start=0&end=1&step=1", 400, "bad_data", "range vector"},
		{"POST", "/series", "match[]={}", 400, "bad_data", "match[]"},
		{"POST", "/series", "match[]=up&start=x", 400, "bad_data", `"start"`},
		{"POST", "/series", "match[]=up&limit=many", 400, "bad_data", `"limit"`},
		{"POST", "/labels", "match[]={", 400, "bad_data", "parse error"},
		{"POST", "/labels", "end=x", 400, "bad_data", `"end"`},
		{"GET", "/label/job/values", "match[]=1", 400, "bad_data", "parse error"},
		{"GET", "/label/job/values", "limit=-1", 400, "bad_data", `"limit"`},
		{"POST", "/query_exemplars", "query=up(", 400, "bad_data", "parse error"},
		{"POST", "/query_exemplars", "query=up&start=2&end=1", 400, "bad_data", "end timestamp"},
		{"GET", "/format_query", "query=up(", 400, "bad_data", "1:4"},
		{"GET", "/parse_query", "", 400, "bad_data", "no expression"},
		{"GET", "/rules", "type=x", 400, "bad_data", `"type"`},
		{"GET", "/targets/metadata", "limit=x", 400, "bad_data", "limit"},
		{"GET", "/status/tsdb", "limit=0", 400, "bad_data", `"limit"`},
		{"GET", "/status/tsdb", "start=2&end=1", 400, "bad_data", "end lies before start"},
		{"GET", "/status/tsdb", "start=NaN", 400, "bad_data", `"start"`},
		{"GET", "/status/nosuch", "", 404, "not_found", "nothing is at"},
		{"DELETE", "/query", "query=up", 405, "bad_data", "DELETE"},
		{"POST", "/label/job/values", "", 405, "bad_data", "POST"},
	} {
		t.Run(c.method+c.path+"?"+c.form, func(t *testing.T) {
			status, e := call(t, h, c.method, c.path, c.form)
			require.Equal(t, c.status, status, "%+v", e)
			require.Equal(t, "error", e.Status)
			require.Equal(t, c.errorType, e.ErrorType, "%+v", e)
			require.Contains(t, e.Error, c.says)
			require.False(t, strings.HasSuffix(e.Error, ": invalid"), e.Error)
		})
	}
}

// Forms come in parts too, as Prometheus' handlers take them.
func TestMultipart(t *testing.T) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for name, value := range map[string]string{"query": "up", "time": "1100"} {
		require.NoError(t, form.WriteField(name, value))
	}
	require.NoError(t, form.Close())
	body := b.String()
	ask := func(body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/query", strings.NewReader(body))
		r.Header.Set("Content-Type", form.FormDataContentType())
		w := httptest.NewRecorder()
		newHandler(t, &fake{}).ServeHTTP(w, r)
		return w
	}
	w := ask(body)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Contains(t, w.Body.String(), `[1100,"1"]`)
	w = ask(body[:len(body)/2])
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), `"bad_data"`)
}

// The status pages tell what the server was started with.
func TestStatusPages(t *testing.T) {
	p := query.NewParser()
	e := query.NewEngine(nil, p, nil, nil)
	defer func() { require.NoError(t, e.Close()) }()
	h, err := New(&Options{
		Flags: map[string]string{"retention": "90d"}, Config: "retention: 90d\n", Runtime: Runtime{Directory: "/there", Retention: "90d", GOGC: "50", GODEBUG: "a=1"},
	}, Components{Engine: e, Queryable: &fake{}, Parser: p})
	require.NoError(t, err)
	_, flags := call(t, h, http.MethodGet, "/status/flags", "")
	require.JSONEq(t, `{"retention":"90d"}`, string(flags.Data))
	_, config := call(t, h, http.MethodGet, "/status/config", "")
	require.JSONEq(t, `{"yaml":"retention: 90d\n"}`, string(config.Data))
	_, runtime := call(t, h, http.MethodGet, "/status/runtimeinfo", "")
	for _, want := range []string{`"CWD":"/there"`, `"storageRetention":"90d"`, `"GOGC":"50"`, `"GODEBUG":"a=1"`} {
		require.Contains(t, string(runtime.Data), want)
	}
}

// Who mounts the handler compresses, whatever the client takes.
func TestUncompressed(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up&time=1100", nil)
	r.Header.Set("Accept-Encoding", "gzip, zstd")
	w := httptest.NewRecorder()
	newHandler(t, &fake{}).ServeHTTP(w, r)
	require.Empty(t, w.Header().Get("Content-Encoding"))
	require.Equal(t, "gzip, zstd", r.Header.Get("Accept-Encoding"), "the request is its maker's")
}
