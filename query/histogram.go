package query

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// richSample is one decoded sample that is more than a float: a histogram, in one of two forms, or a value, each perhaps with a
// start timestamp.
type richSample struct {
	startMs int64
	whole   *histogram.Histogram
	float   *histogram.FloatHistogram
	value   float64
}

// decodeRich reads the forms that model.HistogramSample and model.SplitStart describe.
func decodeRich(b []byte) (richSample, error) {
	startMs, v, h, err := model.SplitStart(b)
	if err != nil || h == nil {
		return richSample{startMs: startMs, value: v}, err
	}
	var p prompb.Histogram
	if err := p.Unmarshal(h); err != nil {
		return richSample{}, fmt.Errorf("decode histogram: %w: %w", model.ErrCorrupt, err)
	}
	if p.IsFloatHistogram() {
		return richSample{startMs: startMs, float: p.ToFloatHistogram()}, nil
	}
	return richSample{startMs: startMs, whole: p.ToIntHistogram()}, nil
}

func (h *richSample) isHistogram() bool { return h.float != nil || h.whole != nil }

func (h *richSample) hint() histogram.CounterResetHint {
	if h.float != nil {
		return h.float.CounterResetHint
	}
	return h.whole.CounterResetHint
}

func (h *richSample) stale() bool {
	if h.float != nil {
		return value.IsStaleNaN(h.float.Sum)
	}
	return value.IsStaleNaN(h.whole.Sum)
}

func (h *richSample) asFloat() *histogram.FloatHistogram {
	if h.float != nil {
		return h.float
	}
	return h.whole.ToFloat(nil)
}

// unsure reports whether the neighbours decide over the hint. They do where the sender said that there was no reset, too: it spoke of the sample that it had sent
// before, which may not have arrived, may be deleted, or may have others of another sender behind it. That there was one is taken from any sender.
func (h *richSample) unsure() bool {
	return h.hint() == histogram.UnknownCounterReset || h.hint() == histogram.NotCounterReset
}

func (h *richSample) note(hint histogram.CounterResetHint) {
	if h.float != nil {
		h.float.CounterResetHint = hint
	} else {
		h.whole.CounterResetHint = hint
	}
}

// setHint notes on h, which is unsure, whether its counters were not reset since prev, the sample before it if that is a histogram. It says nothing
// where they were, of a sample that has none before it among what was read, after a gauge, and around staleness: Prometheus does not
// either, and its engine looks for itself then. Prometheus knows from when the sample was appended; here the neighbours at the
// time of reading decide.
func (h *richSample) setHint(prev richSample) {
	h.note(histogram.UnknownCounterReset) // or the comparison would believe it
	if !prev.isHistogram() || prev.hint() == histogram.GaugeType || prev.stale() || h.stale() || h.asFloat().DetectReset(prev.asFloat()) {
		return
	}
	h.note(histogram.NotCounterReset)
}
