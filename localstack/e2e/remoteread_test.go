//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// remoteRead reads all samples of a server, Prometheus or Varve, by remote read: to the bit, staleness markers included.
func remoteRead(t *testing.T, base string, from, to time.Time) contents {
	t.Helper()
	raw, err := snappy.Decode(nil, askRemoteRead(t, base, from, to, prompb.ReadRequest_SAMPLES))
	if err != nil {
		t.Fatal(err)
	}
	var resp prompb.ReadResponse
	if err := resp.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return contentsOf(resp.Results[0].Timeseries)
}

// askRemoteRead asks for everything, and returns the body of the answer.
func askRemoteRead(t *testing.T, base string, from, to time.Time, as prompb.ReadRequest_ResponseType) []byte {
	t.Helper()
	req := &prompb.ReadRequest{
		Queries: []*prompb.Query{{
			StartTimestampMs: from.UnixMilli(), EndTimestampMs: to.UnixMilli(),
			Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: "__name__", Value: ".+"}},
		}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{as},
	}
	raw, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]string{"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0"}
	status, body, err := call(t.Context(), http.MethodPost, base+"/api/v1/read", header, bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil || status != http.StatusOK {
		t.Fatalf("remote read: %d, %v: %.300s", status, err, body)
	}
	return body
}

// remoteReadChunks is remoteRead as a stream of chunks, in which an old Prometheus gives native histograms and zeros below zero too.
func remoteReadChunks(t *testing.T, base string, from, to time.Time) contents {
	t.Helper()
	in := remote.NewChunkedReader(bytes.NewReader(askRemoteRead(t, base, from, to, prompb.ReadRequest_STREAMED_XOR_CHUNKS)), 1<<30, nil)
	out := contents{}
	for {
		var frame prompb.ChunkedReadResponse
		err := in.NextProto(&frame)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range frame.ChunkedSeries {
			m := map[string]string{}
			for _, l := range s.Labels {
				m[l.Name] = l.Value
			}
			key := keyOf(m)
			for _, raw := range s.Chunks {
				c, err := chunkenc.FromData(chunkenc.Encoding(raw.Type), raw.Data)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range pointsOf(t, c.Iterator(nil)) {
					if p.t >= from.UnixMilli() && p.t <= to.UnixMilli() {
						out[key] = append(out[key], p)
					}
				}
			}
		}
	}
}

// pointsOf are the samples of an iterator.
func pointsOf(t *testing.T, it chunkenc.Iterator) []point {
	t.Helper()
	var points []point
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if kind != chunkenc.ValFloat {
			at, h := it.AtFloatHistogram(nil)
			points = append(points, point{at, histogramBits(kind == chunkenc.ValFloatHistogram, h)})
			continue
		}
		at, v := it.At()
		points = append(points, point{at, math.Float64bits(v)})
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return points
}
