package api

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

// named is a storage with a series whose samples nobody may ask for.
type named struct{ fake }

func (n *named) Querier(int64, int64) (storage.Querier, error) { return n, nil }

func (n *named) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return &oneSeries{series: &storage.SeriesEntry{
		Lset:             labels.FromStrings("__name__", "up", "job", "a b"),
		SampleIteratorFn: func(chunkenc.Iterator) chunkenc.Iterator { return chunkenc.NewNopIterator() },
	}}
}

// TestReadOfNames has a Prometheus read what series there are, which it asks for without samples when it is asked that itself.
func TestReadOfNames(t *testing.T) {
	server := httptest.NewServer(newHandler(t, &named{}))
	defer server.Close()
	body, err := (&prompb.ReadRequest{
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_STREAMED_XOR_CHUNKS},
		Queries: []*prompb.Query{{
			StartTimestampMs: 1_000_000, EndTimestampMs: 1_100_000, Matchers: []*prompb.LabelMatcher{{Name: "__name__", Value: "up"}},
			Hints: &prompb.ReadHints{StartMs: 1_000_000, EndMs: 1_100_000, Func: "series"},
		}},
	}).Marshal()
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/read", bytes.NewReader(snappy.Encode(nil, body)))
	require.NoError(t, err)
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	in := remote.NewChunkedReader(resp.Body, 1<<20, nil)
	var frame prompb.ChunkedReadResponse
	require.NoError(t, in.NextProto(&frame), "a series is sent")
	require.Len(t, frame.ChunkedSeries, 1)
	require.Equal(t, []prompb.Label{{Name: "__name__", Value: "up"}, {Name: "job", Value: "a b"}}, frame.ChunkedSeries[0].Labels)
	for _, c := range frame.ChunkedSeries[0].Chunks {
		decoded, err := chunkenc.FromData(chunkenc.Encoding(c.Type), c.Data)
		require.NoError(t, err)
		require.Zero(t, decoded.NumSamples())
	}
	require.ErrorIs(t, in.NextProto(&frame), io.EOF)
}
