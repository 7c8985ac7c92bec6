package remotewrite

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// staleNaN is the bit pattern of Prometheus' staleness marker.
const staleNaN = 0x7ff0000000000002

func request(t testing.TB, w *prompb.WriteRequest) []byte {
	b, err := w.Marshal()
	require.NoError(t, err)
	return b
}

func pbLabels(pairs ...string) (ls []prompb.Label) {
	for i := 0; i < len(pairs); i += 2 {
		ls = append(ls, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return ls
}

// varint, field and join write protobuf by hand, to write what no encoder would.
func join(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func lenField(n byte, parts ...[]byte) []byte {
	body := join(parts...)
	out := []byte{n<<3 | wireLen}
	for l := len(body); ; l >>= 7 {
		if l < 0x80 {
			out = append(out, byte(l))
			break
		}
		out = append(out, byte(l)|0x80)
	}
	return append(out, body...)
}

func rawLabel(name, value string) []byte {
	return lenField(1, lenField(1, []byte(name)), lenField(2, []byte(value)))
}

func rawSample(v float64, t byte) []byte {
	bits := math.Float64bits(v)
	b := []byte{tagSampleValue}
	for i := range 8 {
		b = append(b, byte(bits>>(8*i)))
	}
	return lenField(2, b, []byte{tagSampleTime, t})
}

func decodedLabels(t testing.TB, key []byte) labels.Labels {
	b := labels.NewScratchBuilder(0)
	require.NoError(t, LabelDecoder{}.Decode(key, &b))
	return b.Labels()
}

func TestDecode(t *testing.T) {
	h := prompb.FromIntHistogram(7, &histogram.Histogram{
		Schema: 1, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1},
	})
	w := &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			{Labels: pbLabels("__name__", "up", "job", "a"), Samples: []prompb.Sample{{Value: 1.5, Timestamp: -9}, {}, {Value: math.Float64frombits(staleNaN), Timestamp: 1 << 60}}},
			{Labels: pbLabels("__name__", "none")},
			{Labels: pbLabels("__name__", "h", "empty", ""), Histograms: []prompb.Histogram{h}, Exemplars: []prompb.Exemplar{{Value: 1, Timestamp: 4, Labels: pbLabels("a", "b")}, {Value: 2, Timestamp: 4}, {Labels: pbLabels("long", strings.Repeat("ü", 125))}}},
			{Labels: pbLabels("__name__", strings.Repeat("long", 100)), Samples: []prompb.Sample{{Value: math.Copysign(0, -1), Timestamp: 5}}},
		},
		Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "up", Help: "h", Unit: "s"}},
	}
	d := NewDecoder(nil)
	for range 3 { // The second and third time with a used Request.
		r, err := d.Decode(snappy.Encode(nil, request(t, w)))
		require.NoError(t, err)
		require.Len(t, r.Batch.Series, 3, "a series without samples is left out")
		require.Equal(t, labels.FromStrings("__name__", "up", "job", "a"), decodedLabels(t, r.Batch.Series[0].Key))
		require.Equal(t, AppendKey(nil, labels.FromStrings("__name__", "up", "job", "a")), r.Batch.Series[0].Key)
		s := r.Batch.Samples[r.Batch.Series[0].First:][:r.Batch.Series[0].Count]
		require.Len(t, s, 3)
		require.Equal(t, model.Sample{T: -9, V: 1.5}, s[0])
		require.Equal(t, model.Sample{}, s[1])
		require.Equal(t, uint64(staleNaN), math.Float64bits(s[2].V))
		require.Equal(t, int64(1<<60), s[2].T)
		require.Equal(t, int32(1), r.Batch.Series[1].HistogramCount)
		want, err := h.Marshal()
		require.NoError(t, err)
		require.Equal(t, []model.HistogramSample{{T: 7, H: want}}, r.Batch.Histograms)
		require.Equal(t, int64(5), r.Batch.Samples[r.Batch.Series[2].First].T)
		require.Equal(t, 2, r.Exemplars)
		require.Equal(t, 1, r.DroppedExemplars)
		require.Len(t, r.Batch.Metadata, 1)
		require.Equal(t, "up", string(r.Batch.Metadata[0].Metric))
		meta, err := model.DecodeMetadata(r.Batch.Metadata[0].Row)
		require.NoError(t, err)
		require.Equal(t, model.Metadata{Type: "counter", Unit: "s", Help: "h"}, meta)
		require.Len(t, r.Batch.Exemplars, 1)
		require.Equal(t, r.Batch.Series[1].Key, r.Batch.Exemplars[0].Key)
		exemplars, err := model.DecodeExemplars(nil, r.Batch.Exemplars[0].T, r.Batch.Exemplars[0].Row)
		require.NoError(t, err)
		require.Equal(t, []model.Exemplar{{T: 4, V: 1, Labels: labels.FromStrings("a", "b")}, {T: 4, V: 2}}, exemplars)
		require.Empty(t, r.Rejected)
		r.Release()
	}
}

func TestUnusualEncodings(t *testing.T) {
	a, b, c := rawLabel("__name__", "m"), rawLabel("b", "2"), rawLabel("c", "3")
	s := rawSample(2, 9)
	unknown := []byte{9<<3 | wireVarint, 0xff, 1}
	group := []byte{10<<3 | wireStart, 10<<3 | wireStart, 1<<3 | wireI32, 1, 2, 3, 4, 10<<3 | wireEnd, 10<<3 | wireEnd}
	swapped := lenField(2, []byte{tagSampleTime, 9}, s[2:11])
	longTag := append([]byte{0x8a, 0x00}, b[1:]...)
	for name, series := range map[string][]byte{
		"samples before labels":        join(s, a, b, c),
		"samples between labels":       join(a, s, b, c),
		"unknown fields between":       join(a, unknown, b, group, c, s),
		"every label apart":            join(a, unknown, b, unknown, c, unknown, s),
		"time before value":            join(a, b, c, swapped),
		"tag longer than needed":       join(a, longTag, c, s),
		"value overwritten in sample":  join(a, b, c, lenField(2, rawSample(7, 1)[2:], rawSample(2, 9)[2:])),
		"unknown fields in the sample": join(a, b, c, lenField(2, unknown, s[2:], group)),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewDecoder(nil).DecodeMessage(join(unknown, lenField(1, series), group), V1)
			require.NoError(t, err)
			defer r.Release()
			require.Len(t, r.Batch.Series, 1)
			require.Equal(t, labels.FromStrings("__name__", "m", "b", "2", "c", "3"), decodedLabels(t, r.Batch.Series[0].Key))
			require.Equal(t, []model.Sample{{T: 9, V: 2}}, r.Batch.Samples)
		})
	}
}

func TestMalformed(t *testing.T) {
	good := join(rawLabel("__name__", "m"), rawSample(2, 9))
	for _, tc := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"text", []byte("hello world, this is not protobuf"), "byte 2 of the message"},
		{"series cut off", lenField(1, good)[:20], "byte 0 of the message: field 1 of the request is cut off"},
		{"second series cut off", join(lenField(1, good), []byte{0x0a, 100}), fmt.Sprintf("byte %d of the message", len(good)+2)},
		{"label reaches past the series", lenField(1, []byte{tagLabel, 5, 1}), "byte 2 of the message: field 1 of a time series is cut off"},
		{"value cut off", lenField(1, lenField(2, []byte{tagSampleValue, 1, 2})), "value of a sample is cut off"},
		{"endless varint", lenField(1, lenField(2, []byte{tagSampleTime}, []byte(strings.Repeat("\xff", 12)))), "timestamp of a sample is cut off"},
		{"huge length", []byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "cut off"},
		{"field 0", []byte{0x02, 0}, "no valid field tag"},
		{"wrong wire type", []byte{1<<3 | wireVarint, 1}, "wire type 0, want 2"},
		{"group without end", []byte{9<<3 | wireStart, 1<<3 | wireVarint, 1}, "unknown field 9"},
		{"group end alone", []byte{9<<3 | wireEnd}, "unknown field 9"},
		{"wire type 7", []byte{9<<3 | 7}, "unknown field 9"},
		{"histogram rubbish", lenField(1, rawLabel("a", "b"), lenField(4, []byte{1<<3 | wireLen, 1, 1})), "native histogram"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewDecoder(nil).DecodeMessage(tc.msg, V1)
			require.ErrorIs(t, err, model.ErrInvalid)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestRejectedSeriesLeaveTheOthers(t *testing.T) {
	many := []string{"__name__", "many"}
	for i := range 10 {
		many = append(many, fmt.Sprintf("l%d", i), "v")
	}
	bad := prompb.FromIntHistogram(7, &histogram.Histogram{Schema: 1, Count: 99, PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{1, 1}})
	w := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{
		{Labels: pbLabels(many...), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}, {Value: 1, Timestamp: 2}}},
		{Labels: pbLabels("__name__", "good"), Samples: []prompb.Sample{{Value: 3, Timestamp: 3}}},
		{Labels: pbLabels("__name__", "hist"), Histograms: []prompb.Histogram{bad}, Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}},
		{Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}},
		{Labels: pbLabels("a", "b", "__name__", ""), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}},
		{Labels: pbLabels("__name_", "b"), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}}},
		{Labels: pbLabels("__name__", "good2"), Samples: []prompb.Sample{{Value: 4, Timestamp: 4}}},
	}}
	r, err := NewDecoder(&Options{MaxLabels: 10}).DecodeMessage(request(t, w), V1)
	require.NoError(t, err)
	defer r.Release()
	require.Len(t, r.Batch.Series, 3)
	require.Equal(t, []model.Sample{{T: 3, V: 3}, {T: 1, V: 1}, {T: 4, V: 4}}, r.Batch.Samples, "a histogram that is none takes no sample with it")
	require.ErrorContains(t, r.Rejected[3].Err, "no label __name__")
	require.ErrorContains(t, r.Rejected[4].Err, "no label __name__")
	require.Equal(t, int32(1), r.Batch.Series[1].First)
	require.Empty(t, r.Batch.Histograms)
	require.Equal(t, 6, r.RejectedSamples)
	require.Equal(t, map[model.Reason]int{model.ReasonLimit: 2, model.ReasonHistogram: 1, model.ReasonLabels: 3}, r.Reasons)
	require.Len(t, r.Rejected, 5)
	require.Contains(t, r.Rejected[0].Series, `"__name__"="many"`)
	require.ErrorContains(t, r.Rejected[0].Err, "11 labels, at most 10")
	require.Contains(t, r.Rejected[1].Series, "hist")
	require.ErrorContains(t, r.Rejected[2].Err, "no labels")
	for _, x := range r.Rejected {
		require.ErrorIs(t, x.Err, model.ErrInvalid)
	}
}

func TestHistogramsBecomeCanonical(t *testing.T) {
	h := prompb.FromFloatHistogram(3, &histogram.FloatHistogram{Count: 2, Sum: 1, ZeroThreshold: 0.1, ZeroCount: 2})
	want, err := h.Marshal()
	require.NoError(t, err)
	odd := join([]byte{15<<3 | wireVarint, 9}, want, []byte{30<<3&0xff | 0x80 | wireVarint, 30 >> 4, 1})
	r, err := NewDecoder(nil).DecodeMessage(lenField(1, rawLabel("__name__", "b"), lenField(4, odd), lenField(4, want)), V1)
	require.NoError(t, err)
	defer r.Release()
	require.Equal(t, []model.HistogramSample{{T: 3, H: want}, {T: 3, H: want}}, r.Batch.Histograms)
}

func TestLimits(t *testing.T) {
	w := &prompb.WriteRequest{}
	for i := range 10 {
		w.Timeseries = append(w.Timeseries, prompb.TimeSeries{Labels: pbLabels("Z", "sorts first", "__name__", fmt.Sprint(i)), Samples: []prompb.Sample{{Value: 1, Timestamp: 1}, {Value: 2, Timestamp: 2}}})
	}
	body := snappy.Encode(nil, request(t, w))
	for name, o := range map[string]Options{
		"9 series":   {MaxSeries: 9},
		"19 samples": {MaxSamples: 19},
		"body":       {MaxBodyBytes: 10},
		"decoded":    {MaxDecodedBytes: 100},
	} {
		_, err := NewDecoder(&o).Decode(body)
		require.ErrorIs(t, err, model.ErrInvalid, name)
		var tooLarge *TooLargeError
		require.Equal(t, name == "body" || name == "decoded", errors.As(err, &tooLarge), name)
	}
	r, err := NewDecoder(&Options{MaxSeries: 10, MaxSamples: 20}).Decode(body)
	require.NoError(t, err)
	r.Release()
}

func TestBombsAreRefusedBeforeAllocation(t *testing.T) {
	d := NewDecoder(nil)
	for name, body := range map[string][]byte{
		"1 GiB declared":             {0x80, 0x80, 0x80, 0x80, 0x04, 0, 0},
		"100 MiB in twelve bytes":    {0x80, 0x80, 0x80, 0x32, 0, 0, 0, 0, 0, 0, 0, 0},
		"no length":                  []byte(strings.Repeat("\xff", 40)),
		"empty":                      {},
		"truncated after the length": {0x20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			_, err := d.Decode(body)
			require.ErrorIs(t, err, model.ErrInvalid, name)
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

func TestNegotiate(t *testing.T) {
	for _, tc := range []struct{ contentType, encoding, want string }{
		{"application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy", "2.0"},
		{"application/x-protobuf; proto=io.prometheus.write.v2.Request", "", "2.0"},
		{"", "", ""},
		{"application/x-protobuf", "snappy", ""},
		{"application/x-protobuf;proto=prometheus.WriteRequest", "snappy", ""},
		{"Application/X-Protobuf; proto=prometheus.WriteRequest", "snappy", ""},
		{"application/x-protobuf;proto=x", "snappy", "send proto=io.prometheus.write.v2.Request or proto=prometheus.WriteRequest"},
		{"application/json", "snappy", "content type"},
		{";;;", "", "content type"},
		{"application/x-protobuf", "zstd", `send "snappy"`},
	} {
		version, err := Negotiate(tc.contentType, tc.encoding)
		if tc.want == "" || tc.want == "2.0" {
			require.NoError(t, err, tc.contentType)
			require.Equal(t, tc.want == "2.0", version == V2, tc.contentType)
			continue
		}
		require.ErrorIs(t, err, ErrMediaType)
		require.ErrorContains(t, err, tc.want)
	}
}

func TestSeriesTextIsShort(t *testing.T) {
	var ls []string
	for i := range 10_000 {
		ls = append(ls, fmt.Sprintf("label_%d", i), strings.Repeat("x", 1000))
	}
	text := new(Request).seriesText(AppendKey(nil, labels.FromStrings(ls...)))
	require.Less(t, len(text), 600)
	require.Contains(t, text, "…")
	require.Equal(t, `{"a"="\x00"}`, new(Request).seriesText(AppendKey(nil, labels.FromStrings("a", "\x00"))))
}
