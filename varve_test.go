package varve_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/varvedb/varve"
	"github.com/varvedb/varve/blob"
	"github.com/varvedb/varve/blob/faultblob"
	"github.com/varvedb/varve/blob/mem"
	"github.com/varvedb/varve/cluster/wire"
	"github.com/varvedb/varve/ingester"
	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/query"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(name string, v float64) varve.Series {
	return varve.Series{Labels: labels.FromStrings("__name__", name), Samples: []model.Sample{{T: noon.UnixMilli(), V: v}}}
}

func open(t *testing.T, b *blob.Bucket, dir string, cfg ingester.Config) *varve.DB {
	t.Helper()
	db, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: dir, Ingest: cfg, Peers: wire.ClientOptions{Timeout: time.Second}})
	require.NoError(t, err)
	return db
}

func values(t *testing.T, r *promql.Result, err error) map[string]float64 {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, r.Err)
	v, err := r.Vector()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, s := range v {
		out[s.Metric.Get("__name__")] = s.F
	}
	return out
}

const everything = `{__name__!=""}`

func TestOneProcess(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b := blob.New(mem.New(), nil)
	dir := t.TempDir()
	db := open(t, b, dir, ingester.Config{})
	require.NoError(t, db.Ready())
	require.NoError(t, db.CheckBucket(t.Context()))
	res, err := db.AppendSeries(t.Context(), "default", at("a", 1), varve.Series{Labels: labels.EmptyLabels(), Samples: []model.Sample{{}}})
	require.NoError(t, err)
	require.Equal(t, 1, res.Samples)
	require.Len(t, res.Rejected, 1, "a series without labels")
	_, err = db.AppendSeries(t.Context(), "../..", at("a", 1))
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = db.Query(t.Context(), "../..", everything, noon)
	require.ErrorIs(t, err, model.ErrInvalid)

	ask := func() map[string]float64 {
		r, err := db.Query(t.Context(), "default", everything, noon)
		return values(t, r, err)
	}
	require.Equal(t, map[string]float64{"a": 1}, ask())
	require.NoError(t, db.Flush(t.Context()))
	require.Equal(t, map[string]float64{"a": 1}, ask())
	r, err := db.Query(t.Context(), "other", everything, noon)
	require.Empty(t, values(t, r, err), "another tenant")

	_, err = db.AppendSeries(t.Context(), "default", at("b", 2))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))

	db = open(t, b, dir, ingester.Config{})
	require.Equal(t, map[string]float64{"a": 1, "b": 2}, ask())
	m, err := db.QueryRange(t.Context(), "default", "a+on() b", noon, noon.Add(time.Minute), time.Minute)
	require.NoError(t, err)
	require.Equal(t, "{} =>\n3 @[1767268800000]\n3 @[1767268860000]", m.String())
	require.NoError(t, db.Close(t.Context()))
	require.NoError(t, b.Close())
}

func TestHistogramsAppend(t *testing.T) {
	db := open(t, blob.New(mem.New(), nil), t.TempDir(), ingester.Config{})
	ls := labels.FromStrings("__name__", "h")
	h := &histogram.Histogram{Schema: 1, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1}}
	_, err := db.AppendSeries(t.Context(), "default", varve.Series{Labels: ls, Histograms: []varve.Histogram{{T: noon.UnixMilli(), Int: h}}})
	require.NoError(t, err)
	r, err := db.Query(t.Context(), "default", "histogram_count(h)", noon)
	require.NoError(t, err)
	require.Contains(t, r.String(), "=> 3")
	h.Count = 99
	_, err = db.AppendSeries(t.Context(), "default", varve.Series{Labels: ls, Histograms: []varve.Histogram{{Int: h}}})
	require.ErrorIs(t, err, model.ErrInvalid)
	_, err = db.AppendSeries(t.Context(), "default", varve.Series{Labels: ls, Histograms: []varve.Histogram{{}}})
	require.ErrorIs(t, err, model.ErrInvalid)
	require.NoError(t, db.Close(t.Context()))
}

// Two processes on one bucket: each sees what the other holds in memory, and says so when it cannot.
func TestTwoProcesses(t *testing.T) {
	b := blob.New(mem.New(), nil)
	var second *varve.DB
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wire.NewHandler(second, nil).ServeHTTP(w, r) }))
	defer peer.Close()
	first := open(t, b, t.TempDir(), ingester.Config{})
	second = open(t, b, t.TempDir(), ingester.Config{Address: peer.Listener.Addr().String()})
	_, err := first.AppendSeries(t.Context(), "default", at("first", 1))
	require.NoError(t, err)
	_, err = second.AppendSeries(t.Context(), "default", at("second", 2))
	require.NoError(t, err)

	r, err := first.Query(t.Context(), "default", everything, noon)
	require.Equal(t, map[string]float64{"first": 1, "second": 2}, values(t, r, err))

	r, err = second.Query(t.Context(), "default", everything, noon)
	require.NoError(t, err)
	require.ErrorIs(t, r.Err, model.ErrUnavailable, "the first gave no address")
	require.ErrorContains(t, r.Err, first.Writer())
	ctx := query.WithPartialResponse(t.Context())
	r, err = second.Query(ctx, "default", everything, noon)
	require.Contains(t, values(t, r, err), "second")
	require.Contains(t, fmt.Sprint(r.Warnings), first.Writer())

	peer.Close()
	r, err = first.Query(t.Context(), "default", everything, noon)
	require.NoError(t, err)
	require.ErrorIs(t, r.Err, model.ErrUnavailable)
	require.ErrorContains(t, r.Err, second.Writer())

	require.NoError(t, second.Close(t.Context()))
	r, err = first.Query(t.Context(), "default", everything, noon)
	require.Equal(t, map[string]float64{"first": 1, "second": 2}, values(t, r, err), "it left everything in the bucket")
	require.NoError(t, first.Close(t.Context()))
}

// A peer that hangs is named, or left out of a partial answer, before the query's own time is over.
func TestStuckPeer(t *testing.T) {
	b := blob.New(mem.New(), nil)
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client goes
		<-r.Context().Done()
	}))
	defer stuck.Close()
	second := open(t, b, t.TempDir(), ingester.Config{Address: stuck.Listener.Addr().String()})
	_, err := second.AppendSeries(t.Context(), "default", at("second", 2))
	require.NoError(t, err)
	first, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: t.TempDir(), Engine: query.EngineOptions{Timeout: time.Second}})
	require.NoError(t, err)
	_, err = first.AppendSeries(t.Context(), "default", at("first", 1))
	require.NoError(t, err)

	r, err := first.Query(t.Context(), "default", everything, noon)
	require.NoError(t, err)
	require.ErrorIs(t, r.Err, model.ErrUnavailable)
	require.ErrorContains(t, r.Err, second.Writer())
	r, err = first.Query(query.WithPartialResponse(t.Context()), "default", everything, noon)
	require.Contains(t, values(t, r, err), "first")
	require.Contains(t, fmt.Sprint(r.Warnings), second.Writer())
	require.NoError(t, first.Close(t.Context()))
	require.NoError(t, second.Close(t.Context()))
}

// A reader needs nobody: it reads blocks, and the shipped log of a writer that is alive.
func TestDetachedReader(t *testing.T) {
	b := blob.New(mem.New(), nil)
	r, err := varve.OpenReader(t.Context(), &varve.Options{OpenedBucket: b})
	require.NoError(t, err)
	res, err := r.Query(t.Context(), "default", everything, noon)
	require.Empty(t, values(t, res, err), "an empty bucket")

	db := open(t, b, t.TempDir(), ingester.Config{})
	_, err = db.AppendSeries(t.Context(), "default", at("flushed", 1))
	require.NoError(t, err)
	require.NoError(t, db.Flush(t.Context()))
	res, err = r.Query(t.Context(), "default", everything, noon)
	require.Equal(t, map[string]float64{"flushed": 1}, values(t, res, err))
	require.Contains(t, fmt.Sprint(res.Warnings), db.Writer())
	require.NoError(t, db.Close(t.Context()))
	res, err = r.Query(t.Context(), "default", everything, noon)
	require.Equal(t, map[string]float64{"flushed": 1}, values(t, res, err))
	require.Empty(t, res.Warnings)
	require.NoError(t, r.Close())
}

// While the bucket is away a known writer goes on acknowledging; CheckBucket says what is wrong.
func TestBucketGoesAway(t *testing.T) {
	d := faultblob.Wrap(mem.New())
	b := blob.New(d, &blob.Options{Retries: -1})
	dir := t.TempDir()
	db := open(t, b, dir, ingester.Config{})
	away := false
	d.SetHook(func(faultblob.Call) faultblob.Action {
		if away {
			return faultblob.Action{Kind: faultblob.Fail}
		}
		return faultblob.Action{}
	})
	away = true
	require.ErrorIs(t, db.CheckBucket(t.Context()), model.ErrUnavailable)
	_, err := db.AppendSeries(t.Context(), "default", at("a", 1))
	require.NoError(t, err)
	require.NoError(t, db.Ready())
	require.Error(t, db.Close(t.Context()))
	away = false
	db = open(t, b, dir, ingester.Config{})
	r, err := db.Query(t.Context(), "default", everything, noon)
	require.Equal(t, map[string]float64{"a": 1}, values(t, r, err))
	require.NoError(t, db.Close(t.Context()))
}

func TestOpenRefuses(t *testing.T) {
	b := blob.New(mem.New(), nil)
	for name, o := range map[string]*varve.Options{
		"nothing":        nil,
		"no directory":   {OpenedBucket: b},
		"no bucket":      {DataDir: t.TempDir()},
		"unknown scheme": {DataDir: t.TempDir(), Bucket: "ftp://x", Openers: map[string]blob.Opener{"mem": mem.Open}},
		"unknown mode":   {DataDir: t.TempDir(), OpenedBucket: b, Ingest: ingester.Config{Mode: "hope"}},
	} {
		_, err := varve.Open(context.Background(), o)
		require.ErrorIs(t, err, model.ErrInvalid, name)
	}
	dir := t.TempDir()
	db := open(t, b, dir, ingester.Config{})
	_, err := varve.Open(t.Context(), &varve.Options{OpenedBucket: b, DataDir: dir})
	require.Error(t, err, "one directory, one writer")
	require.NoError(t, db.Close(t.Context()))
}
