package remotewrite

import (
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
)

func TestRejectedV2(t *testing.T) {
	b := newV2()
	one := samples(writev2.Sample{Value: 1, Timestamp: 1}, writev2.Sample{Value: 1, Timestamp: 2})
	b.add(one, "__name__", "good", "a", "b")
	b.add(one, "__name__", "odd").LabelsRefs = []uint32{1, 2, 3}
	b.add(one, "__name__", "far").LabelsRefs = []uint32{1, 2, 3, 4_000_000_000}
	b.add(one, "a", "b")
	b.add(one)
	b.add(writev2.TimeSeries{}, "__name__", "nothing")
	b.add(writev2.TimeSeries{Samples: one.Samples, Metadata: writev2.Metadata{HelpRef: 77}}, "__name__", "help")
	b.add(writev2.TimeSeries{Samples: one.Samples, Exemplars: []writev2.Exemplar{{Value: 1, Timestamp: 1}, {LabelsRefs: []uint32{1, 99}}}}, "__name__", "exemplar")
	b.add(writev2.TimeSeries{Samples: one.Samples, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{1}}}}, "__name__", "exemplar2")
	b.add(writev2.TimeSeries{Histograms: []writev2.Histogram{{Schema: 77, Timestamp: 6}}}, "__name__", "histogram")
	b.add(one, "__name__", "good2")
	r, err := NewDecoder(nil).DecodeMessage(b.message(t), V2)
	require.NoError(t, err)
	defer r.Release()
	require.Len(t, r.Batch.Series, 4)
	require.Len(t, r.Batch.Samples, 8, "an exemplar that is none takes no samples with it")
	require.Len(t, r.Batch.Exemplars, 1)
	require.Equal(t, 1, r.Exemplars)
	require.Equal(t, 2, r.DroppedExemplars)
	require.Empty(t, r.Batch.Histograms)
	require.Equal(t, int32(2), r.Batch.Series[1].First)
	require.Equal(t, 5*2+1+1, r.RejectedSamples, "a series with nothing counts as one")
	for i, want := range []string{
		"with labels_refs [1 2 3]: labels_refs has 3 references, an odd number",
		"with labels_refs [1 2 3 4000000000]: labels_refs has 4000000000, which is not among the",
		`{"a"="b"}: the series has no label __name__`,
		"{}: the series has no labels",
		`{"__name__"="nothing"}: the series has no sample, histogram or exemplar`,
		`{"__name__"="help"}: help_ref has 77, which is not among the`,
		`{"__name__"="exemplar"}: labels_refs of an exemplar has 99, which is not among the`,
		`{"__name__"="exemplar2"}: labels_refs of an exemplar has 1 references, an odd number`,
		`{"__name__"="histogram"}: native histogram of schema 77 at 6: schema 77 is not`,
	} {
		require.ErrorIs(t, r.Rejected[i].Err, model.ErrInvalid)
		require.Contains(t, r.Rejected[i].Series+": "+r.Rejected[i].Err.Error(), want)
	}
}

// A histogram that is none is left out: what is beside it stays, in both versions.
func TestRejectedHistogram(t *testing.T) {
	good := writev2.FromIntHistogram(1, 5, &histogram.Histogram{Count: 1, Sum: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}})
	bad := good
	bad.Timestamp, bad.Count = 6, &writev2.Histogram_CountInt{CountInt: 9}
	fine := good // of a schema that Prometheus knows and does not keep
	fine.Timestamp, fine.Schema = 7, 9
	fine.PositiveSpans, fine.PositiveDeltas = []writev2.BucketSpan{{Offset: 1, Length: 2}}, []int64{1, -1}
	large := good
	large.Timestamp, large.PositiveSpans = 8, make([]writev2.BucketSpan, maxHistogramBytes/2)
	b := newV2()
	b.add(writev2.TimeSeries{Histograms: []writev2.Histogram{bad, good, large, fine}, Samples: []writev2.Sample{{Value: 1, Timestamp: 9}}}, "__name__", "h")
	r, err := NewDecoder(nil).DecodeMessage(b.message(t), V2)
	require.NoError(t, err)
	defer r.Release()
	require.Equal(t, 2, r.RejectedSamples)
	require.Equal(t, map[model.Reason]int{model.ReasonHistogram: 2}, r.Reasons)
	require.Len(t, r.Rejected, 1)
	require.Contains(t, r.Rejected[0].Err.Error(), "native histogram of schema 0 at 6: ")
	require.Len(t, r.Batch.Series, 1)
	require.Len(t, r.Batch.Samples, 1)
	require.Len(t, r.Batch.Histograms, 2)
	_, _, raw, err := model.SplitStart(r.Batch.Histograms[1].H)
	require.NoError(t, err)
	h := promHistogram(t, raw).ToIntHistogram()
	require.Equal(t, int32(8), h.Schema)
	require.NoError(t, h.Validate())
	require.Equal(t, int64(7), r.Batch.Histograms[1].T)

	v1 := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:     []prompb.Label{{Name: "__name__", Value: "h"}},
		Samples:    []prompb.Sample{{Value: 1, Timestamp: 1}},
		Histograms: []prompb.Histogram{{Schema: 77, Timestamp: 2}},
	}}}
	message, err := v1.Marshal()
	require.NoError(t, err)
	r1, err := NewDecoder(nil).DecodeMessage(message, V1)
	require.NoError(t, err)
	defer r1.Release()
	require.Len(t, r1.Batch.Samples, 1)
	require.Equal(t, 1, r1.RejectedSamples)
}

// A label may say its name twice, and the last one counts: what began as the name of a metric need not be one.
func TestNameTwice(t *testing.T) {
	label := join(lenField(1, []byte("__name__")), lenField(2, []byte("v")), lenField(1, []byte("other")))
	message := lenField(1, lenField(1, label), rawSample(2, 9))
	r, err := NewDecoder(nil).DecodeMessage(message, V1)
	require.NoError(t, err)
	defer r.Release()
	require.Empty(t, r.Batch.Series)
	require.Len(t, r.Rejected, 1)
	require.ErrorContains(t, r.Rejected[0].Err, "no label __name__")
}
