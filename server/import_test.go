package server

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func zipped(t *testing.T, encoding, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "gzip":
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, w.Close())
	case "zstd":
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		_, err = w.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, w.Close())
	default:
		b.WriteString(body)
	}
	return b.Bytes()
}

func post(t *testing.T, s *Server, target, contentType, encoding string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Encoding", encoding)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// told collects what is appended, by value, as batches are used again.
type told struct {
	samples []string
	refuse  string // series with this metric
}

func (s *told) server(t *testing.T) *Server {
	return New(nil, Components{Appender: s, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
}

func TestImport(t *testing.T) {
	for _, encoding := range []string{"", "identity", "gzip", "zstd"} {
		st := &told{}
		srv := st.server(t)
		body := "# TYPE a counter\na{k=\"v\"} 1 1000\n b 2\nc 3 2000"
		w := post(t, srv, pathImport+"?timestamp=7", "text/plain; version=0.0.4", encoding, zipped(t, encoding, body))
		require.Equal(t, 204, w.Code, "%s: %s", encoding, w.Body)
		require.Equal(t, []string{`{__name__="a", k="v"} 1000 1`, `{__name__="b"} 7 2`, `{__name__="c"} 2000 3`}, st.samples)
	}
	st := &told{}
	srv := st.server(t)
	w := post(t, srv, pathImport, "application/openmetrics-text; version=1.0.0; charset=utf-8", "", []byte("a 1 1.5\n# EOF\n"))
	require.Equal(t, 204, w.Code, w.Body)
	require.Equal(t, []string{`{__name__="a"} 1500 1`}, st.samples)
}

func TestImportTakesTheGoodPart(t *testing.T) {
	st := &told{refuse: "no"}
	srv := st.server(t)
	w := post(t, srv, pathImport, "", "", []byte("a 1 1\nb{ 2\nno 3 3\nc 4 4\n"))
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "1 lines do not parse and 1 samples were refused, 2 are stored")
	require.Contains(t, w.Body.String(), "line 2: ")
	require.Len(t, st.samples, 2)
}

func TestImportIsBounded(t *testing.T) {
	st := &told{}
	srv := st.server(t)
	var body strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&body, "a_metric_with_a_name{i=\"%d\",text=\"%s\"} 1 %d\n", i%7, strings.Repeat("x", 60), i)
	}
	require.Greater(t, body.Len(), 5*importChunk)
	require.Equal(t, 204, post(t, srv, pathImport, "", "gzip", zipped(t, "gzip", body.String())).Code)
	require.Len(t, st.samples, 60_000)

	// A bomb: one line without an end.
	w := post(t, srv, pathImport, "", "gzip", zipped(t, "gzip", "a 1 1\n"+strings.Repeat("x", 50<<20)))
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "line 2 is longer than")
}

func TestImportOfRubbish(t *testing.T) {
	st := &told{}
	srv := st.server(t)
	whole := zipped(t, "gzip", strings.Repeat("a 1 1\n", 1000))
	bent := bytes.Clone(whole)
	bent[len(bent)/2] ^= 0x55
	for name, w := range map[string]*httptest.ResponseRecorder{
		"no gzip":   post(t, srv, pathImport, "", "gzip", []byte("a 1 1\n")),
		"cut gzip":  post(t, srv, pathImport, "", "gzip", whole[:len(whole)/2]),
		"bent gzip": post(t, srv, pathImport, "", "gzip", bent),
		"no zstd":   post(t, srv, pathImport, "", "zstd", []byte("a 1 1\n")),
		"timestamp": post(t, srv, pathImport+"?timestamp=x", "", "", []byte("a 1 1\n")),
		"binary":    post(t, srv, pathImport, "", "", bytes.Repeat([]byte{0xff, 0, '\n'}, 100)),
	} {
		require.Equal(t, 400, w.Code, "%s: %s", name, w.Body)
		require.Greater(t, w.Body.Len(), 15, name)
	}
	w := post(t, srv, pathImport, "", "gzip", zipped(t, "gzip", strings.Repeat("a 1 1\n", 10)+strings.Repeat("x\n", 3_000_000)))
	require.Equal(t, 400, w.Code)
	require.Contains(t, w.Body.String(), "gave up after")
	require.Contains(t, w.Body.String(), "line 11: ")
	require.Equal(t, 415, post(t, srv, pathImport, "", "br", []byte("a 1 1\n")).Code)
	require.Equal(t, 204, post(t, srv, pathImport, "", "", nil).Code)
}

// Append implements model.Appender.
func (s *told) Append(_ context.Context, _ string, b *model.Batch) (r model.AppendResult, err error) {
	for _, x := range b.Series {
		lb := labels.NewScratchBuilder(2)
		if err := b.Labels.Decode(x.Key, &lb); err != nil {
			return r, err
		}
		lb.Sort()
		ls := lb.Labels()
		if ls.Get("__name__") == s.refuse {
			r.RejectedSamples++
			r.Rejected = append(r.Rejected, model.Rejection{Series: ls.String(), Err: model.ErrInvalid})
			continue
		}
		for _, v := range b.Samples[x.First : x.First+x.Count] {
			s.samples = append(s.samples, fmt.Sprintf("%s %d %v", ls, v.T, v.V))
			r.Samples++
		}
	}
	return r, nil
}

// TestBodyThatNeverComes: who announces a body and sends none of it is answered when its time is over, whatever reads it, and nothing is held for it.
func TestBodyThatNeverComes(t *testing.T) {
	for _, to := range [][2]string{{pathImport, ""}, {pathImport, "gzip"}, {pathImport, "zstd"}, {pathWrite, "snappy"}} {
		srv := New(&Options{BodyTimeout: time.Millisecond}, Components{Appender: &told{}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		hs := httptest.NewServer(srv.Handler())
		defer hs.Close()
		c, err := net.Dial("tcp", hs.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Encoding: %s\r\nContent-Length: 100\r\n\r\n", to[0], to[1])
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusRequestTimeout, resp.StatusCode, to)
		require.Zero(t, srv.admission.used.Load(), to)
	}
}
