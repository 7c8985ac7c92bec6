package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

// store is an Appender, a Source, a Flusher and an API in one.
type store struct {
	mu      sync.Mutex
	samples map[string]int
	err     error
	result  model.AppendResult
	block   chan struct{}
	flushes int
}

func (s *store) Append(_ context.Context, tenant string, b *model.Batch) (model.AppendResult, error) {
	if s.block != nil {
		<-s.block
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return model.AppendResult{}, s.err
	}
	if s.samples == nil {
		s.samples = map[string]int{}
	}
	s.samples[tenant] += len(b.Samples)
	r := s.result
	r.Samples += len(b.Samples)
	return r, nil
}

func (s *store) Writer() string { return "w1" }

func (s *store) Select(context.Context, string, model.TimeRange, []*labels.Matcher) (*model.Selection, error) {
	return &model.Selection{}, s.err
}

func (s *store) Flush(ctx context.Context) error {
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.flushes++
	return s.err
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/panic" {
		panic("planned")
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "tenant=%s query=%s", tenant.FromContext(r.Context()), r.Form.Get("query"))
}

func newServer(t *testing.T, s *store, opts *Options, checks ...Check) (*Server, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	srv := New(opts, Components{Appender: s, API: s, Source: s, Flusher: s, Checks: checks, Gatherer: reg, Registerer: reg, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	return srv, reg
}

func writeBody(t testing.TB, series ...prompb.TimeSeries) []byte {
	b, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, b)
}

func oneSeries(name string) prompb.TimeSeries {
	return prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: name}}, Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}}
}

func do(h http.Handler, method, target string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestWrite(t *testing.T) {
	st := &store{}
	srv, _ := newServer(t, st, nil)
	w := do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("a"), oneSeries("b")), "Content-Type", "application/x-protobuf", "Content-Encoding", "snappy")
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	w = do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("a")), tenantHeader, "team-1")
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Equal(t, map[string]int{"default": 2, "team-1": 1}, st.samples)
	require.Equal(t, http.StatusNoContent, do(srv.Handler(), "POST", pathWrite, writeBody(t)).Code, "a request without series is fine")
	require.Zero(t, srv.admission.used.Load())
}

func TestWriteOfUnknownLength(t *testing.T) {
	st := &store{}
	srv, _ := newServer(t, st, nil)
	hs := httptest.NewServer(srv.Handler())
	defer hs.Close()
	for body, want := range map[string]int{
		string(writeBody(t, oneSeries("a"))):                              http.StatusNoContent,
		string(writeBody(t, oneSeries("a"))) + strings.Repeat("x", 1<<20): http.StatusBadRequest,
		"\x80\x80\x80\x80\x04" + strings.Repeat("x", 1000):                http.StatusRequestEntityTooLarge,
		"": http.StatusBadRequest,
	} {
		resp, err := http.Post(hs.URL+pathWrite, "", io.MultiReader(strings.NewReader(body))) // the type hides the length
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, want, resp.StatusCode)
	}
}

func TestGoodSeriesAreKept(t *testing.T) {
	st := &store{result: model.AppendResult{
		Rejected:        []model.Rejection{{Series: `{__name__="1bad"}`, Err: fmt.Errorf("name is no metric name: %w", model.ErrInvalid)}},
		RejectedSamples: 1, Reasons: map[model.Reason]int{model.ReasonLabels: 1},
	}}
	srv, reg := newServer(t, st, &Options{Write: remotewrite.Options{MaxLabels: 1}})
	two := oneSeries("two")
	two.Labels = append(two.Labels, prompb.Label{Name: "a", Value: "b"})
	w := do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("good"), two))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, 1, st.samples["default"])
	require.Contains(t, w.Body.String(), `2 of 3 samples refused, the others are stored: series {"__name__"="two", "a"="b"}: 2 labels, at most 1 are accepted`)
	require.Contains(t, w.Body.String(), "\nseries {__name__=\"1bad\"}: name is no metric name\n")
	require.Equal(t, 2.0, gathered(t, reg, "varve_write_samples_rejected_total"))
}

// TestTooManySeriesIsForNow: a sender drops what it got a 400 for, but this limit lifts with the next flush.
func TestTooManySeriesIsForNow(t *testing.T) {
	st := &store{result: model.AppendResult{
		Rejected:        []model.Rejection{{Series: `{__name__="third"}`, Err: fmt.Errorf("as many as allowed: %w", model.ErrLimit)}},
		RejectedSamples: 1, Reasons: map[model.Reason]int{model.ReasonSeries: 1},
	}}
	srv, _ := newServer(t, st, nil)
	w := do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("first")))
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), `{__name__="third"}`)
}

func TestStatusTable(t *testing.T) {
	for _, tc := range []struct {
		err        error
		status     int
		retryAfter string
	}{
		{model.ErrInvalid, 400, ""},
		{model.ErrNotFound, 404, ""},
		{model.ErrConflict, 409, ""},
		{model.ErrLimit, 429, "5"},
		{model.ErrUnavailable, 503, "5"},
		{context.DeadlineExceeded, 503, "5"},
		{context.Canceled, 499, ""},
		{os.ErrDeadlineExceeded, 408, ""},
		{model.ErrCorrupt, 500, ""},
		{model.ErrVersion, 500, ""},
		{errors.New("anything"), 500, ""},
		{&http.MaxBytesError{Limit: 1}, 413, ""},
		{&remotewrite.TooLargeError{}, 413, ""},
		{remotewrite.ErrMediaType, 415, ""},
	} {
		srv, _ := newServer(t, &store{err: fmt.Errorf("append: %w", tc.err)}, nil)
		for _, path := range []string{pathWrite, pathFlush} {
			w := do(srv.Handler(), "POST", path, writeBody(t, oneSeries("a")))
			if path == pathFlush && errors.Is(tc.err, context.DeadlineExceeded) {
				continue
			}
			require.Equal(t, tc.status, w.Code, "%s %v", path, tc.err)
			require.Equal(t, tc.retryAfter, w.Header().Get("Retry-After"), "%v", tc.err)
			require.Equal(t, path == pathFlush, json.Valid(w.Body.Bytes()), w.Body)
		}
	}
}

func TestTenants(t *testing.T) {
	srv, _ := newServer(t, &store{}, nil)
	for _, name := range []string{"../..", "a/b", "a|b", "", strings.Repeat("a", 65), "a b", "ä", "a\x00", "%2e%2e", "."} {
		for _, target := range []string{pathWrite, pathFlush, "/api/v1/query?query=up"} {
			w := do(srv.Handler(), "POST", target, writeBody(t, oneSeries("a")), tenantHeader, name)
			require.Equal(t, http.StatusBadRequest, w.Code, "%q at %s", name, target)
			require.Contains(t, w.Body.String(), tenantHeader)
		}
	}
	w := do(srv.Handler(), "GET", "/api/v1/query", nil, tenantHeader, "a", tenantHeader, "b")
	require.Equal(t, http.StatusBadRequest, w.Code, "two headers")
	w = do(srv.Handler(), "GET", "/api/v1/query?query=up", nil, tenantHeader, strings.Repeat("a", 64))
	require.Equal(t, "tenant="+strings.Repeat("a", 64)+" query=up", w.Body.String())
	w = do(srv.Handler(), "POST", "/api/v1/query", []byte("query=down"), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, "tenant=default query=down", w.Body.String())
}

func TestPanicIsAnAnswer(t *testing.T) {
	srv, reg := newServer(t, &store{}, nil)
	w := do(srv.Handler(), "GET", "/api/v1/panic", nil, requestIDHeader, "abc")
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), "under request abc")
	require.Equal(t, "abc", w.Header().Get(requestIDHeader))
	require.Equal(t, 1.0, gathered(t, reg, "varve_http_panics_total"))
	require.Zero(t, gathered(t, reg, "varve_http_requests_in_flight"))
	w = do(srv.Handler(), "GET", "/-/healthy", nil, requestIDHeader, "no\nthanks")
	require.NotContains(t, w.Header().Get(requestIDHeader), "thanks")
}

func gathered(t *testing.T, g prometheus.Gatherer, name string) (sum float64) {
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.Metric {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func TestRoutesAreAFixedSet(t *testing.T) {
	srv, reg := newServer(t, &store{}, nil)
	for i := range 50 {
		do(srv.Handler(), "GET", fmt.Sprintf("/api/v1/x%d", i), nil)
		do(srv.Handler(), "GET", fmt.Sprintf("/api/v1/label/l%d/values", i), nil)
		do(srv.Handler(), "GET", fmt.Sprintf("/y%d", i), nil)
	}
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		require.Less(t, len(f.Metric), 6, f.GetName())
	}
}

func TestReady(t *testing.T) {
	var reason error
	srv, _ := newServer(t, &store{}, nil, Check{"bucket", func(context.Context) error { return reason }}, Check{"wal", func(context.Context) error { return nil }})
	w := do(srv.Handler(), "GET", "/-/ready", nil)
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"ready":true,"checks":[{"name":"running","ok":true},{"name":"bucket","ok":true},{"name":"wal","ok":true}]}`, w.Body.String())
	reason = errors.New("no route to host")
	w = do(srv.Handler(), "GET", "/-/ready", nil)
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), `{"name":"bucket","ok":false,"reason":"no route to host"}`)
	require.Equal(t, 200, do(srv.Handler(), "GET", "/-/healthy", nil).Code)
	require.Equal(t, 200, do(srv.Handler(), "HEAD", "/-/healthy", nil).Code)
}

func TestPageAndMetrics(t *testing.T) {
	srv, _ := newServer(t, &store{}, &Options{Profiling: true})
	w := do(srv.Handler(), "GET", "http://here:9009/", nil)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "<title>Varve</title>")
	w = do(srv.Handler(), "GET", "/metrics", nil)
	require.Contains(t, w.Body.String(), `varve_http_requests_total{code="200",route="/"} 1`)
	require.Equal(t, 200, do(srv.Handler(), "GET", "/debug/pprof/", nil).Code)
}

func TestWritesWaitForMemory(t *testing.T) {
	st := &store{block: make(chan struct{})}
	body := writeBody(t, oneSeries("a"))
	srv, _ := newServer(t, st, &Options{MaxInFlightBytes: 100, QueueTimeout: 1})
	hs := httptest.NewServer(srv.Handler())
	defer hs.Close()
	first := make(chan int)
	go func() {
		resp, err := http.Post(hs.URL+pathWrite, "", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			close(first)
			return
		}
		resp.Body.Close()
		first <- resp.StatusCode
	}()
	for srv.admission.used.Load() == 0 {
		select {
		case <-t.Context().Done():
			return
		default:
		}
	}
	resp, err := http.Post(hs.URL+pathWrite, "", bytes.NewReader(body))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "5", resp.Header.Get("Retry-After"))
	close(st.block)
	require.Equal(t, 204, <-first)
	resp, err = http.Post(hs.URL+pathWrite, "", bytes.NewReader(body))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 204, resp.StatusCode)
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	st := &store{block: make(chan struct{})}
	srv, _ := newServer(t, st, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, ln) }()
	answered := make(chan int, 1)
	body := writeBody(t, oneSeries("a"))
	go func() {
		resp, err := http.Post("http://"+ln.Addr().String()+pathWrite, "", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	for srv.admission.used.Load() == 0 {
	}
	stop()
	for !srv.stopping.Load() {
	}
	require.Equal(t, 503, do(srv.Handler(), "GET", "/-/ready", nil).Code)
	close(st.block)
	require.Equal(t, 204, <-answered)
	require.NoError(t, <-served)
}

func TestFlushTimesOut(t *testing.T) {
	st := &store{block: make(chan struct{})}
	srv, _ := newServer(t, st, &Options{FlushTimeout: 1})
	w := do(srv.Handler(), "PUT", pathFlush, nil)
	require.Equal(t, 503, w.Code)
	require.Contains(t, w.Body.String(), "not everything is committed")
	close(st.block)
	srv, _ = newServer(t, st, nil)
	require.Equal(t, 204, do(srv.Handler(), "PUT", pathFlush, nil).Code)
	require.Equal(t, 1, st.flushes)
}

func TestSelectOverTheWire(t *testing.T) {
	srv, _ := newServer(t, &store{}, nil)
	hs := httptest.NewServer(srv.Handler())
	defer hs.Close()
	c, err := wire.NewClient("w1", hs.URL, nil)
	require.NoError(t, err)
	s, err := c.Select(t.Context(), "default", model.TimeRange{MaxMs: 1}, nil)
	require.NoError(t, err)
	require.Empty(t, s.Series)
}
