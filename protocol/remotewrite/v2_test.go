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
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

// v2Builder makes a request with its symbols.
type v2Builder struct {
	table writev2.SymbolsTable
	req   writev2.Request
}

func newV2() *v2Builder { return &v2Builder{table: writev2.NewSymbolTable()} }

func (b *v2Builder) refs(pairs ...string) []uint32 {
	var refs []uint32
	for _, s := range pairs {
		refs = append(refs, b.table.Symbolize(s))
	}
	return refs
}

func (b *v2Builder) add(s writev2.TimeSeries, pairs ...string) *writev2.TimeSeries {
	s.LabelsRefs = b.refs(pairs...)
	b.req.Timeseries = append(b.req.Timeseries, s)
	return &b.req.Timeseries[len(b.req.Timeseries)-1]
}

func (b *v2Builder) message(t testing.TB) []byte {
	b.req.Symbols = b.table.Symbols()
	m, err := b.req.Marshal()
	require.NoError(t, err)
	return m
}

func samples(s ...writev2.Sample) writev2.TimeSeries { return writev2.TimeSeries{Samples: s} }

// exampleV2 is a request with everything in it.
func exampleV2() *v2Builder {
	b := newV2()
	b.add(writev2.TimeSeries{
		Samples:   []writev2.Sample{{Value: 1.5, Timestamp: -9}, {Value: math.Float64frombits(staleNaN), Timestamp: 1 << 60}},
		Exemplars: []writev2.Exemplar{{LabelsRefs: b.refs("trace_id", "abc"), Value: 3, Timestamp: 8}, {Value: 4, Timestamp: 8}, {Value: 5, Timestamp: 9}},
		Metadata:  writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: b.table.Symbolize("what it counts"), UnitRef: b.table.Symbolize("s")},
	}, "__name__", "up", "job", "a")
	b.add(samples(writev2.Sample{Value: 2, Timestamp: 7, StartTimestamp: 3}, writev2.Sample{Value: 2, Timestamp: 8}), "__name__", "up", "job", strings.Repeat("long", 100))
	h := writev2.FromIntHistogram(0, 7, &histogram.Histogram{Schema: 1, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 1}})
	f := writev2.FromFloatHistogram(5, 8, &histogram.FloatHistogram{Count: 2, Sum: 1, ZeroThreshold: 0.1, ZeroCount: 2, CounterResetHint: histogram.GaugeType})
	c := writev2.FromIntHistogram(0, 9, &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 3, Sum: 4, PositiveSpans: []histogram.Span{{Length: 2}}, PositiveBuckets: []int64{1, 1}, CustomValues: []float64{1, 2},
	})
	b.add(writev2.TimeSeries{
		Histograms: []writev2.Histogram{h, f, c},
		Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_HISTOGRAM, HelpRef: b.table.Symbolize("durations")},
	}, "__name__", "h_bucket", "empty", "")
	b.add(writev2.TimeSeries{Exemplars: []writev2.Exemplar{{Value: 1, Timestamp: 2}}}, "__name__", "only_exemplars")
	return b
}

func TestDecodeV2(t *testing.T) {
	d := NewDecoder(nil)
	b := exampleV2()
	body := snappy.Encode(nil, b.message(t))
	for range 3 { // The second and third time with a used Request.
		r, err := d.DecodeV2(body, nil)
		require.NoError(t, err)
		require.Len(t, r.Batch.Series, 3)
		require.Empty(t, r.Rejected)
		ls := labels.FromStrings("__name__", "up", "job", "a")
		require.Equal(t, model.AppendPairs(nil, ls), r.Batch.Series[0].Key)
		lb := labels.NewScratchBuilder(0)
		require.NoError(t, r.Batch.Labels.Decode(r.Batch.Series[0].Key, &lb))
		require.Equal(t, ls, lb.Labels())
		first := r.Batch.Samples[:r.Batch.Series[0].Count]
		require.Equal(t, model.Sample{T: -9, V: 1.5}, first[0])
		require.Equal(t, uint64(staleNaN), math.Float64bits(first[1].V))

		require.Equal(t, int32(1), r.Batch.Series[1].Count)
		require.Equal(t, int32(1), r.Batch.Series[1].HistogramCount)
		rows := r.Batch.Histograms
		require.Equal(t, model.HistogramSample{T: 7, H: model.FloatWithStart(3, 2)}, rows[0])
		start, _, plain, err := model.SplitStart(rows[2].H)
		require.NoError(t, err)
		require.Equal(t, int64(5), start)
		want := b.req.Timeseries[2].Histograms[1]
		want.StartTimestamp = 0
		wantBytes, err := want.Marshal()
		require.NoError(t, err)
		require.Equal(t, wantBytes, plain, "the message of 1.0")
		wantBytes, err = b.req.Timeseries[2].Histograms[2].Marshal()
		require.NoError(t, err)
		require.Equal(t, wantBytes, rows[3].H)

		require.Equal(t, 4, r.Exemplars)
		require.Len(t, r.Batch.Exemplars, 3, "two of them in one row")
		require.Equal(t, 2, r.Batch.Exemplars[0].Count)
		require.Equal(t, r.Batch.Series[0].Key, r.Batch.Exemplars[0].Key)
		got, err := model.DecodeExemplars(nil, r.Batch.Exemplars[0].T, r.Batch.Exemplars[0].Row)
		require.NoError(t, err)
		require.Equal(t, []model.Exemplar{{T: 8, V: 3, Labels: labels.FromStrings("trace_id", "abc")}, {T: 8, V: 4}}, got)
		require.Equal(t, model.AppendPairs(nil, labels.FromStrings("__name__", "only_exemplars")), r.Batch.Exemplars[2].Key)

		require.Len(t, r.Batch.Metadata, 2)
		require.Equal(t, "up", string(r.Batch.Metadata[0].Metric))
		m, err := model.DecodeMetadata(r.Batch.Metadata[0].Row)
		require.NoError(t, err)
		require.Equal(t, model.Metadata{Type: "counter", Help: "what it counts", Unit: "s"}, m)
		require.Equal(t, "h", string(r.Batch.Metadata[1].Metric), "metadata is that of the metric, not of its buckets")
		r.Release()
	}
}

func TestUnusualEncodingsV2(t *testing.T) {
	symbols := join(lenField(4), lenField(4, []byte("__name__")), lenField(4, []byte("m")), lenField(4, []byte("b")), lenField(4, []byte("2")))
	refs := lenField(1, []byte{1, 2, 3, 4})
	s := rawSample(2, 9)
	unknown := []byte{9<<3 | wireVarint, 0xff, 1}
	swapped := lenField(2, []byte{tagSampleTime, 9}, s[2:11])
	for name, message := range map[string][]byte{
		"samples before labels":       join(symbols, lenField(5, s, refs)),
		"symbols behind":              join(lenField(5, s, refs), symbols),
		"symbols on both sides":       join(symbols[:2], lenField(5, refs, s), symbols[2:]),
		"references apart":            join(symbols, lenField(5, lenField(1, []byte{1, 2}), s, lenField(1, []byte{3, 4}))),
		"references not packed":       join(symbols, lenField(5, []byte{8, 1, 8, 2}, s, []byte{8, 3, 8, 4})),
		"packed and not":              join(symbols, lenField(5, []byte{8, 1}, lenField(1, []byte{2, 3}), s, []byte{8, 0x84, 0})),
		"unknown fields":              join(unknown, symbols, unknown, lenField(5, unknown, refs, unknown, s), unknown),
		"time before value":           join(symbols, lenField(5, refs, swapped)),
		"start of 0":                  join(symbols, lenField(5, refs, lenField(2, s[2:], []byte{tagSampleStart, 0}))),
		"start first, then 0":         join(symbols, lenField(5, refs, lenField(2, []byte{tagSampleStart, 9}, s[2:], []byte{tagSampleStart, 0}))),
		"exemplar and metadata empty": join(symbols, lenField(5, refs, s, lenField(5))),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewDecoder(nil).DecodeMessage(message, V2)
			require.NoError(t, err)
			defer r.Release()
			require.Empty(t, r.Rejected)
			require.Len(t, r.Batch.Series, 1)
			require.Equal(t, model.AppendPairs(nil, labels.FromStrings("__name__", "m", "b", "2")), r.Batch.Series[0].Key)
			require.Equal(t, []model.Sample{{T: 9, V: 2}}, r.Batch.Samples)
		})
	}
}

func TestMalformedV2(t *testing.T) {
	symbols := join(lenField(4), lenField(4, []byte("__name__")), lenField(4, []byte("m")))
	series := func(parts ...[]byte) []byte { return join(symbols, lenField(5, parts...)) }
	for _, tc := range []struct {
		name string
		msg  []byte
		want string
	}{
		{"text", []byte("hello world, this is not protobuf"), "byte 2 of the message"},
		{"symbol cut off", symbols[:len(symbols)-1], "field 4 of the request is cut off"},
		{"symbol of another wire type", []byte{4 << 3, 1}, "field 4 of the request has wire type 0"},
		{"series cut off", series([]byte{tagRefs, 1, 1})[:len(symbols)+3], "field 5 of the request is cut off"},
		{"references cut off", series([]byte{tagRefs, 9, 1}), "field 1 of a time series is cut off"},
		{"reference cut off", series([]byte{tagRefs, 1, 0x80}), "labels_refs of a time series are cut off"},
		{"value cut off", series(lenField(2, []byte{tagSampleValue, 1, 2})), "value of a sample is cut off"},
		{"histogram rubbish", series(lenField(3, []byte{1<<3 | wireLen, 1, 1})), "native histogram"},
		{"exemplar rubbish", series(lenField(4, []byte{2 << 3, 1})), "field 2 of an exemplar has wire type 0"},
		{"metadata rubbish", series(lenField(5, []byte{3<<3 | wireLen, 1})), "field 3 of metadata is malformed"},
		{"a request of 1.0", lenField(1, rawLabel("__name__", "m"), rawSample(2, 9)), "field 1 is one of prometheus.WriteRequest, which Content-Type has to say"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewDecoder(nil).DecodeMessage(tc.msg, V2)
			require.ErrorIs(t, err, model.ErrInvalid)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestRequestOf2DeclaredAs1(t *testing.T) {
	_, err := NewDecoder(nil).DecodeMessage(exampleV2().message(t), V1)
	require.ErrorIs(t, err, model.ErrInvalid)
	require.ErrorContains(t, err, "field 4 is one of io.prometheus.write.v2.Request, which Content-Type has to say")
}

// A few bytes refer to many: what is made of them is bounded, and asked for before it is there.
func TestReferencesAreNoBombV2(t *testing.T) {
	b := newV2()
	for i := range 2000 {
		b.add(samples(writev2.Sample{Value: 1, Timestamp: 1}), "__name__", fmt.Sprint(i), "x", strings.Repeat("x", 1<<20))
	}
	body := snappy.Encode(nil, b.message(t))
	asked := int64(0)
	d := NewDecoder(nil)
	_, err := d.DecodeV2(body, func(n int64) error { asked += n; return nil })
	require.ErrorIs(t, err, model.ErrInvalid)
	require.ErrorContains(t, err, "send smaller batches")
	require.LessOrEqual(t, asked, int64(32<<20))
	full := errors.New("full")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = d.DecodeV2(body, func(n int64) error {
		if asked -= n; asked < 16<<20 {
			return full
		}
		return nil
	})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, full)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(160<<20), "of 2 GiB")
}

func FuzzMessageV2(f *testing.F) {
	f.Add(exampleV2().message(f))
	symbols := join(lenField(4), lenField(4, []byte("__name__")), lenField(4, []byte("m")), lenField(4, []byte("b")), lenField(4, []byte("2")))
	refs, s := lenField(1, []byte{1, 2, 3, 4}), rawSample(2, 9)
	f.Add(join(lenField(5, s, refs), symbols))
	f.Add(join(symbols, lenField(5, []byte{8, 1}, lenField(1, []byte{2, 3}), s, []byte{8, 0x84, 0})))
	f.Add(join(symbols, lenField(5, refs, lenField(2, s[2:], []byte{tagSampleStart, 1}), lenField(4, lenField(1, []byte{3, 4}), []byte{3 << 3, 7}), lenField(5, []byte{8, 1, 24, 4}))))
	d := NewDecoder(&Options{MaxLabels: math.MaxInt32})
	f.Fuzz(func(t *testing.T, msg []byte) {
		var oracle writev2.Request
		oracleErr := oracle.Unmarshal(msg)
		r, err := d.DecodeMessage(append([]byte(nil), msg...), V2)
		if err != nil {
			if oracleErr == nil && !overruns(msg, 0) && !strings.Contains(err.Error(), "which Content-Type has to say") {
				t.Fatalf("refused what writev2 reads: %v", err)
			}
			return
		}
		defer r.Release()
		if oracleErr != nil {
			if len(r.Rejected) == 0 && r.empty == 0 {
				t.Fatalf("accepted what writev2 refuses: %v", oracleErr)
			}
			return
		}
		wantV2(t, &oracle).compare(t, r)
	})
}

// overruns reports whether a field that may be references ends amid one: the generated code reads on beyond the field's end then.
func overruns(b []byte, depth int) bool {
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 {
			return false
		}
		if wire == wireLen {
			start, end := span(b, next)
			if end < 0 {
				return false
			}
			if field == fieldRefs && end > start && b[end-1] >= 0x80 || depth < 2 && overruns(b[start:end], depth+1) {
				return true
			}
		}
		if i = skip(b, next, wire); i < 0 {
			return false
		}
	}
	return false
}

// wantV2 is what a request says, by way of the generated code.
func wantV2(t *testing.T, oracle *writev2.Request) *content {
	c := &content{}
	told := map[uint32]bool{}
	metricName := -1
	for i, s := range oracle.Symbols {
		if s == "__name__" && metricName < 0 {
			metricName = i
		}
	}
	for i := range oracle.Timeseries {
		want := &oracle.Timeseries[i]
		s, valid := seriesV2(t, want, oracle.Symbols)
		named := false
		metric := -1
		for k := 0; k+1 < len(s.names); k += 2 {
			if s.names[k] == "__name__" && s.names[k+1] != "" {
				named = true
				if int(want.LabelsRefs[k]) == metricName {
					metric = int(want.LabelsRefs[k+1])
				}
			}
		}
		empty := len(want.Samples)+len(want.Histograms)+len(want.Exemplars) == 0
		if valid && !empty && metric >= 0 && (want.Metadata.Type != 0 || want.Metadata.HelpRef != 0 || want.Metadata.UnitRef != 0) {
			m := want.Metadata
			if valid = int(m.HelpRef) < len(oracle.Symbols) && int(m.UnitRef) < len(oracle.Symbols); valid && !told[uint32(metric)] {
				told[uint32(metric)] = true
				if help, unit := oracle.Symbols[m.HelpRef], oracle.Symbols[m.UnitRef]; m.Type != 0 || help != "" || unit != "" {
					row := model.AppendMetadata(nil, uint64(uint32(m.Type)), unit, help)
					c.metadata = append(c.metadata, contentMetadata{string(family([]byte(oracle.Symbols[metric]), uint64(uint32(m.Type)))), string(row)})
				}
			}
		}
		if valid && named {
			c.add(s)
		}
	}
	return c
}

func seriesV2(t *testing.T, want *writev2.TimeSeries, symbols []string) (s contentSeries, valid bool) {
	var ok bool
	s.names, valid = textsOf(want.LabelsRefs, symbols)
	for _, x := range want.Samples {
		if x.StartTimestamp != 0 {
			s.histograms = append(s.histograms, model.HistogramSample{T: x.Timestamp, H: model.FloatWithStart(x.StartTimestamp, x.Value)})
		} else {
			s.samples = append(s.samples, model.Sample{T: x.Timestamp, V: x.Value})
		}
	}
	for _, h := range want.Histograms {
		raw, err := h.Marshal()
		require.NoError(t, err)
		p := promHistogram(t, raw)
		if reduceHistogram(p) != nil || validateHistogram(p) != nil {
			continue
		}
		b := plainHistogram(t, p)
		if h.StartTimestamp != 0 {
			b = model.HistogramWithStart(h.StartTimestamp, b)
		}
		s.histograms = append(s.histograms, model.HistogramSample{T: h.Timestamp, H: b})
	}
	for _, x := range want.Exemplars {
		var names []string
		if names, ok = textsOf(x.LabelsRefs, symbols); ok {
			s.addExemplar(x.Timestamp, x.Value, names)
		}
	}
	return s, valid
}

func textsOf(refs []uint32, symbols []string) (texts []string, ok bool) {
	for _, ref := range refs {
		if int(ref) >= len(symbols) {
			return texts, false
		}
		texts = append(texts, symbols[ref])
	}
	return texts, len(refs)%2 == 0
}
