package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus/testutil"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/varvedb/varve/model"
	"github.com/varvedb/varve/protocol/remotewrite"
)

var v2Headers = []string{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request", "Content-Encoding", "snappy"}

func writeBodyV2(t testing.TB, symbols []string, series ...writev2.TimeSeries) []byte {
	b, err := (&writev2.Request{Symbols: symbols, Timeseries: series}).Marshal()
	require.NoError(t, err)
	return snappy.Encode(nil, b)
}

func written(w http.ResponseWriter) string {
	var all []string
	for _, what := range []string{"Samples", "Histograms", "Exemplars"} {
		all = append(all, w.Header().Get("X-Prometheus-Remote-Write-"+what+"-Written"))
	}
	return strings.Join(all, " ")
}

func TestWriteV2(t *testing.T) {
	st := &store{}
	srv, _ := newServer(t, st, nil)
	symbols := []string{"", "__name__", "a", "b"}
	one := []writev2.Sample{{Value: 1, Timestamp: 1}, {Value: 1, Timestamp: 2}}
	good := writev2.TimeSeries{LabelsRefs: []uint32{1, 2}, Samples: one}
	bad := writev2.TimeSeries{LabelsRefs: []uint32{1, 17}, Samples: one}

	w := do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, good, good), v2Headers...)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Equal(t, "4 0 0", written(w))

	// The good part is kept, and the answer says which was not and why.
	w = do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, good, bad), v2Headers...)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "2 0 0", written(w))
	require.Equal(t, "2 of 4 samples refused, the others are stored: series with labels_refs [1 17]: labels_refs has 17, which is not among the 4 symbols of the request\n", w.Body.String())
	require.Equal(t, 6, st.samples["default"])

	// Whatever fails, there are headers: without any a sender takes the receiver for one of 1.0.
	st.err = model.ErrUnavailable
	w = do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, good), v2Headers...)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "0 0 0", written(w))
	st.err = nil

	// Exemplars and metadata that are not kept are no fault of the request, and counted.
	st.result = model.AppendResult{Exemplars: 3, DroppedExemplars: 4, DroppedMetadata: 5}
	w = do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, good), v2Headers...)
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "2 0 3", written(w))
	require.Equal(t, 3.0, testutil.ToFloat64(srv.metrics.samples.WithLabelValues("exemplar")))
	require.Equal(t, 4.0, testutil.ToFloat64(srv.metrics.skipped.WithLabelValues("exemplar")))
	require.Equal(t, 5.0, testutil.ToFloat64(srv.metrics.skipped.WithLabelValues("metadata")))
	st.result = model.AppendResult{}

	// A sender of 1.0 would take them for 2.0.
	w = do(srv.Handler(), "POST", pathWrite, writeBody(t, oneSeries("a")))
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "  ", written(w))
}

// What references are made to is admitted as it grows, and given back.
func TestWriteV2Memory(t *testing.T) {
	st := &store{}
	srv, _ := newServer(t, st, &Options{MaxInFlightBytes: 8 << 20, Write: remotewrite.Options{MaxTextBytes: 4 << 20}})
	symbols := []string{"", "__name__", "x", strings.Repeat("x", 64<<10)}
	var series []writev2.TimeSeries
	for i := range 100 {
		symbols = append(symbols, fmt.Sprint(i))
		series = append(series, writev2.TimeSeries{LabelsRefs: []uint32{1, uint32(len(symbols) - 1), 2, 3}, Samples: []writev2.Sample{{Value: 1, Timestamp: 1}}})
	}
	w := do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, series...), v2Headers...)
	require.Equal(t, http.StatusBadRequest, w.Code, w.Body)
	require.Contains(t, w.Body.String(), "send smaller batches")
	require.Equal(t, "0 0 0", written(w))
	require.Zero(t, srv.admission.used.Load())
	w = do(srv.Handler(), "POST", pathWrite, writeBodyV2(t, symbols, series[:20]...), v2Headers...)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	require.Zero(t, srv.admission.used.Load())
}
