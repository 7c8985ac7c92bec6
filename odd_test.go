package varve_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/api"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
	"github.com/varvedb/varve/tenant"
)

// oddLabels are of a series with names that are no words.
var oddLabels = labels.FromStrings("__name__", "ünï.cöde \"total\"\n", "my.label", "温度", "a b", "\x00\\")

// appendOdd appends ten minutes of samples that are not plain: with start timestamps, floats and histograms, stale markers of both kinds, and names of any UTF-8.
func appendOdd(t *testing.T, db *varve.DB, n int) {
	t.Helper()
	b := &model.Batch{Labels: remotewrite.LabelDecoder{}}
	begin := func(ls labels.Labels) *model.BatchSeries {
		b.Series = append(b.Series, model.BatchSeries{Key: remotewrite.AppendKey(nil, ls), First: int32(len(b.Samples)), FirstHistogram: int32(len(b.Histograms))})
		return &b.Series[len(b.Series)-1]
	}
	at := noon.Add(time.Duration(n) * 10 * time.Minute).UnixMilli()
	stale := math.Float64frombits(value.StaleNaN)
	times := func(fn func(k, t int64)) {
		for k := range int64(20) {
			fn(k, at+k*30_000)
		}
	}

	s := begin(oddLabels)
	times(func(k, t int64) {
		v := float64(k)
		if k == 19 {
			v = stale
		}
		b.Samples = append(b.Samples, model.Sample{T: t, V: v})
		s.Count++
	})
	s = begin(labels.FromStrings("__name__", "started_total", "mixed", "no"))
	times(func(k, t int64) {
		v := float64(k)
		if k == 10 {
			v = stale
		}
		b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: model.FloatWithStart(at-k%3, v)})
		s.HistogramCount++
	})
	s = begin(labels.FromStrings("__name__", "started_total", "mixed", "yes"))
	times(func(k, t int64) {
		if k%4 == 0 {
			b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: model.FloatWithStart(-k, float64(k))})
			s.HistogramCount++
			return
		}
		b.Samples = append(b.Samples, model.Sample{T: t, V: math.Copysign(0, -1)})
		s.Count++
	})
	s = begin(labels.FromStrings("__name__", "started_seconds"))
	times(func(k, t int64) {
		h := &histogram.Histogram{Schema: 1, Count: uint64(k) + 1, Sum: float64(k), PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []int64{k + 1}}
		if k == 7 {
			h = &histogram.Histogram{Sum: stale}
		}
		p := prompb.FromIntHistogram(t, h)
		raw, err := p.Marshal()
		if err != nil {
			panic(err)
		}
		if k%2 == 0 {
			raw = model.HistogramWithStart(at+k, raw)
		}
		b.Histograms = append(b.Histograms, model.HistogramSample{T: t, H: raw})
		s.HistogramCount++
	})
	r, err := db.Append(t.Context(), "default", b)
	require.NoError(t, err)
	require.Empty(t, r.Rejected)
	require.Equal(t, 60, r.Samples, "floats with a start timestamp count as floats")
	require.Equal(t, 20, r.Histograms)
}

// withStarts lists all samples with their start timestamps.
func withStarts(t *testing.T, db *varve.DB) string {
	t.Helper()
	q, err := db.Queryable().Querier(noon.UnixMilli(), noon.Add(3*time.Hour).UnixMilli())
	require.NoError(t, err)
	defer q.Close()
	set := q.Select(tenant.NewContext(t.Context(), "default"), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", "(?s).+"))
	var b strings.Builder
	for set.Next() {
		fmt.Fprintf(&b, "%q\n", set.At().Labels().String())
		it := set.At().Iterator(nil)
		for {
			kind := it.Next()
			if kind == chunkenc.ValNone {
				break
			}
			if kind == chunkenc.ValFloat {
				at, v := it.At()
				fmt.Fprintf(&b, "%d %d %x\n", at, it.AtST(), math.Float64bits(v))
				continue
			}
			at, h := it.AtFloatHistogram(nil)
			fmt.Fprintf(&b, "%d %d %x %v\n", at, it.AtST(), math.Float64bits(h.Sum), h)
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return b.String()
}

// oddAnswers are what the API says of them.
func oddAnswers(t *testing.T, h http.Handler) string {
	t.Helper()
	var b strings.Builder
	name := `{"ünï.cöde \"total\"\n"}`
	span := url.Values{"start": {noon.Format(time.RFC3339)}, "end": {noon.Add(3 * time.Hour).Format(time.RFC3339)}, "step": {"15s"}}
	for _, call := range []struct{ path, expr string }{
		{"query_range", name},
		{"query_range", `{"my.label"="温度"}`},
		{"query_range", `started_total`},
		{"query_range", `started_seconds`},
		{"query_range", `rate(started_total[2m])`},
		{"series", name},
		{"labels", ""},
		{"label/__name__/values", ""},
		{"label/U__my_2e_label/values", ""},
		{"label/my.label/values", ""},
		{"label/U__a_20_b/values", `{"my.label"=~".+"}`},
	} {
		f := url.Values{}
		for k, v := range span {
			f[k] = v
		}
		switch {
		case call.path == "query_range":
			f.Set("query", call.expr)
		case call.expr != "":
			f.Set("match[]", call.expr)
		}
		a := get(t, h, call.path, f)
		require.NotRegexp(t, `"result":\[\]|^\[\]`, string(a.Data), call)
		fmt.Fprintf(&b, "%s %s\n%s\n", call.path, call.expr, a.Data)
	}
	return b.String()
}

// readRemotely reads a metric as a Prometheus does whose remote storage this is.
func readRemotely(t *testing.T, h http.Handler, metric string) string {
	t.Helper()
	req := &prompb.ReadRequest{Queries: []*prompb.Query{{
		StartTimestampMs: noon.UnixMilli(), EndTimestampMs: noon.Add(3 * time.Hour).UnixMilli(),
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "__name__", Value: metric}},
	}}}
	raw, err := req.Marshal()
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, api.Prefix+"/read", bytes.NewReader(snappy.Encode(nil, raw)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(tenant.NewContext(r.Context(), "default")))
	require.Equal(t, http.StatusOK, w.Code)
	body, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	plain, err := snappy.Decode(nil, body)
	require.NoError(t, err)
	var answer prompb.ReadResponse
	require.NoError(t, answer.Unmarshal(plain))
	var b strings.Builder
	for _, s := range answer.Results[0].Timeseries {
		fmt.Fprintf(&b, "%v\n", s.Labels)
		for _, x := range s.Samples {
			fmt.Fprintf(&b, "%d %x\n", x.Timestamp, math.Float64bits(x.Value))
		}
		for i := range s.Histograms {
			fmt.Fprintf(&b, "%v\n", &s.Histograms[i])
		}
	}
	return b.String()
}

// TestOddSamples: start timestamps, stale markers and names of any UTF-8 are what they were wherever samples lie, to the last bit.
func TestOddSamples(t *testing.T) {
	e := newEverywhere(t)
	n := 0
	add := func(db *varve.DB) {
		appendOdd(t, db, n)
		n++
	}
	for range 3 {
		add(e.db)
	}
	ask := func() string {
		return withStarts(t, e.db) + oddAnswers(t, e.h) + readRemotely(t, e.h, oddLabels.Get("__name__")) + readRemotely(t, e.h, "started_total") + readRemotely(t, e.h, "started_seconds")
	}
	got := e.walk(add, ask)
	at := noon.UnixMilli()
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x\n", at+11*30_000, at-2, math.Float64bits(11)), "a float with a start timestamp")
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x\n", at+10*30_000, at-1, value.StaleNaN), "a stale marker with one")
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x\n", at+19*30_000, 0, value.StaleNaN), "a stale marker")
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x\n", at+5*30_000, 0, math.Float64bits(math.Copysign(0, -1))), "-0 beside others with a start timestamp")
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x ", at+8*30_000, at+8, math.Float64bits(8)), "a histogram with one")
	require.Contains(t, got, fmt.Sprintf("\n%d %d %x ", at+7*30_000, 0, value.StaleNaN), "a stale histogram")
	require.Contains(t, got, `label/U__my_2e_label/values`+" \n"+`["温度"]`)
	require.NoError(t, e.db.Close(t.Context()))
}
