package remotewrite

import (
	"bytes"
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// maxHistogramBytes is the largest message of one histogram, which has room for more than 20,000 buckets. Decoding makes up to 40 bytes of one, which a
// request as large as it may be must not have made of all of its.
const maxHistogramBytes = 256 << 10

// lose notes a histogram that is left out.
func (w *seriesWalk) lose(err error) {
	if w.lost++; w.lostFault == nil {
		w.lostFault = err
	}
}

// histogram reads a prometheus.Histogram and keeps it in its canonical form. The write path treats histograms as opaque bytes, so
// this is where an impossible one is found: it is left out, and the samples beside it stay.
func (r *Request) histogram(w *seriesWalk, b []byte, at int) error {
	if len(b) > maxHistogramBytes {
		w.lose(fmt.Errorf("native histogram of %d bytes, at most %d are accepted: %w", len(b), maxHistogramBytes, model.ErrInvalid))
		return nil
	}
	var h prompb.Histogram
	if err := h.Unmarshal(b); err != nil {
		return malformed(at, "native histogram: %v", err)
	}
	// What 2.0 adds to the message of 1.0, all else of which it has, is the start timestamp: unknown to 1.0, where it is dropped.
	var startMs int64
	if r.Version == V2 {
		startMs = startOf(h.XXX_unrecognized)
	}
	schema := h.Schema
	err := reduceHistogram(&h)
	if err == nil {
		err = validateHistogram(&h)
	}
	if err != nil {
		w.lose(fmt.Errorf("native histogram of schema %d at %d: %v: %w", schema, h.Timestamp, err, model.ErrInvalid))
		return nil
	}
	encoded := r.canonical(&h, b)
	if startMs != 0 {
		encoded = model.HistogramWithStart(startMs, encoded)
	}
	r.Batch.Histograms = append(r.Batch.Histograms, model.HistogramSample{T: h.Timestamp, H: encoded})
	return nil
}

// startOf returns the start timestamp among fields that are well-formed, 0 if there is none.
func startOf(b []byte) (startMs int64) {
	const fieldStart = 17
	for i := 0; i < len(b); {
		field, wire, next := tag(b, i)
		if next < 0 {
			return 0
		}
		if field == fieldStart && wire == wireVarint {
			if v, end := uvarint(b, next); end > 0 {
				startMs = int64(v)
			}
		}
		if i = skip(b, next, wire); i < 0 {
			return 0
		}
	}
	return startMs
}

// reduceHistogram brings a histogram of a schema that is reserved for more buckets than Prometheus keeps down to what it does, as its receiver does.
func reduceHistogram(h *prompb.Histogram) error {
	if !histogram.IsExponentialSchemaReserved(h.Schema) || h.Schema <= histogram.ExponentialSchemaMax {
		return nil
	}
	if h.IsFloatHistogram() {
		f := h.ToFloatHistogram()
		if err := f.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
			return err
		}
		*h = prompb.FromFloatHistogram(h.Timestamp, f)
		return nil
	}
	whole := h.ToIntHistogram()
	if err := whole.ReduceResolution(histogram.ExponentialSchemaMax); err != nil {
		return err
	}
	*h = prompb.FromIntHistogram(h.Timestamp, whole)
	return nil
}

func validateHistogram(h *prompb.Histogram) error {
	if !histogram.IsValidSchema(h.Schema) {
		return fmt.Errorf("schema %d is not one of -4 to 52 or -53", h.Schema)
	}
	if h.IsFloatHistogram() {
		return h.ToFloatHistogram().Validate()
	}
	return h.ToIntHistogram().Validate()
}

// canonical returns the one encoding of h: fields in order, unknown ones dropped. Ordinary senders use it already, and then
// the bytes are used as they stand.
func (r *Request) canonical(h *prompb.Histogram, b []byte) []byte {
	h.XXX_unrecognized = nil
	for _, spans := range [][]prompb.BucketSpan{h.NegativeSpans, h.PositiveSpans} {
		for i := range spans {
			spans[i].XXX_unrecognized = nil
		}
	}
	n := h.Size()
	start := len(r.arena)
	r.arena = append(r.arena, make([]byte, n)...)
	out := r.arena[start : start+n : start+n]
	if _, err := h.MarshalToSizedBuffer(out); err != nil {
		panic("remotewrite: bug: a decoded histogram does not encode: " + err.Error())
	}
	if bytes.Equal(out, b) {
		r.arena = r.arena[:start]
		return b[:n:n]
	}
	return out
}
