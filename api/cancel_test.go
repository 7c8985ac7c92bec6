package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/query"
	"github.com/varvedb/varve/tenant"
)

// counted is a storage of many series of many samples. It counts what is read of them, and calls gone after so much.
type counted struct {
	fake
	series  int
	samples []promql.FPoint
	work    atomic.Int64 // samples, and ten for a series
	limit   int64
	gone    func()
	late    atomic.Int64 // work after gone was called
}

const seriesWork = 10

func (c *counted) did(n int64) {
	switch done := c.work.Add(n); {
	case done-n >= c.limit:
		c.late.Add(n)
	case done >= c.limit:
		c.gone()
	}
}

func (c *counted) Querier(int64, int64) (storage.Querier, error) { return c, nil }

func (c *counted) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return &countedSet{c: c}
}

type countedSet struct {
	c *counted
	n int
}

func (s *countedSet) Next() bool {
	s.c.did(seriesWork)
	s.n++
	return s.n <= s.c.series
}

func (s *countedSet) At() storage.Series {
	ls := labels.FromStrings("__name__", "up", "job", fmt.Sprintf("%06d", s.n))
	return countedSeries{promql.NewStorageSeries(promql.Series{Metric: ls, Floats: s.c.samples}), s.c}
}

func (s *countedSet) Err() error                        { return nil }
func (s *countedSet) Warnings() annotations.Annotations { return nil }

type countedSeries struct {
	storage.Series
	c *counted
}

func (s countedSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return countedIterator{s.Series.Iterator(nil), s.c}
}

type countedIterator struct {
	chunkenc.Iterator
	c *counted
}

func (it countedIterator) Next() chunkenc.ValueType {
	it.c.did(1)
	return it.Iterator.Next()
}

func (it countedIterator) Seek(t int64) chunkenc.ValueType { //nolint:govet // chunkenc has its own Seek
	it.c.did(1)
	return it.Iterator.Seek(t)
}

// TestCancelled has clients go away in the middle of calls: what is done for them after that is counted, and is little. 20,000 samples take some milliseconds.
func TestCancelled(t *testing.T) {
	const most = 20_000
	var samples []promql.FPoint
	for at := int64(1000); at < 2000; at++ {
		samples = append(samples, promql.FPoint{T: at * 1000, F: float64(at)})
	}
	rng := "start=1000&end=2000&step=10&query="
	read, err := (&prompb.ReadRequest{Queries: []*prompb.Query{{StartTimestampMs: 1e6, EndTimestampMs: 2e6, Matchers: []*prompb.LabelMatcher{{Name: "__name__", Value: "up"}}}}}).Marshal()
	require.NoError(t, err)
	streamed, err := (&prompb.ReadRequest{
		Queries:               []*prompb.Query{{StartTimestampMs: 1e6, EndTimestampMs: 2e6, Matchers: []*prompb.LabelMatcher{{Name: "__name__", Value: "up"}}}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS},
	}).Marshal()
	require.NoError(t, err)
	// soon is while series are listed, late while their samples are read.
	const soon, late = 10_000, 90_000
	for _, c := range []struct {
		path, body string
		limit      int64
	}{
		{"/api/v1/query_range", rng + "up", soon},
		{"/api/v1/query_range", rng + "up", late},
		{"/api/v1/query_range", rng + "sum(rate(up[1m]))", soon},
		{"/api/v1/query_range", rng + "sum(rate(up[1m]))", late},
		{"/api/v1/query_range", rng + "topk(3, max_over_time(up[1m]))", soon},
		{"/api/v1/query_range", rng + "topk(3, max_over_time(up[1m]))", late},
		{"/api/v1/query_range", rng + url.QueryEscape(`label_replace(up, "a", "b", "", "")`), soon},
		{"/api/v1/query_range", rng + url.QueryEscape(`label_replace(up, "a", "b", "", "")`), late},
		{"/api/v1/query_range", rng + "max_over_time(deriv(up[1m])[2m:10s])", soon},
		{"/api/v1/query_range", rng + "max_over_time(deriv(up[1m])[2m:10s])", late},
		{"/api/v1/query_range", rng + url.QueryEscape("up + on(job) up"), soon},
		{"/api/v1/query_range", rng + url.QueryEscape("up + on(job) up"), late},
		{"/api/v1/query", "time=2000&query=" + url.QueryEscape("up[1000s]"), soon},
		{"/api/v1/query", "time=2000&query=" + url.QueryEscape("up[1000s]"), late},
		{"/api/v1/query", "time=2000&query=" + url.QueryEscape("quantile_over_time(0.5, up[1000s])"), soon},
		{"/api/v1/query", "time=2000&query=" + url.QueryEscape("quantile_over_time(0.5, up[1000s])"), late},
		{"/api/v1/series", "match[]=up", soon},
		{"/api/v1/status/tsdb", "", soon},
		{"/federate", "match[]=up", soon},
		{"/api/v1/read", string(snappy.Encode(nil, read)), soon},
		{"/api/v1/read", string(snappy.Encode(nil, streamed)), soon},
	} {
		t.Run(fmt.Sprintf("%s %q %d", c.path, c.body, c.limit), func(t *testing.T) {
			ctx, cancel := context.WithCancel(tenant.NewContext(t.Context(), "acme"))
			defer cancel()
			s := &counted{series: 5000, samples: samples, limit: c.limit, gone: cancel}
			p := query.NewParser()
			e := query.NewEngine(&query.EngineOptions{Timeout: time.Hour}, p, nil, nil)
			defer func() { require.NoError(t, e.Close()) }()
			h, err := New(nil, Components{Engine: e, Queryable: s, Parser: p, Now: func() time.Time { return time.Unix(2000, 0) }})
			require.NoError(t, err)
			var r *http.Request
			switch c.path {
			case "/api/v1/status/tsdb", "/federate":
				r = httptest.NewRequestWithContext(ctx, http.MethodGet, c.path+"?"+c.body, nil)
			default:
				r = httptest.NewRequestWithContext(ctx, http.MethodPost, c.path, bytes.NewReader([]byte(c.body)))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if c.path == "/api/v1/read" {
				r.Header.Set("Content-Type", "application/x-protobuf")
				r.Header.Set("Content-Encoding", "snappy")
			}
			w := httptest.NewRecorder()
			answered(h, w, r)
			require.ErrorIs(t, ctx.Err(), context.Canceled, "it was in the middle: %d of work done, %d %.200s", s.work.Load(), w.Code, w.Body)
			require.LessOrEqual(t, s.late.Load(), int64(most), "%d %.200s", w.Code, w.Body)
		})
	}
}

// answered lets a handler abort an answer that has begun, as it may.
func answered(h http.Handler, w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a sentinel value, compared as net/http does
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
}
