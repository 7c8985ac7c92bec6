package remotewrite

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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

// FuzzMessage holds the walk of 1.0 against the generated code. What that accepts is accepted with the same content. Only
// what the walk leaves unread (labels until somebody decodes them, what is dropped) may be accepted here alone.
func FuzzMessage(f *testing.F) {
	for _, seed := range fuzzSeeds(f) {
		f.Add(seed)
	}
	d := NewDecoder(&Options{MaxLabels: math.MaxInt32})
	f.Fuzz(func(t *testing.T, msg []byte) {
		var oracle prompb.WriteRequest
		oracleErr := oracle.Unmarshal(msg)
		r, err := d.DecodeMessage(slices.Clone(msg), V1)
		if err != nil {
			if oracleErr == nil && !strings.Contains(err.Error(), "which Content-Type has to say") {
				t.Fatalf("refused what prompb reads: %v", err)
			}
			return
		}
		defer r.Release()
		if oracleErr != nil {
			if len(r.Rejected) == 0 && r.empty == 0 && decodable(r) {
				t.Fatalf("accepted what prompb refuses: %v", oracleErr)
			}
			return
		}
		wantV1(t, &oracle).compare(t, r)
	})
}

// decodable reports whether all keys of the batch decode.
func decodable(r *Request) bool {
	var keys [][]byte
	for _, s := range r.Batch.Series {
		keys = append(keys, s.Key)
	}
	for _, e := range r.Batch.Exemplars {
		keys = append(keys, e.Key)
	}
	b := labels.NewScratchBuilder(0)
	return !slices.ContainsFunc(keys, func(key []byte) bool { return r.Batch.Labels.Decode(key, &b) != nil })
}

// content is what a request says, however it was encoded.
type content struct {
	series    []contentSeries
	metadata  []contentMetadata
	exemplars int
}

type contentSeries struct {
	names      []string // and values, in turn
	samples    []model.Sample
	histograms []model.HistogramSample
	exemplars  []model.Exemplar
}

type contentMetadata struct{ metric, row string }

func wantV1(t *testing.T, oracle *prompb.WriteRequest) *content {
	c := &content{}
	for i := range oracle.Timeseries {
		want := &oracle.Timeseries[i]
		var s contentSeries
		name := false
		for _, l := range want.Labels {
			s.names = append(s.names, l.Name, l.Value)
			name = name || l.Name == prommodel.MetricNameLabel && l.Value != ""
		}
		valid := name
		for _, x := range want.Samples {
			s.samples = append(s.samples, model.Sample{T: x.Timestamp, V: x.Value})
		}
		for k := range want.Histograms {
			h := &want.Histograms[k]
			if reduceHistogram(h) != nil || validateHistogram(h) != nil {
				continue
			}
			s.histograms = append(s.histograms, model.HistogramSample{T: h.Timestamp, H: plainHistogram(t, h)})
		}
		for _, x := range want.Exemplars {
			var names []string
			for _, l := range x.Labels {
				names = append(names, l.Name, l.Value)
			}
			s.addExemplar(x.Timestamp, x.Value, names)
		}
		if valid {
			c.add(s)
		}
	}
	for _, m := range oracle.Metadata {
		if m.MetricFamilyName != "" {
			row := model.AppendMetadata(nil, uint64(uint32(m.Type)), m.Unit, m.Help)
			c.metadata = append(c.metadata, contentMetadata{m.MetricFamilyName, string(row)})
		}
	}
	return c
}

func (c *content) add(s contentSeries) {
	if c.exemplars += len(s.exemplars); len(s.samples)+len(s.histograms)+len(s.exemplars) > 0 {
		c.series = append(c.series, s)
	}
}

func (s *contentSeries) addExemplar(t int64, v float64, names []string) {
	if utf8.RuneCountInString(strings.Join(names, "")) > 128 || len(strings.Join(names, "")) > 512 {
		return
	}
	b := labels.NewScratchBuilder(0)
	for i := 0; i+1 < len(names); i += 2 {
		b.Add(names[i], names[i+1])
	}
	b.Sort()
	s.exemplars = append(s.exemplars, model.Exemplar{T: t, V: v, Labels: b.Labels()})
}

// plainHistogram is the histogram with nothing that 1.0 does not know.
func plainHistogram(t *testing.T, h *prompb.Histogram) []byte {
	h.XXX_unrecognized = nil
	for _, spans := range [][]prompb.BucketSpan{h.PositiveSpans, h.NegativeSpans} {
		for i := range spans {
			spans[i].XXX_unrecognized = nil
		}
	}
	b, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compare fails unless the request says the same.
func (c *content) compare(t *testing.T, r *Request) {
	series, exemplars := r.Batch.Series, r.Batch.Exemplars
	for i := range c.series {
		want := &c.series[i]
		var key []byte
		if n := len(want.samples) + len(want.histograms); n > 0 {
			if len(series) == 0 {
				t.Fatalf("no series %d, want %v", i, want)
			}
			compareSeries(t, r, &series[0], want)
			key, series = series[0].Key, series[1:]
		}
		var got []model.Exemplar
		for len(got) < len(want.exemplars) && len(exemplars) > 0 {
			var err error
			if got, err = model.DecodeExemplars(got, exemplars[0].T, exemplars[0].Row); err != nil {
				t.Fatal(err)
			}
			if key != nil && !bytes.Equal(key, exemplars[0].Key) {
				t.Fatalf("exemplar of %q, want %q", exemplars[0].Key, key)
			}
			exemplars = exemplars[1:]
		}
		if fmt.Sprint(got) != fmt.Sprint(want.exemplars) {
			t.Fatalf("exemplars %v, want %v", got, want.exemplars)
		}
	}
	var metadata []contentMetadata
	for _, m := range r.Batch.Metadata {
		metadata = append(metadata, contentMetadata{string(m.Metric), string(m.Row)})
	}
	if len(series) != 0 || len(exemplars) != 0 || c.exemplars != r.Exemplars || !slices.Equal(metadata, c.metadata) {
		t.Fatalf("%d series, %d exemplars too many; %d exemplars, want %d; metadata %q, want %q",
			len(series), len(exemplars), r.Exemplars, c.exemplars, metadata, c.metadata)
	}
}

func compareSeries(t *testing.T, r *Request, got *model.BatchSeries, want *contentSeries) {
	var names []string
	if err := r.eachLabel(got.Key, func(n, v []byte) bool { names = append(names, string(n), string(v)); return true }); err != nil {
		t.Fatal(err)
	}
	samples := r.Batch.Samples[got.First:][:got.Count]
	histograms := r.Batch.Histograms[got.FirstHistogram:][:got.HistogramCount]
	sameSamples := slices.EqualFunc(samples, want.samples, func(a, b model.Sample) bool { return a.T == b.T && math.Float64bits(a.V) == math.Float64bits(b.V) })
	if !slices.Equal(names, want.names) || !sameSamples {
		t.Fatalf("%q %v, want %q %v", names, samples, want.names, want.samples)
	}
	sort := func(a, b model.HistogramSample) int { return cmp.Or(cmp.Compare(a.T, b.T), bytes.Compare(a.H, b.H)) }
	histograms = slices.SortedFunc(slices.Values(histograms), sort)
	slices.SortFunc(want.histograms, sort)
	if !slices.EqualFunc(histograms, want.histograms, func(a, b model.HistogramSample) bool { return sort(a, b) == 0 }) {
		t.Fatalf("histograms %v, want %v", histograms, want.histograms)
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
			_ = r.seriesText(s.Key)
		}
		if len(r.Batch.Samples) > len(body)*maxExpansion {
			t.Fatalf("%d samples out of %d bytes", len(r.Batch.Samples), len(body))
		}
		r.Release()
	})
}

func promHistogram(t *testing.T, raw []byte) *prompb.Histogram {
	var p prompb.Histogram
	if err := p.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return &p
}
