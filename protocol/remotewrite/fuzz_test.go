package remotewrite

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/golang/snappy"
	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

func fuzzSeeds(f *testing.F) (seeds [][]byte) {
	h := prompb.FromFloatHistogram(7, &histogram.FloatHistogram{Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1, 2}})
	seeds = append(seeds, request(f, &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{Labels: pbLabels("__name__", "up", "job", "a"), Samples: []prompb.Sample{{Value: 1.5, Timestamp: -9}, {}}},
			{Labels: pbLabels("__name__", "h", "empty", ""), Histograms: []prompb.Histogram{h}, Exemplars: []prompb.Exemplar{{Value: 1, Labels: pbLabels("a", "b")}}},
		},
		Metadata: []prompb.MetricMetadata{{MetricFamilyName: "up", Help: "h"}},
	}))
	a, b, s := rawLabel("__name__", "m"), rawLabel("b", "2"), rawSample(2, 9)
	return append(seeds,
		lenField(1, a, s, b),
		lenField(1, a, []byte{9<<3 | wireStart, 9<<3 | wireEnd}, b, lenField(2, []byte{tagSampleTime, 9}, s[2:11])),
		lenField(1, s, a, []byte{0x8a, 0x00}, b[1:]),
		[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	)
}

// FuzzMessage holds the walk against the generated code. What that accepts is accepted with the same content. Only
// what the walk skips unread (exemplars, metadata, labels until somebody decodes them) may be accepted here alone.
func FuzzMessage(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	d := NewDecoder(&Options{MaxLabels: math.MaxInt32})
	f.Fuzz(func(t *testing.T, msg []byte) {
		var oracle prompb.WriteRequest
		oracleErr := oracle.Unmarshal(msg)
		r, err := d.DecodeMessage(slices.Clone(msg))
		if err != nil {
			if oracleErr == nil {
				t.Fatalf("refused what prompb reads: %v", err)
			}
			return
		}
		defer r.Release()
		if oracleErr != nil {
			if r.Exemplars == 0 && r.Metadata == 0 && len(r.Rejected) == 0 && r.empty == 0 && decodable(r) {
				t.Fatalf("accepted what prompb refuses: %v", oracleErr)
			}
			return
		}
		compare(t, r, &oracle)
	})
}

// decodable reports whether all keys of the batch decode.
func decodable(r *Request) bool {
	for _, s := range r.Batch.Series {
		b := labels.NewScratchBuilder(0)
		if (LabelDecoder{}).Decode(s.Key, &b) != nil {
			return false
		}
	}
	return true
}

func compare(t *testing.T, r *Request, oracle *prompb.WriteRequest) {
	next, exemplars := 0, 0
	for _, want := range oracle.Timeseries {
		exemplars += len(want.Exemplars)
		if len(want.Samples)+len(want.Histograms) == 0 || !named(want.Labels) || !validHistograms(want.Histograms) {
			continue
		}
		if next == len(r.Batch.Series) {
			t.Fatalf("%d series, want more", next)
		}
		got := r.Batch.Series[next]
		next++
		var names []string
		if err := eachLabel(got.Key, func(n, v []byte) bool { names = append(names, string(n), string(v)); return true }); err != nil {
			t.Fatal(err)
		}
		for i, l := range want.Labels {
			if 2*i+1 >= len(names) || names[2*i] != l.Name || names[2*i+1] != l.Value {
				t.Fatalf("labels %q, want %v", names, want.Labels)
			}
		}
		if len(names) != 2*len(want.Labels) || int(got.Count) != len(want.Samples) || int(got.HistogramCount) != len(want.Histograms) {
			t.Fatalf("counts of %+v, want %v", got, want)
		}
		for i, s := range want.Samples {
			if g := r.Batch.Samples[int(got.First)+i]; g.T != s.Timestamp || math.Float64bits(g.V) != math.Float64bits(s.Value) {
				t.Fatalf("sample %v, want %v", g, s)
			}
		}
		for i := range want.Histograms {
			compareHistogram(t, r.Batch.Histograms[int(got.FirstHistogram)+i], &want.Histograms[i])
		}
	}
	if next != len(r.Batch.Series) || exemplars != r.Exemplars || len(oracle.Metadata) != r.Metadata {
		t.Fatalf("%d series, %d exemplars, %d metadata; want %d, %d, %d", len(r.Batch.Series), r.Exemplars, r.Metadata, next, exemplars, len(oracle.Metadata))
	}
}

func named(ls []prompb.Label) bool {
	return slices.ContainsFunc(ls, func(l prompb.Label) bool { return l.Name == prommodel.MetricNameLabel && l.Value != "" })
}

func validHistograms(hs []prompb.Histogram) bool {
	for i := range hs {
		if validateHistogram(&hs[i]) != nil {
			return false
		}
	}
	return true
}

func compareHistogram(t *testing.T, got model.HistogramSample, want *prompb.Histogram) {
	var h prompb.Histogram
	if err := h.Unmarshal(got.H); err != nil {
		t.Fatal(err)
	}
	want.XXX_unrecognized = nil
	for _, spans := range [][]prompb.BucketSpan{want.PositiveSpans, want.NegativeSpans} {
		for i := range spans {
			spans[i].XXX_unrecognized = nil
		}
	}
	a, err1 := h.Marshal()
	b, err2 := want.Marshal()
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) || !bytes.Equal(a, got.H) || got.T != want.Timestamp {
		t.Fatalf("histogram %v, want %v", &h, want)
	}
}

// FuzzBody feeds whole bodies: no panic, no allocation beyond what the body justifies.
func FuzzBody(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(snappy.Encode(nil, seed))
	}
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x04, 0, 0})
	d := NewDecoder(&Options{MaxDecodedBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := d.Decode(body)
		if err != nil {
			return
		}
		for _, s := range r.Batch.Series {
			_ = SeriesText(s.Key)
		}
		if len(r.Batch.Samples) > len(body)*maxExpansion {
			t.Fatalf("%d samples out of %d bytes", len(r.Batch.Samples), len(body))
		}
		r.Release()
	})
}
