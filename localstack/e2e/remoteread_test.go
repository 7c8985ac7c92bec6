//go:build e2e

package e2e

import (
	"bytes"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// remoteRead reads all samples of a server, Prometheus or Varve, by remote read: to the bit, staleness markers included.
func remoteRead(t *testing.T, base string, from, to time.Time) contents {
	t.Helper()
	req := &prompb.ReadRequest{
		Queries: []*prompb.Query{{
			StartTimestampMs: from.UnixMilli(), EndTimestampMs: to.UnixMilli(),
			Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_RE, Name: "__name__", Value: ".+"}},
		}},
		AcceptedResponseTypes: []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES},
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
	if raw, err = snappy.Decode(nil, body); err != nil {
		t.Fatal(err)
	}
	var resp prompb.ReadResponse
	if err := resp.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	out := contents{}
	for _, ts := range resp.Results[0].Timeseries {
		m := map[string]string{}
		for _, l := range ts.Labels {
			m[l.Name] = l.Value
		}
		points := make([]point, len(ts.Samples))
		for i, s := range ts.Samples {
			points[i] = point{s.Timestamp, math.Float64bits(s.Value)}
		}
		out[keyOf(m)] = points
	}
	return out
}
