package export

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/varvedb/varve/model"
)

// sample is one decoded sample: a float, or one of the two kinds of native histograms.
type sample struct {
	t       int64
	startMs int64 // 0 is none
	value   float64
	whole   *histogram.Histogram
	float   *histogram.FloatHistogram
}

// isHistogram reports whether the bytes of a sample are those of a native histogram.
func isHistogram(h []byte) bool { return h != nil && !model.IsFloatWithStart(h) }

// at decodes the i-th sample.
func at(c *model.Columns, i int) (sample, error) {
	s := sample{t: c.T[i], value: c.V[i]}
	if c.H == nil || c.H[i] == nil {
		return s, nil
	}
	start, v, h, err := model.SplitStart(c.H[i])
	s.startMs, s.value = start, v
	if err != nil || h == nil {
		return s, err
	}
	var p prompb.Histogram
	if err := p.Unmarshal(h); err != nil {
		return s, fmt.Errorf("histogram at %d: %w: %w", s.t, model.ErrCorrupt, err)
	}
	if p.IsFloatHistogram() {
		s.float = p.ToFloatHistogram()
	} else {
		s.whole = p.ToIntHistogram()
	}
	return s, nil
}

// isHistogram reports whether it is no float.
func (s *sample) isHistogram() bool { return s.whole != nil || s.float != nil }

// plain counts in left what is lost of a sample in a form that has floats only, and reports whether there is something to write.
func (s *sample) plain(left map[string]int64) bool {
	if s.startMs != 0 {
		left[LeftStarts]++
	}
	switch {
	case s.isHistogram():
		left[LeftHistograms]++
		return false
	case value.IsStaleNaN(s.value):
		left[LeftStale]++
		return false
	case math.IsNaN(s.value) && math.Float64bits(s.value) != value.NormalNaN:
		left[LeftNaN]++
	}
	return true
}
