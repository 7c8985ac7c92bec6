package remotewrite

import (
	"fmt"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// benchBody is a request as Prometheus sends it: n series with ten labels, one sample each.
func benchBody(tb testing.TB, n int) []byte {
	w := &prompb.WriteRequest{}
	for i := range n {
		w.Timeseries = append(w.Timeseries, prompb.TimeSeries{
			Labels: pbLabels("__name__", fmt.Sprintf("http_requests_%d_total", i/200), "cluster", "eu-west-1", "code", "200",
				"handler", fmt.Sprintf("/api/v1/route_%d", i%50), "instance", fmt.Sprintf("10.0.%d.%d:9100", i/250%250, i%250),
				"job", "node", "le", "0.25", "method", "GET", "namespace", "monitoring", "pod", fmt.Sprintf("node-exporter-%05d", i*7919%100000)),
			Samples: []prompb.Sample{{Value: float64(i) * 1.25, Timestamp: 1_700_000_000_000}},
		})
	}
	return snappy.Encode(nil, request(tb, w))
}

func BenchmarkDecode(b *testing.B) {
	const n = 5000
	body := benchBody(b, n)
	d := NewDecoder(nil)
	b.ReportAllocs()
	for b.Loop() {
		r, err := d.Decode(body)
		if err != nil || len(r.Batch.Series) != n {
			b.Fatal(err)
		}
		r.Release()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
}

func BenchmarkWalkOnly(b *testing.B) {
	const n = 5000
	msg, err := snappy.Decode(nil, benchBody(b, n))
	if err != nil {
		b.Fatal(err)
	}
	d := NewDecoder(nil)
	b.ReportAllocs()
	for b.Loop() {
		r, err := d.DecodeMessage(msg)
		if err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
	b.ReportMetric(float64(len(msg))/n, "bytes/series")
}
