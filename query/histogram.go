package query

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// histogramSample is one decoded histogram; one of the two is set.
type histogramSample struct {
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

// decodeHistogram reads the form that model.HistogramSample describes.
func decodeHistogram(b []byte) (histogramSample, error) {
	var p prompb.Histogram
	if err := p.Unmarshal(b); err != nil {
		return histogramSample{}, fmt.Errorf("decode histogram: %w: %w", model.ErrCorrupt, err)
	}
	if p.IsFloatHistogram() {
		return histogramSample{float: p.ToFloatHistogram()}, nil
	}
	return histogramSample{whole: p.ToIntHistogram()}, nil
}

func (h *histogramSample) hint() histogram.CounterResetHint {
	if h.float != nil {
		return h.float.CounterResetHint
	}
	return h.whole.CounterResetHint
}

func (h *histogramSample) stale() bool {
	if h.float != nil {
		return value.IsStaleNaN(h.float.Sum)
	}
	return value.IsStaleNaN(h.whole.Sum)
}

func (h *histogramSample) asFloat() *histogram.FloatHistogram {
	if h.float != nil {
		return h.float
	}
	return h.whole.ToFloat(nil)
}

// setHint notes on h, whose sender did not say, that its counters were not reset since prev, the sample before it. It says nothing
// where they were, of the first sample that is read, after a gauge, and around staleness: Prometheus does not
// either, and its engine looks for itself then. Prometheus knows from when the sample was appended; here the neighbours at the
// time of reading decide.
func (h *histogramSample) setHint(prev histogramSample) {
	if prev.hint() == histogram.GaugeType || prev.stale() || h.stale() || h.asFloat().DetectReset(prev.asFloat()) {
		return
	}
	if h.float != nil {
		h.float.CounterResetHint = histogram.NotCounterReset
	} else {
		h.whole.CounterResetHint = histogram.NotCounterReset
	}
}
