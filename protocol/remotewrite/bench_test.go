package remotewrite

import (
	"fmt"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// benchBody is a request as Prometheus sends it: n series with ten labels, one sample each. benchLabels are those of series i.
func benchBody(tb testing.TB, n int) []byte {
	w := &prompb.WriteRequest{}
	for i := range n {
		w.Timeseries = append(w.Timeseries, prompb.TimeSeries{
			Labels:  pbLabels(benchLabels(i)...),
			Samples: []prompb.Sample{{Value: float64(i) * 1.25, Timestamp: 1_700_000_000_000}},
		})
	}
	return snappy.Encode(nil, request(tb, w))
}

// benchBodyV2 is the same in 2.0, with metadata.
func benchBodyV2(tb testing.TB, n int) []byte {
	b := newV2()
	for i := range n {
		s := b.add(samples(writev2.Sample{Value: float64(i) * 1.25, Timestamp: 1_700_000_000_000}), benchLabels(i)...)
		s.Metadata = writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: b.table.Symbolize(fmt.Sprintf("Help of metric %d.", i/200))}
	}
	return snappy.Encode(nil, b.message(tb))
}

func benchLabels(i int) []string {
	return []string{
		"__name__", fmt.Sprintf("http_requests_%d_total", i/200), "cluster", "eu-west-1", "code", "200",
		"handler", fmt.Sprintf("/api/v1/route_%d", i%50), "instance", fmt.Sprintf("10.0.%d.%d:9100", i/250%250, i%250),
		"job", "node", "le", "0.25", "method", "GET", "namespace", "monitoring", "pod", fmt.Sprintf("node-exporter-%05d", i*7919%100000),
	}
}

func BenchmarkDecode(b *testing.B) {
	const n = 5000
	for _, tc := range []struct {
		name   string
		body   []byte
		decode func(*Decoder, []byte) (*Request, error)
	}{
		{"1.0", benchBody(b, n), (*Decoder).Decode},
		{"2.0", benchBodyV2(b, n), func(d *Decoder, body []byte) (*Request, error) { return d.DecodeV2(body, nil) }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			d := NewDecoder(nil)
			b.ReportAllocs()
			for b.Loop() {
				r, err := tc.decode(d, tc.body)
				if err != nil || len(r.Batch.Series) != n {
					b.Fatal(err)
				}
				r.Release()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
			b.ReportMetric(float64(len(tc.body))/n, "bytes/sample")
		})
	}
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
		r, err := d.DecodeMessage(msg, V1)
		if err != nil {
			b.Fatal(err)
		}
		r.Release()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Msamples/s")
	b.ReportMetric(float64(len(msg))/n, "bytes/series")
}
