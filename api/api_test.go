package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/catalog"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// fake is a storage of one series, up{job="a b"} with 1 at 1000 s to 1100 s, or an error.
type fake struct {
	err error
	// contexts holds that of each call.
	contexts []context.Context
	before   func(ctx context.Context) // each Select, if set
}

func (f *fake) Querier(int64, int64) (storage.Querier, error) { return f, nil }
func (f *fake) Close() error                                  { return nil }

func (f *fake) Select(ctx context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	f.contexts = append(f.contexts, ctx)
	if f.before != nil {
		f.before(ctx)
	}
	if f.err != nil {
		return storage.ErrSeriesSet(f.err)
	}
	ls := labels.FromStrings("__name__", "up", "job", "a b")
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return storage.EmptySeriesSet()
		}
	}
	var samples []promql.FPoint
	for at := int64(1000); at <= 1100; at += 10 {
		samples = append(samples, promql.FPoint{T: at * 1000, F: 1})
	}
	return &oneSeries{series: promql.NewStorageSeries(promql.Series{Metric: ls, Floats: samples})}
}

func (f *fake) LabelValues(ctx context.Context, name string, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	f.contexts = append(f.contexts, ctx)
	return []string{"value of " + name}, annotations.Annotations{"w": errors.New("writer w1 was not asked")}, f.err
}

func (f *fake) LabelNames(ctx context.Context, _ *storage.LabelHints, _ ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	f.contexts = append(f.contexts, ctx)
	return []string{"__name__", "job"}, nil, f.err
}

type oneSeries struct {
	series storage.Series
	done   bool
}

func (s *oneSeries) Next() bool                        { d := s.done; s.done = true; return !d }
func (s *oneSeries) At() storage.Series                { return s.series }
func (s *oneSeries) Err() error                        { return nil }
func (s *oneSeries) Warnings() annotations.Annotations { return nil }

func newHandler(t *testing.T, q storage.Queryable) http.Handler {
	t.Helper()
	p := query.NewParser()
	e := query.NewEngine(&query.EngineOptions{MaxSamples: 20, Timeout: time.Minute}, p, nil, nil)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	h, err := New(&Options{Version: "1.2.3", Revision: "abc"}, Components{Engine: e, Queryable: q, Parser: p})
	require.NoError(t, err)
	return h
}

type envelope struct {
	Status, ErrorType, Error string
	Data                     json.RawMessage
	Warnings                 []string
}

func call(t *testing.T, h http.Handler, method, path, form string) (int, envelope) {
	t.Helper()
	var r *http.Request
	if method == http.MethodPost {
		r = httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r = httptest.NewRequest(method, "/api/v1"+path+"?"+form, nil)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), "acme")))
	var e envelope
	if w.Body.Len() > 0 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), w.Body.String())
	}
	return w.Code, e
}

func TestEndpoints(t *testing.T) {
	up := `{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a b"},"value":[1100,"1"]}]}`
	h := newHandler(t, &fake{})
	for _, c := range []struct {
		path, form, want string
		post             bool
	}{
		{"/query", "query=up&time=1100", up, true},
		{"/query_range", "query=sum(up)&start=1000&end=1020&step=10", `{"resultType":"matrix","result":[{"metric":{},"values":[[1000,"1"],[1010,"1"],[1020,"1"]]}]}`, true},
		{"/series", "match[]=up", `[{"__name__":"up","job":"a b"}]`, true},
		{"/labels", "match[]=up&start=1000&end=2000", `["__name__","job"]`, true},
		{"/label/job/values", "", `["value of job"]`, false},
		{"/label/U__odd_2e_name/values", "", `["value of odd.name"]`, false},
		{"/status/buildinfo", "", `"version":"1.2.3","revision":"abc"`, false},
		{"/status/runtimeinfo", "", `"goroutineCount"`, false},
		{"/status/flags", "", `{}`, false},
		{"/status/config", "", `"yaml"`, false},
		{"/status/tsdb", "start=1000&end=1100", `{"headStats":{"numSeries":1,"numLabelPairs":2,"chunkCount":0,"minTime":1000000,"maxTime":1100000},"seriesCountByMetricName":[{"name":"up","value":1}]`, false},
		{"/status/walreplay", "", `"current":0`, false},
		{"/status/self_metrics", "", `[`, false},
		{"/format_query", "query=sum(up)by(job)", `"sum by (job) (up)"`, true},
		{"/parse_query", "query=up", `"vectorSelector"`, true},
		{"/metadata", "", `{}`, false},
		{"/targets", "", `"activeTargets":[]`, false},
		{"/targets/metadata", "", `[]`, false},
		{"/scrape_pools", "", `"scrapePools":[]`, false},
		{"/rules", "", `{"groups":[]}`, false},
		{"/alerts", "", `{"alerts":[]}`, false},
		{"/alertmanagers", "", `"activeAlertmanagers":[]`, false},
		{"/query_exemplars", "query=up", `[]`, true},
		{"/features", "", `"promql"`, false},
		{"/notifications", "", `[]`, false},
	} {
		methods := []string{http.MethodGet}
		if c.post {
			methods = append(methods, http.MethodPost)
		}
		for _, m := range methods {
			t.Run(m+c.path, func(t *testing.T) {
				status, e := call(t, h, m, c.path, c.form)
				require.Equal(t, http.StatusOK, status, e.Error)
				require.Equal(t, "success", e.Status)
				require.Contains(t, string(e.Data), c.want)
			})
		}
	}
}

func TestErrors(t *testing.T) {
	f := &fake{}
	h := newHandler(t, f)
	down := fmt.Errorf("writer w1 cannot be asked: %w", model.ErrUnavailable)
	for _, c := range []struct {
		name       string
		err        error
		path, form string
		status     int
		errorType  string
	}{
		{"no query", nil, "/query", "", 400, "bad_data"},
		{"syntax", nil, "/query", "query=up{", 400, "bad_data"},
		{"too many points", nil, "/query_range", "query=up&start=0&end=100000&step=1", 400, "bad_data"},
		{"no matcher", nil, "/series", "", 400, "bad_data"},
		{"bad matcher", nil, "/series", "match[]={", 400, "bad_data"},
		{"bad label name", nil, "/label/%ff/values", "", 400, "bad_data"},
		{"bad partial_response", nil, "/query", "query=up&partial_response=maybe", 400, "bad_data"},
		{"bad form", nil, "/query", "query=%zz", 400, "bad_data"},
		{"execution", nil, "/query", "query=" + url.QueryEscape(`label_replace(up,"x","$1","job","(")`), 422, "execution"},
		{"too many samples", nil, "/query", "query=up[1h]&time=1100&x=1", 200, ""},
		{"unavailable query", down, "/query", "query=up", 503, "unavailable"},
		{"unavailable range", down, "/query_range", "query=up&start=0&end=10&step=1", 503, "unavailable"},
		{"unavailable series", down, "/series", "match[]=up", 503, "unavailable"},
		{"unavailable labels", down, "/labels", "", 503, "unavailable"},
		{"unavailable values", down, "/label/job/values", "", 503, "unavailable"},
		{"limit", fmt.Errorf("x: %w", model.ErrLimit), "/query", "query=up", 429, "execution"},
		{"budget", fmt.Errorf("x: %w", &query.BudgetError{Budget: "bytes", Limit: "5"}), "/query", "query=up", 422, "execution"},
		{"budget of labels", fmt.Errorf("x: %w", &query.BudgetError{Budget: "bytes", Limit: "5"}), "/labels", "", 422, "execution"},
		{"bad explain", nil, "/query", "query=up&explain=maybe", 400, "bad_data"},
		{"limit of labels", fmt.Errorf("x: %w", model.ErrLimit), "/labels", "", 429, "execution"},
		{"invalid", fmt.Errorf("x: %w", model.ErrInvalid), "/query", "query=up", 400, "execution"},
		{"corrupt", fmt.Errorf("x: %w", model.ErrCorrupt), "/query", "query=up", 500, "internal"},
		{"corrupt labels", fmt.Errorf("x: %w", model.ErrCorrupt), "/label/job/values", "", 500, "execution"},
		{"timeout", fmt.Errorf("ask writer w1: %w", context.DeadlineExceeded), "/query", "query=up", 503, "timeout"},
		{"timeout of labels", fmt.Errorf("x: %w", context.DeadlineExceeded), "/labels", "", 503, "unavailable"},
		{"timeout of series", fmt.Errorf("x: %w", context.DeadlineExceeded), "/series", "match[]=up", 503, "timeout"},
		{"timeout of counts", fmt.Errorf("x: %w", context.DeadlineExceeded), "/status/tsdb", "", 503, "timeout"},
		{"timeout of values", fmt.Errorf("x: %w", context.DeadlineExceeded), "/label/job/values", "", 503, "unavailable"},
		{"write", nil, "/write", "", 404, "not_found"},
		{"nothing there", nil, "/nosuch", "", 404, "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.err = c.err
			method := http.MethodGet
			if c.path == "/write" {
				method = http.MethodPost
			}
			status, e := call(t, h, method, c.path, c.form)
			require.Equal(t, c.status, status, "%+v", e)
			require.Equal(t, c.errorType, e.ErrorType, "%+v", e)
			if c.errorType != "" {
				require.Equal(t, "error", e.Status)
				require.NotEmpty(t, e.Error)
			}
			if errors.Is(c.err, model.ErrUnavailable) || c.name == "timeout" {
				require.Contains(t, e.Error, "w1")
			}
		})
	}
}

func TestContext(t *testing.T) {
	f := &fake{}
	h := newHandler(t, f)
	_, e := call(t, h, http.MethodGet, "/label/job/values", "")
	require.Equal(t, []string{"writer w1 was not asked"}, e.Warnings)
	_, ok := f.contexts[0].Deadline()
	require.True(t, ok, "label calls end in time")
	call(t, h, http.MethodPost, "/query", "query=up")
	for _, ctx := range f.contexts {
		require.Equal(t, "acme", tenant.FromContext(ctx))
		require.False(t, query.PartialResponse(ctx))
	}
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		f.contexts = nil
		call(t, h, m, "/query", "query=up&partial_response=true")
		require.Len(t, f.contexts, 1)
		require.True(t, query.PartialResponse(f.contexts[0]), m)
	}
}

func TestExplain(t *testing.T) {
	f := &fake{}
	h := newHandler(t, f)
	get := func(path string, gzip bool) http.Header {
		r := httptest.NewRequest(http.MethodGet, "/api/v1"+path, nil)
		if gzip {
			r.Header.Set("Accept-Encoding", "gzip")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Header()
	}
	require.Empty(t, get("/query?query=up", false).Values(ExplainHeader))
	require.Empty(t, get("/query?query=up&explain=false", false).Values(ExplainHeader))
	for _, path := range []string{"/query?query=up", "/query_range?query=up&start=1000&end=1020&step=10", "/query?query=up{"} {
		for _, gzip := range []bool{false, true} {
			var e map[string]any
			require.NoError(t, json.Unmarshal([]byte(get(path+"&explain=true", gzip).Get(ExplainHeader)), &e), path)
			for _, key := range []string{"stages", "gets", "lists", "bytes_fetched", "bytes_needed", "cost_usd"} {
				require.Contains(t, e, key)
			}
		}
	}
}

// TestExplainStreamed has a remote read of two queries, the answer to the first of which is sent before the second is read.
func TestExplainStreamed(t *testing.T) {
	bucket := blob.New(mem.New(), nil)
	q, err := query.New(nil, query.Components{Catalog: catalog.New(bucket, nil, catalog.Components{})})
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	f := &fake{before: func(ctx context.Context) {
		querier, err := q.Querier(1_000_000, 1_100_000)
		require.NoError(t, err)
		defer querier.Close()
		_, _, err = querier.LabelNames(ctx, nil)
		require.NoError(t, err)
	}}
	server := httptest.NewServer(newHandler(t, f))
	defer server.Close()
	ask := &prompb.Query{StartTimestampMs: 1_000_000, EndTimestampMs: 1_100_000, Matchers: []*prompb.LabelMatcher{{Name: "__name__", Value: "up"}}}
	body, err := (&prompb.ReadRequest{Queries: []*prompb.Query{ask, ask}, AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS}}).Marshal()
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/read?explain=true", bytes.NewReader(snappy.Encode(nil, body)))
	require.NoError(t, err)
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var first, all query.Explain
	require.NoError(t, json.Unmarshal([]byte(resp.Header.Get(ExplainHeader)), &first))
	require.NoError(t, json.Unmarshal([]byte(resp.Trailer.Get(ExplainHeader)), &all))
	require.Equal(t, 2*first.Gets, all.Gets)
	require.Positive(t, first.Gets)
}

func TestOrigins(t *testing.T) {
	for pattern, want := range map[string]string{"": "", `https://a\.example`: "https://a.example", "https://a": ""} {
		p := query.NewParser()
		e := query.NewEngine(nil, p, nil, nil)
		h, err := New(&Options{CORSOrigin: pattern}, Components{Engine: e, Queryable: &fake{}, Parser: p})
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodGet, "/api/v1/labels", nil)
		r.Header.Set("Origin", "https://a.example")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Header().Get("Access-Control-Allow-Origin"), pattern)
	}
	_, err := New(&Options{CORSOrigin: "("}, Components{Parser: query.NewParser()})
	require.Error(t, err)
}
