package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
)

func TestFederate(t *testing.T) {
	st := promqltest.LoadedStorage(t, `
load 1m
  old 1 2 _x20
  up{job="a"} 1 2 3 4 5 6 7 8 9 10
  up{job="b"} 1 2 3 4 5 6 7 8 9 stale
  up{job="c \"\\"} NaN -Inf +Inf 1e300 5 6 7 8 9 -0.5
`)
	now := time.Unix(9*60, 0)
	app := st.Appender(t.Context())
	_, err := app.AppendHistogram(0, labels.FromStrings("__name__", "up", "job", "h"), now.UnixMilli(), nil, &histogram.FloatHistogram{
		Count: 3, Sum: 4.5, ZeroThreshold: 0.001, ZeroCount: 1, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1, 1},
	})
	require.NoError(t, err)
	require.NoError(t, app.Commit())
	p := query.NewParser()
	e := query.NewEngine(nil, p, nil, nil)
	defer func() { require.NoError(t, e.Close()) }()
	h, err := New(nil, Components{Engine: e, Queryable: st, Parser: p, Now: func() time.Time { return now }})
	require.NoError(t, err)
	get := func(form, accept string) (int, string, []byte) {
		r := httptest.NewRequest(http.MethodGet, "/federate?"+form, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, err := io.ReadAll(w.Body)
		require.NoError(t, err)
		return w.Code, w.Header().Get("Content-Type"), body
	}

	code, kind, body := get("match[]=up&match[]=old&match[]=up%7Bjob=%22a%22%7D", "text/plain")
	require.Equal(t, 200, code)
	require.True(t, strings.HasPrefix(kind, "text/plain"), kind)
	require.Equal(t, "# TYPE up untyped\nup{job=\"a\",instance=\"\"} 10 540000\nup{job=\"c \\\"\\\\\",instance=\"\"} -0.5 540000\n", string(body))

	_, kind, body = get("match[]=up", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	parser, err := textparse.New(body, kind, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	histograms, floats := 0, 0
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch entry {
		case textparse.EntryHistogram:
			_, at, _, fh := parser.Histogram()
			require.EqualValues(t, 540000, *at)
			require.Equal(t, 4.5, fh.Sum)
			require.Equal(t, []float64{1, 1}, fh.PositiveBuckets)
			histograms++
		case textparse.EntrySeries:
			floats++
		}
	}
	require.Equal(t, 1, histograms)
	require.Equal(t, 2, floats)

	for _, bad := range []string{"match[]=%7B", "match[]=rate(up[1m])"} {
		code, _, body := get(bad, "")
		require.Equal(t, 400, code)
		require.NotEmpty(t, body)
	}
}

// TestFederateCustomBuckets: histograms with custom buckets go as classic ones, also into the text, as from Prometheus.
func TestFederateCustomBuckets(t *testing.T) {
	st := promqltest.LoadedStorage(t, "load 1m\n  up 1\n")
	now := time.Unix(60, 0)
	app := st.Appender(t.Context())
	_, err := app.AppendHistogram(0, labels.FromStrings("__name__", "h", "instance", "i"), now.UnixMilli(), nil, &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema, Count: 7, Sum: 4.5, CustomValues: []float64{1, 2, 3}, PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}, {Offset: 1, Length: 2}},
		PositiveBuckets: []float64{1, 2, 4},
	})
	require.NoError(t, err)
	require.NoError(t, app.Commit())
	h, err := New(nil, Components{Engine: query.NewEngine(nil, query.NewParser(), nil, nil), Queryable: st, Parser: query.NewParser(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/federate?match[]=h", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, `# TYPE h histogram
h_bucket{instance="i",le="1"} 1 60000
h_bucket{instance="i",le="2"} 1 60000
h_bucket{instance="i",le="3"} 3 60000
h_bucket{instance="i",le="+Inf"} 7 60000
h_sum{instance="i"} 4.5 60000
h_count{instance="i"} 7 60000
`, w.Body.String())
}
