package query

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/varvedb/varve/model"
)

// iterator implements chunkenc.Iterator over the merged columns of one series, which it
// decodes when first moved. Its memory is reused for the next series.
type iterator struct {
	series           *series
	columns, scratch model.Columns
	decoded          bool
	i                int
	err              error

	// The sample hi, decoded, which is a histogram or has a start timestamp.
	hi   int
	hist richSample
}

func (it *iterator) reset(s *series) {
	it.columns.Reset()
	*it = iterator{series: s, columns: it.columns, scratch: it.scratch, i: -1, hi: -1}
}

func (it *iterator) load() bool {
	if !it.decoded {
		it.decoded = true
		if it.err = it.series.decode(&it.columns, &it.scratch); it.err != nil {
			it.err = fmt.Errorf("decode %s: %w", it.series.labels, it.err)
		} else if it.series.q != nil {
			it.err = it.series.walked(it.columns.Len())
		}
	}
	return it.err == nil
}

// Next implements chunkenc.Iterator.
func (it *iterator) Next() chunkenc.ValueType {
	if !it.load() || it.i >= it.columns.Len() {
		return chunkenc.ValNone
	}
	it.i++
	return it.valueType()
}

// Seek implements chunkenc.Iterator.
func (it *iterator) Seek(t int64) chunkenc.ValueType { //nolint:govet // the name is the interface's, not io.Seeker's
	if !it.load() || it.i >= it.columns.Len() {
		return chunkenc.ValNone
	}
	it.i = max(it.i, 0)
	// The engine mostly seeks a few samples ahead: gallop, then search in the last stride.
	ts := it.columns.T[it.i:]
	high := 1
	for high < len(ts) && ts[high-1] < t {
		high *= 2
	}
	low := high / 2
	n, _ := span(ts[low:min(high, len(ts))], model.TimeRange{MinMs: t, MaxMs: math.MaxInt64})
	it.i += low + n
	return it.valueType()
}

// valueType says what there is at the position, which may be the end.
func (it *iterator) valueType() chunkenc.ValueType {
	switch {
	case it.i >= it.columns.Len():
		return chunkenc.ValNone
	case it.columns.H == nil || it.columns.H[it.i] == nil:
		return chunkenc.ValFloat
	}
	if it.hi != it.i && !it.loadRich() {
		return chunkenc.ValNone
	}
	switch {
	case it.hist.float != nil:
		return chunkenc.ValFloatHistogram
	case it.hist.whole != nil:
		return chunkenc.ValHistogram
	}
	it.columns.V[it.i] = it.hist.value
	return chunkenc.ValFloat
}

// At implements chunkenc.Iterator.
func (it *iterator) At() (int64, float64) { return it.columns.T[it.i], it.columns.V[it.i] }

// AtHistogram implements chunkenc.Iterator. The caller may change what it gets.
func (it *iterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	if h == nil {
		return it.AtT(), it.hist.whole.Copy()
	}
	it.hist.whole.CopyTo(h)
	return it.AtT(), h
}

// AtFloatHistogram implements chunkenc.Iterator. The caller may change what it gets.
func (it *iterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if it.hist.float == nil {
		return it.AtT(), it.hist.whole.ToFloat(h)
	}
	if h == nil {
		return it.AtT(), it.hist.float.Copy()
	}
	it.hist.float.CopyTo(h)
	return it.AtT(), h
}

// AtT implements chunkenc.Iterator.
func (it *iterator) AtT() int64 { return it.columns.T[it.i] }

// AtST implements chunkenc.Iterator.
func (it *iterator) AtST() int64 {
	if it.hi == it.i {
		return it.hist.startMs
	}
	return 0
}

// Err implements chunkenc.Iterator.
func (it *iterator) Err() error { return it.err }

// loadRich decodes the histogram, or sample with a start timestamp, at the position.
func (it *iterator) loadRich() bool {
	hist, err := decodeRich(it.columns.H[it.i])
	if err == nil && hist.isHistogram() && hist.unsure() {
		var prev richSample
		if prev, err = it.previous(); err == nil {
			hist.setHint(prev)
		}
	}
	if err != nil {
		it.err = fmt.Errorf("%s at %s: %w", it.series.labels, utc(it.columns.T[it.i]), err)
		return false
	}
	it.hi, it.hist = it.i, hist
	return true
}

// previous returns the sample before that at the position, if there is a histogram.
func (it *iterator) previous() (prev richSample, err error) {
	switch {
	case it.i > 0 && it.hi == it.i-1:
		return it.hist, nil
	case it.i > 0 && it.columns.H[it.i-1] != nil:
		return decodeRich(it.columns.H[it.i-1])
	case it.i > 0:
		return richSample{}, nil
	}
	// What was read along with the range may have it.
	newestFirst := slices.Clone(it.series.parts)
	slices.Reverse(newestFirst)
	var before model.Columns
	if err = model.Before(&before, newestFirst, it.columns.T[0]); err != nil {
		return richSample{}, it.series.q.excuse(err)
	}
	if before.H == nil {
		return richSample{}, nil
	}
	return decodeRich(before.H[0])
}
